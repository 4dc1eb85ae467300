// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/field.h"

#include "umh/codegen/key.h"

#include <linux/netfilter/xt_conntrack.h>
#include <stdexcept>
#include <string>

namespace bpfilter::codegen {

namespace {

using ir::Field;

constexpr std::size_t ip = offsetof(Key, ip);
constexpr std::size_t transport = offsetof(Key, l4.bytes);
constexpr std::uint32_t translated = XT_CONNTRACK_STATE_SNAT | XT_CONNTRACK_STATE_DNAT;

constexpr std::size_t header_at(ExtensionHeader header)
{
    return offsetof(Key, header) + header * sizeof(Header);
}

constexpr Place length_of(ExtensionHeader header)
{
    return {.offset = header_at(header) + offsetof(Header, length)};
}

// Bytes in network byte order.
constexpr Place packet(std::size_t offset, std::uint32_t bytes, std::uint32_t mask = 0xffffffff,
                       std::uint32_t shift = 0)
{
    return {.offset = offset, .bytes = bytes, .network = bytes > 1, .shift = shift, .mask = mask};
}

constexpr Place header_bytes(ExtensionHeader header, std::size_t offset, std::uint32_t bytes,
                             std::uint32_t mask = 0xffffffff)
{
    return packet(header_at(header) + offsetof(Header, bytes) + offset, bytes, mask);
}

// The n-th field of a series, or nothing if it is none of it.
constexpr std::size_t not_in_it = ~std::size_t{0};
constexpr std::size_t index_in(Field field, Field first, std::size_t count)
{
    for (std::size_t n = 0; n < count; ++n) {
        if (at(first, n) == field)
            return n;
    }
    return not_in_it;
}

struct Series {
    Field first;
    std::size_t count;
    std::size_t offset;
    std::uint32_t bytes; // of each
    bool network;
};

constexpr Series all_series[] = {
    {Field::in_0, 4, offsetof(Key, names.in), 4, true},
    {Field::out_0, 4, offsetof(Key, names.out), 4, true},
    {Field::tcp_option_kinds_0, 8, offsetof(Key, l4.option_kinds), 4, false},
    {Field::hop_option_0, option_list_max, offsetof(Key, hop_options.options), 2, true},
    {Field::dst_option_0, option_list_max, offsetof(Key, destination_options.options), 2, true},
};

[[noreturn]] void no_place(Field field)
{
    throw std::logic_error("no place for " + std::string(ir::row(field).name));
}

// In the IP header.
Place address_of(Field field, ir::Family family)
{
    const bool is_ipv6 = family == ir::Family::ipv6;
    if (const std::size_t n = index_in(field, Field::source, is_ipv6 ? 4 : 1); n != not_in_it)
        return packet(ip + (is_ipv6 ? 8 : 12) + 4 * n, 4);
    if (const std::size_t n = index_in(field, Field::destination, is_ipv6 ? 4 : 1); n != not_in_it)
        return packet(ip + (is_ipv6 ? 24 : 16) + 4 * n, 4);
    for (const Series &series : all_series) {
        if (const std::size_t n = index_in(field, series.first, series.count); n != not_in_it)
            return {.offset = series.offset + series.bytes * n,
                    .bytes = series.bytes,
                    .network = series.network};
    }
    no_place(field);
}

Place ip_field(Field field, ir::Family family)
{
    const bool is_ipv6 = family == ir::Family::ipv6;
    switch (field) {
    case Field::tos:
        return is_ipv6 ? packet(ip, 2, 0xff, 4) : packet(ip + 1, 1);
    case Field::ttl:
        return packet(ip + (is_ipv6 ? 7 : 8), 1);
    case Field::protocol:
        return is_ipv6 ? Place{.offset = offsetof(Key, walk.protocol)} : packet(ip + 9, 1);
    case Field::fragment:
        if (is_ipv6)
            no_place(field);
        return packet(ip + 6, 2, 0x1fff);
    default:
        return address_of(field, family);
    }
}

Place header_field(Field field, ir::Family family)
{
    switch (field) {
    case Field::hop_length:
        return length_of(hop);
    case Field::dst_length:
        return length_of(destination);
    case Field::hop_options:
        return {.offset = offsetof(Key, hop_options.count)};
    case Field::dst_options:
        return {.offset = offsetof(Key, destination_options.count)};
    case Field::routing_length:
        return length_of(routing);
    case Field::routing_type:
        return header_bytes(routing, 2, 1);
    case Field::routing_left:
        return header_bytes(routing, 3, 1);
    case Field::routing_reserved:
        return header_bytes(routing, 4, 4);
    case Field::routing_addresses: // (length - 8) / 16
        return {.offset = length_of(routing).offset, .plus = -8, .shift = 4};
    case Field::frag_id:
        return header_bytes(fragment, 4, 4);
    case Field::frag_bits:
        return header_bytes(fragment, 0, 4, 0xffffff);
    case Field::ah_spi:
        return header_bytes(authentication, 4, 4);
    case Field::ah_length:
        return length_of(authentication);
    case Field::ah_reserved:
        return header_bytes(authentication, 2, 2);
    default:
        return ip_field(field, family);
    }
}

} // namespace

Place place_of(Field field, ir::Family family)
{
    switch (field) {
    case Field::length:
        return {.offset = offsetof(Key, length)};
    case Field::mark:
        return {.offset = offsetof(Key, mark)};
    case Field::connection:
        return {.offset = offsetof(Key, names.connection), .mask = ~translated};
    case Field::translation:
        return {.offset = offsetof(Key, names.connection), .mask = translated};
    case Field::source_port:
        return packet(transport, 2);
    case Field::destination_port:
        return packet(transport + 2, 2);
    case Field::word_0:
        return packet(transport, 4);
    case Field::word_1:
        return packet(transport + 4, 4);
    case Field::flags:
        return packet(transport + 13, 1);
    case Field::mobility_type:
        return packet(transport + 2, 1);
    case Field::header_set:
        return {.offset = offsetof(Key, headers.set)};
    default:
        return header_field(field, family);
    }
}

std::size_t state_offset(Field state)
{
    switch (state) {
    case Field::tcp:
        return offsetof(Key, l4.tcp);
    case Field::ports:
        return offsetof(Key, l4.short_header);
    case Field::mobility:
        return offsetof(Key, l4.mobility);
    case Field::pair:
        return offsetof(Key, l4.pair);
    case Field::sctp:
        return offsetof(Key, l4.sctp);
    case Field::tcp_options:
        return offsetof(Key, l4.options);
    case Field::hop:
        return header_at(hop) + offsetof(Header, state);
    case Field::dst:
        return header_at(destination) + offsetof(Header, state);
    case Field::routing:
        return header_at(routing) + offsetof(Header, state);
    case Field::frag:
        return header_at(fragment) + offsetof(Header, state);
    case Field::ah:
        return header_at(authentication) + offsetof(Header, state);
    case Field::eui64:
        return offsetof(Key, eui64);
    default:
        no_place(state);
    }
}

std::vector<bpf_insn> load_field(const Place &place)
{
    std::vector<bpf_insn> insns{load(size_of_bytes(place.bytes), r1, r7, place.offset)};
    if (place.network)
        insns.push_back(place.bytes == 2 ? from_network16(r1) : from_network32(r1));
    if (place.plus != 0)
        insns.push_back(alu32(BPF_ADD, r1, static_cast<std::uint32_t>(place.plus)));
    if (place.shift != 0)
        insns.push_back(alu32(BPF_RSH, r1, place.shift));
    if (place.mask != 0xffffffff)
        insns.push_back(alu32(BPF_AND, r1, place.mask));
    return insns;
}

} // namespace bpfilter::codegen
