// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/packet6.h"

#include <algorithm>
#include <netinet/in.h>

namespace bpfilter::test {

namespace {

constexpr std::size_t ip_header = 40;

std::byte byte(std::size_t value)
{
    return static_cast<std::byte>(value & 0xff);
}

void put16(PacketBytes &bytes, std::size_t offset, std::size_t value)
{
    bytes.at(offset) = byte(value >> 8);
    bytes.at(offset + 1) = byte(value);
}

void append32(PacketBytes &bytes, std::uint32_t value)
{
    for (const unsigned shift : {24U, 16U, 8U, 0U})
        bytes.push_back(byte(value >> shift));
}

} // namespace

Packet6::Packet6()
{
    bytes_[0] = byte(0x60);
    set_next(255);
    source("2001:db8::1").destination("2001:db8::2").hop_limit(64);
}

Packet6 &Packet6::source(const std::string &address)
{
    std::ranges::copy(ipv6(address), bytes_.begin() + 8);
    return *this;
}

Packet6 &Packet6::destination(const std::string &address)
{
    std::ranges::copy(ipv6(address), bytes_.begin() + 24);
    return *this;
}

Packet6 &Packet6::hop_limit(std::uint8_t value)
{
    bytes_[7] = byte(value);
    return *this;
}

void Packet6::set_next(std::uint8_t protocol)
{
    bytes_.at(next_) = byte(protocol);
}

Packet6 &Packet6::header(std::uint8_t protocol, PacketBytes bytes)
{
    set_next(protocol);
    last_ = bytes_.size();
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
}

Packet6 &Packet6::extension(std::uint8_t protocol, PacketBytes rest)
{
    rest.insert(rest.begin(), {byte(255), byte(0)});
    rest.resize((rest.size() + 7) / 8 * 8);
    rest[1] = byte(rest.size() / 8 - 1);
    header(protocol, rest);
    next_ = last_;
    return *this;
}

Packet6 &Packet6::hop(PacketBytes rest)
{
    return extension(IPPROTO_HOPOPTS, std::move(rest));
}

Packet6 &Packet6::options(PacketBytes rest)
{
    return extension(IPPROTO_DSTOPTS, std::move(rest));
}

Packet6 &Packet6::routing(std::uint8_t type, std::uint8_t left, PacketBytes rest)
{
    rest.insert(rest.begin(), {byte(type), byte(left)});
    return extension(IPPROTO_ROUTING, std::move(rest));
}

Packet6 &Packet6::authentication(std::uint32_t spi, std::uint16_t reserved)
{
    PacketBytes rest{byte(reserved >> 8), byte(reserved)};
    append32(rest, spi);
    append32(rest, 1); // sequence number
    extension(IPPROTO_AH, rest);
    return length(static_cast<std::uint8_t>((bytes_.size() - last_) / 4 - 2));
}

Packet6 &Packet6::fragment(std::uint16_t offset, bool more, std::uint32_t id)
{
    const std::size_t field = offset << 3 | (more ? 1U : 0U);
    PacketBytes rest{byte(field >> 8), byte(field)};
    append32(rest, id);
    extension(IPPROTO_FRAGMENT, rest);
    return length(0);
}

Packet6 &Packet6::length(std::uint8_t value)
{
    bytes_.at(last_ + 1) = byte(value);
    return *this;
}

Packet6 &Packet6::tcp(std::uint16_t source, std::uint16_t destination)
{
    return transport_of(Packet().tcp(source, destination));
}

Packet6 &Packet6::udp(std::uint16_t source, std::uint16_t destination)
{
    return transport_of(Packet().udp(source, destination));
}

Packet6 &Packet6::icmp(std::uint8_t type, std::uint8_t code)
{
    return header(IPPROTO_ICMPV6,
                  {byte(type), byte(code), byte(0), byte(0), byte(0), byte(0), byte(0), byte(0)});
}

Packet6 &Packet6::transport_of(const Packet &packet)
{
    const PacketBytes all = packet.bytes();
    const auto start = (std::to_integer<std::ptrdiff_t>(all[0]) & 0xf) * 4;
    return header(std::to_integer<std::uint8_t>(all[9]), {all.begin() + start, all.end()});
}

Packet6 &Packet6::payload(std::size_t length)
{
    bytes_.insert(bytes_.end(), length, byte(0xaa));
    return *this;
}

PacketBytes Packet6::bytes() const
{
    PacketBytes packet = bytes_;
    put16(packet, 4, packet.size() - ip_header);
    return packet;
}

} // namespace bpfilter::test
