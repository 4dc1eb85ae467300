// SPDX-License-Identifier: GPL-2.0
//
// From a packet to its key, for both families: what they share is here, what only IPv6 has in
// parse6.cpp. The rows of fields.def say what each field is.
#include "umh/core/ir/parse.h"

#include <netinet/in.h> // before that of linux, which would define the same

#include <linux/if_packet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_conntrack.h>

namespace bpfilter::ir {

namespace {

constexpr std::uint32_t translated = XT_CONNTRACK_STATE_SNAT | XT_CONNTRACK_STATE_DNAT;

void devices(Key &key, const Surroundings &surroundings)
{
    const auto words = [&key](Field first, const Surroundings::Name &name) {
        const Packet bytes(std::as_bytes(std::span(name)));
        for (std::size_t i = 0; i < name.size() / 4; ++i)
            key[at(first, i)] = bytes.word(4 * i);
    };
    words(Field::in_0, surroundings.in);
    words(Field::out_0, surroundings.out);
}

// As tcp_find_option of xt_tcpudp walks.
void tcp_options(Key &key, const Packet &packet, std::size_t tcp)
{
    const std::size_t header = std::size_t{packet.byte(tcp + 12) >> 4} * 4;
    key.set(Field::tcp_options, State::cut_off);
    if (header < 20 || (header > 20 && header > packet.left(tcp)))
        return;
    key.set(Field::tcp_options, State::present);
    const std::size_t end = tcp + header;
    for (std::size_t at = tcp + 20; at < end;) {
        const std::uint32_t kind = packet.byte(at);
        key[ir::at(Field::tcp_option_kinds_0, kind / 32)] |= 1U << kind % 32;
        std::size_t length = 1;
        if (kind > 1 && at + 1 < end && packet.byte(at + 1) != 0)
            length = packet.byte(at + 1);
        at += length;
    }
}

void ipv4(Key &key, const Packet &packet)
{
    key[Field::source] = packet.word(12);
    key[Field::destination] = packet.word(16);
    key[Field::fragment] = packet.half(6) & 0x1fff;
    key[Field::tos] = packet.byte(1);
    key[Field::ttl] = packet.byte(8);
    key[Field::total_length] = packet.half(2) != 0 ? packet.half(2) : key[Field::length];
    key[Field::protocol] = packet.byte(9);
    key.set(Field::transport, State::present);
    if (key[Field::fragment] == 0)
        transport(key, packet, std::size_t{packet.byte(0) & 0xf} * 4);
    else
        no_transport(key, State::absent);
    // It would overwrite the flags of the first.
    if (key[Field::fragment] == 1)
        key.set(Field::tcp, State::cut_off);
    key.set(Field::mobility, State::absent);
    key[Field::mobility_type] = 0;
}

// Of IPv4 there are none of these, and nobody asks.
void no_extension_headers(Key &key)
{
    for (const Field state :
         {Field::hop, Field::dst, Field::routing, Field::frag, Field::ah, Field::eui64})
        key.set(state, State::absent);
}

// As xt_pkttype has it.
std::uint32_t packet_type(Family family, const Key &key, std::uint32_t type)
{
    if (type != PACKET_LOOPBACK)
        return type;
    const bool multicast = family == Family::ipv6 || key[Field::destination] >> 28 == 0xe;
    return multicast ? PACKET_MULTICAST : PACKET_BROADCAST;
}

void with_protocol(Key &key)
{
    const bool tcp = key[Field::protocol] == IPPROTO_TCP;
    const bool has = key.state(tcp ? Field::tcp : Field::ports) == State::present;
    const std::uint32_t high = key[Field::protocol] << 17 | (has ? 1U << 16 : 0);
    key[Field::protocol_source_port] = high | (has ? key[Field::source_port] : 0);
    key[Field::protocol_destination_port] = high | (has ? key[Field::destination_port] : 0);
}

} // namespace

void no_transport(Key &key, State state)
{
    key.set(Field::tcp, state);
    key.set(Field::ports, state);
    key.set(Field::mobility, state);
    key.set(Field::pair, state);
    key.set(Field::sctp, state);
    key.set(Field::tcp_options, State::cut_off);
}

void transport(Key &key, const Packet &packet, std::size_t at)
{
    no_transport(key, State::cut_off);
    if (packet.left(at) >= 6 && packet.byte(at) == IPPROTO_NONE) {
        key.set(Field::mobility, State::present);
        key[Field::mobility_type] = packet.byte(at + 2);
    }
    if (packet.left(at) < 4)
        return;
    key.set(Field::pair, State::present);
    key[Field::source_port] = packet.half(at);
    key[Field::destination_port] = packet.half(at + 2);
    if (packet.left(at) < 8)
        return;
    key.set(Field::ports, State::present);
    key[Field::word_0] = packet.word(at);
    key[Field::word_1] = packet.word(at + 4);
    if (packet.left(at) >= 12)
        key.set(Field::sctp, State::present);
    if (packet.left(at) < 20)
        return;
    key.set(Field::tcp, State::present);
    key[Field::flags] = packet.byte(at + 13);
    tcp_options(key, packet, at);
}

Key parse(Family family, Bytes bytes, const Surroundings &surroundings)
{
    const Packet packet(bytes);
    Key key;
    key[Field::length] = static_cast<std::uint32_t>(bytes.size());
    devices(key, surroundings);
    key[Field::mark] = surroundings.mark;
    key[Field::connection] = surroundings.connection & ~translated;
    key[Field::translation] = surroundings.connection & translated;
    if (family == Family::ipv6) {
        ipv6(key, packet, surroundings);
    } else {
        no_extension_headers(key);
        ipv4(key, packet);
    }
    with_protocol(key);
    key[Field::packet_type] = packet_type(family, key, surroundings.packet_type);
    key[Field::cpu] = surroundings.cpu;
    return key;
}

} // namespace bpfilter::ir
