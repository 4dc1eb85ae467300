// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/packet.h"

#include <algorithm>
#include <arpa/inet.h>
#include <stdexcept>
#include <utility>

namespace bpfilter::test {

namespace {

constexpr std::size_t ip_header = 20;
constexpr std::size_t tcp_header = 20;

std::byte high(std::size_t value)
{
    return static_cast<std::byte>(value >> 8 & 0xff);
}

std::byte low(std::size_t value)
{
    return static_cast<std::byte>(value & 0xff);
}

void put16(PacketBytes &bytes, std::size_t offset, std::size_t value)
{
    bytes.at(offset) = high(value);
    bytes.at(offset + 1) = low(value);
}

} // namespace

std::array<std::byte, 4> ipv4(const std::string &text)
{
    std::array<std::byte, 4> address{};
    if (inet_pton(AF_INET, text.c_str(), address.data()) != 1)
        throw std::invalid_argument(text);
    return address;
}

std::array<std::byte, 16> ipv6(const std::string &text)
{
    std::array<std::byte, 16> address{};
    if (inet_pton(AF_INET6, text.c_str(), address.data()) != 1)
        throw std::invalid_argument(text);
    return address;
}

Packet &Packet::source(const std::string &address)
{
    source_ = ipv4(address);
    return *this;
}

Packet &Packet::destination(const std::string &address)
{
    destination_ = ipv4(address);
    return *this;
}

Packet &Packet::protocol(std::uint8_t value)
{
    protocol_ = value;
    return *this;
}

Packet &Packet::fragment(std::uint16_t offset, bool more)
{
    fragment_ = static_cast<std::uint16_t>((offset & 0x1fff) | (more ? 0x2000 : 0));
    return *this;
}

Packet &Packet::ip_options(PacketBytes options)
{
    ip_options_ = std::move(options);
    return *this;
}

Packet &Packet::tcp(std::uint16_t source, std::uint16_t destination)
{
    protocol_ = IPPROTO_TCP;
    l4_.assign(tcp_header, std::byte{0});
    put16(l4_, 0, source);
    put16(l4_, 2, destination);
    return data_offset(tcp_header / 4);
}

Packet &Packet::udp(std::uint16_t source, std::uint16_t destination)
{
    protocol_ = IPPROTO_UDP;
    l4_.assign(8, std::byte{0});
    put16(l4_, 0, source);
    put16(l4_, 2, destination);
    put16(l4_, 4, 8);
    return *this;
}

Packet &Packet::icmp(std::uint8_t type, std::uint8_t code)
{
    protocol_ = IPPROTO_ICMP;
    l4_.assign(8, std::byte{0});
    l4_[0] = std::byte{type};
    l4_[1] = std::byte{code};
    return *this;
}

Packet &Packet::flags(std::uint8_t value)
{
    l4_.at(13) = std::byte{value};
    return *this;
}

Packet &Packet::tcp_options(const PacketBytes &options)
{
    l4_.resize(tcp_header);
    l4_.insert(l4_.end(), options.begin(), options.end());
    return data_offset(static_cast<std::uint8_t>(l4_.size() / 4));
}

Packet &Packet::data_offset(std::uint8_t words)
{
    l4_.at(12) = static_cast<std::byte>(words << 4);
    return *this;
}

Packet &Packet::l4(PacketBytes bytes)
{
    l4_ = std::move(bytes);
    return *this;
}

Packet &Packet::payload(std::size_t length)
{
    payload_ = length;
    return *this;
}

PacketBytes Packet::bytes() const
{
    PacketBytes packet(ip_header, std::byte{0});
    packet.insert(packet.end(), ip_options_.begin(), ip_options_.end());
    packet[0] = static_cast<std::byte>(0x40 | packet.size() / 4);
    packet.insert(packet.end(), l4_.begin(), l4_.end());
    packet.insert(packet.end(), payload_, std::byte{0xaa});
    put16(packet, 2, packet.size());
    put16(packet, 6, fragment_);
    packet[8] = std::byte{64};
    packet[9] = std::byte{protocol_};
    std::ranges::copy(source_, packet.begin() + 12);
    std::ranges::copy(destination_, packet.begin() + 16);
    checksum(packet);
    return packet;
}

void checksum(PacketBytes &packet)
{
    put16(packet, 10, 0);
    // A header may say that it is longer than the packet.
    const std::size_t length =
        std::min((std::to_integer<std::size_t>(packet[0]) & 0xf) * 4, packet.size());
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i + 1 < length; i += 2)
        sum += std::to_integer<std::uint32_t>(packet.at(i)) << 8 |
               std::to_integer<std::uint32_t>(packet.at(i + 1));
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    put16(packet, 10, ~sum & 0xffff);
}

PacketBytes ethernet(const PacketBytes &packet, const std::array<std::byte, 6> &destination,
                     std::uint16_t ether_type)
{
    PacketBytes frame(14);
    std::ranges::copy(destination, frame.begin());
    std::ranges::copy(sender, frame.begin() + 6);
    put16(frame, 12, ether_type);
    frame.insert(frame.end(), packet.begin(), packet.end());
    return frame;
}

} // namespace bpfilter::test
