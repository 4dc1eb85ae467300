// SPDX-License-Identifier: GPL-2.0
//
// What only an IPv6 packet has.
//
// THE WALK over the extension headers, of which there are hop-by-hop options, routing,
// fragment, authentication and destination options. Of each its first two bytes must be
// there (routing and fragment: four), and all that its length says, but for kernels that do
// not ask this (BPFILTER_QUIRK_WALK); a packet where they are not is *bad*. The walk ends behind
// the last of them, or at a fragment header with an offset other than 0. Then the transport
// header is
//   - where the walk ended, unless it was there;
//   - for a later fragment: unknown but for its number, if the fragment header says that
//     none of the five follows; the number "no next header" (59) is as good as any;
//   - else missing: who asks for it or for its number has the packet dropped.
// A match that asks for one extension header sees the first of its kind, if the walk comes
// to its first bytes; else, if the packet is bad, the packet is dropped; else it does not
// match.
#include "umh/core/ir/header_set.h"
#include "umh/core/ir/parse.h"

#include "bpfilter/context.h"

#include <algorithm>
#include <array>
#include <netinet/in.h>
#include <optional>

namespace bpfilter::ir {

namespace {

constexpr std::size_t fixed_header = 40;

// A kind of extension header: its number, its state, its bit in the set of headers.
struct Kind {
    std::uint32_t number;
    Field state;
    std::uint32_t bit;
};
constexpr std::array<Kind, 5> kinds{{
    {IPPROTO_HOPOPTS, Field::hop, header_set::hop},
    {IPPROTO_DSTOPTS, Field::dst, header_set::destination},
    {IPPROTO_ROUTING, Field::routing, header_set::routing},
    {IPPROTO_FRAGMENT, Field::frag, header_set::fragment},
    {IPPROTO_AH, Field::ah, header_set::authentication},
}};

const Kind *kind_of(std::uint32_t number)
{
    const auto *kind = std::ranges::find(kinds, number, &Kind::number);
    return kind == kinds.end() ? nullptr : kind;
}

// In bytes, from the header's length field.
std::size_t length_of(const Packet &packet, std::uint32_t number, std::size_t at)
{
    if (number == IPPROTO_FRAGMENT)
        return 8;
    const std::size_t field = packet.byte(at + 1);
    return number == IPPROTO_AH ? (field + 2) * 4 : (field + 1) * 8;
}

// What the walk finds.
struct Walked {
    std::array<std::optional<std::size_t>, kinds.size()> first{}; // of each kind
    std::optional<std::uint32_t> protocol;                        // of the transport header
    std::optional<std::size_t> transport;                         // where it is, if it is here
    bool bad = false;
};

Walked walk(const Packet &packet, std::uint32_t quirks)
{
    Walked walked;
    std::uint32_t number = packet.byte(6);
    std::size_t at = fixed_header;
    while (const Kind *kind = kind_of(number)) {
        const bool four = number == IPPROTO_ROUTING || number == IPPROTO_FRAGMENT;
        if (packet.left(at) < (four ? 4U : 2U)) {
            walked.bad = true;
            return walked;
        }
        auto &first = walked.first.at(static_cast<std::size_t>(kind - kinds.data()));
        if (!first)
            first = at;
        const std::uint32_t next = packet.byte(at);
        if (number == IPPROTO_FRAGMENT && (packet.half(at + 2) & 0xfff8) != 0) {
            if (kind_of(next) == nullptr)
                walked.protocol = next;
            return walked;
        }
        const std::size_t length = length_of(packet, number, at);
        if (packet.left(at) < length && (quirks & BPFILTER_QUIRK_WALK) == 0) {
            walked.bad = true;
            return walked;
        }
        number = next;
        at += length;
    }
    walked.protocol = number;
    walked.transport = at;
    return walked;
}

// The fields of a list of options.
struct OptionFields {
    Field count;
    Field first;
};

void options(Key &key, const Packet &packet, std::size_t header, const OptionFields &fields)
{
    constexpr std::size_t most = 16;
    const std::size_t end = header + length_of(packet, IPPROTO_HOPOPTS, header);
    std::size_t at = header + 2;
    while (at < end && key[fields.count] < most) {
        const std::uint32_t type = packet.byte(at);
        if (type != 0 && at + 1 >= end)
            return;
        const std::uint32_t length = type == 0 ? 0 : packet.byte(at + 1);
        key[ir::at(fields.first, key[fields.count])] = type << 8 | length;
        key[fields.count] += 1;
        at += type == 0 ? 1 : 2 + length;
    }
}

void routing(Key &key, const Packet &packet, std::size_t at)
{
    const std::uint32_t length = key[Field::routing_length];
    key[Field::routing_type] = packet.byte(at + 2);
    key[Field::routing_left] = packet.byte(at + 3);
    key[Field::routing_reserved] = packet.word(at + 4);
    key[Field::routing_addresses] = (length - 8) / 16;
    for (std::size_t n = 0; n < key[Field::routing_addresses]; ++n) {
        const std::size_t address = at + 8 + 16 * n;
        key.set_item(List::route, n,
                     {packet.word(address), packet.word(address + 4), packet.word(address + 8),
                      packet.word(address + 12)});
    }
}

// The fields of a header that is there, or what becomes of a packet where it is not all there.
State header(Key &key, const Packet &packet, const Kind &kind, std::size_t at, std::uint32_t quirks)
{
    const std::size_t length = length_of(packet, kind.number, at);
    const bool whole = packet.left(at) >= length;
    const State beyond = (quirks & BPFILTER_QUIRK_OPTIONS) != 0 ? State::absent : State::cut_off;
    switch (kind.state) {
    case Field::hop:
    case Field::dst:
        if (!whole)
            return beyond;
        key[kind.state == Field::hop ? Field::hop_length : Field::dst_length] =
            static_cast<std::uint32_t>(length);
        options(key, packet, at,
                kind.state == Field::hop ? OptionFields{Field::hop_options, Field::hop_option_0}
                                         : OptionFields{Field::dst_options, Field::dst_option_0});
        return State::present;
    case Field::routing:
        if (!whole)
            return beyond;
        key[Field::routing_length] = static_cast<std::uint32_t>(length);
        routing(key, packet, at);
        return State::present;
    case Field::frag:
        if (!whole)
            return State::cut_off;
        key[Field::frag_bits] = packet.word(at) & 0xffffff;
        key[Field::frag_id] = packet.word(at + 4);
        return State::present;
    default: // ah
        if (packet.left(at) < 12 || (!whole && (quirks & BPFILTER_QUIRK_AUTHENTICATION) == 0))
            return State::cut_off;
        key[Field::ah_length] = static_cast<std::uint32_t>(length);
        key[Field::ah_reserved] = packet.half(at + 2);
        key[Field::ah_spi] = packet.word(at + 4);
        return State::present;
    }
}

// The walk of ip6t_ipv6header: it steps over fragment headers whatever their offset, and leaves
// with the ESP and "no next header" it comes to, noted. Fewer than two bytes of a header that is
// not the last: nothing is known. One that is longer than the packet ends the walk, behind what it
// says is next.
std::uint32_t find_headers(const Packet &packet)
{
    std::uint32_t set = 0;
    std::uint32_t number = packet.byte(6);
    std::size_t at = fixed_header;
    for (;;) {
        const Kind *kind = kind_of(number);
        if (kind == nullptr && number != IPPROTO_ESP)
            return set | (number == IPPROTO_NONE ? header_set::none : header_set::protocol);
        if (packet.left(at) < 2)
            return header_set::unknown;
        if (kind == nullptr)
            return set | header_set::esp;
        set |= kind->bit;
        const std::size_t length = length_of(packet, number, at);
        number = packet.byte(at);
        if (length > packet.left(at))
            return number == IPPROTO_NONE || number == IPPROTO_ESP ? set
                                                                   : set | header_set::protocol;
        at += length;
    }
}

// The lower half of the source address is made of the source of the Ethernet frame: its six
// bytes with ff:fe in the middle and the second bit inverted. No Ethernet device, or another
// EtherType than IPv6: absent. An Ethernet device, but no such header: cut off.
State eui64(const Packet &packet, const Surroundings &surroundings)
{
    if (surroundings.link == BPFILTER_LINK_OTHER)
        return State::absent;
    if (surroundings.link != BPFILTER_LINK_ETHERNET)
        return State::cut_off;
    const Packet frame(surroundings.frame);
    if (frame.half(12) != 0x86dd || packet.byte(0) >> 4 != 6)
        return State::absent;
    const bool same = packet.half(16) == (frame.half(6) ^ 0x0200) &&
                      packet.word(18) == (frame.byte(8) << 24 | 0xfffe00 | frame.byte(9)) &&
                      packet.half(22) == frame.half(10);
    return same ? State::present : State::absent;
}

void addresses(Key &key, const Packet &packet)
{
    for (std::size_t i = 0; i < 4; ++i) {
        key[at(Field::source, i)] = packet.word(8 + 4 * i);
        key[at(Field::destination, i)] = packet.word(24 + 4 * i);
    }
}

} // namespace

void ipv6(Key &key, const Packet &packet, const Surroundings &surroundings)
{
    addresses(key, packet);
    key[Field::tos] = packet.half(0) >> 4 & 0xff;
    key[Field::ttl] = packet.byte(7);
    key[Field::total_length] = key[Field::length];

    const Walked walked = walk(packet, surroundings.quirks);
    key.set(Field::transport, walked.protocol ? State::present : State::cut_off);
    key[Field::protocol] = walked.protocol.value_or(0);
    if (walked.transport)
        transport(key, packet, *walked.transport);
    else
        no_transport(key, walked.protocol ? State::absent : State::cut_off);

    for (std::size_t i = 0; i < kinds.size(); ++i) {
        if (const auto at = walked.first[i])
            key.set(kinds[i].state, header(key, packet, kinds[i], *at, surroundings.quirks));
        else
            key.set(kinds[i].state, walked.bad ? State::cut_off : State::absent);
    }
    key[Field::header_set] = find_headers(packet);
    key.set(Field::eui64, eui64(packet, surroundings));
}

} // namespace bpfilter::ir
