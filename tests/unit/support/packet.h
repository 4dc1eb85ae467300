// SPDX-License-Identifier: GPL-2.0
//
// Packets for tests, from the IP header on.
//
//     Packet().source("10.0.0.1").tcp(1000, 80).flags(0x02).bytes()
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bpfilter::test {

using PacketBytes = std::vector<std::byte>;

// "192.0.2.1" in network byte order; throws on anything else.
std::array<std::byte, 4> ipv4(const std::string &text);
std::array<std::byte, 16> ipv6(const std::string &text);

class Packet {
public:
    Packet &source(const std::string &address);
    Packet &destination(const std::string &address);
    Packet &protocol(std::uint8_t value);
    // In units of 8 bytes.
    Packet &fragment(std::uint16_t offset, bool more);
    // IP options, a multiple of 4 bytes.
    Packet &ip_options(PacketBytes options);

    // L4: sets the protocol too.
    Packet &tcp(std::uint16_t source, std::uint16_t destination);
    Packet &udp(std::uint16_t source, std::uint16_t destination);
    Packet &icmp(std::uint8_t type, std::uint8_t code);
    Packet &flags(std::uint8_t value);               // TCP, after tcp()
    Packet &tcp_options(const PacketBytes &options); // after tcp(); a multiple of 4 bytes
    Packet &data_offset(std::uint8_t words);         // whatever the truth is; after tcp_options()
    Packet &l4(PacketBytes bytes);                   // instead of all that
    Packet &payload(std::size_t length);

    // With total length and checksum.
    [[nodiscard]] PacketBytes bytes() const;

private:
    std::array<std::byte, 4> source_{std::byte{192}, std::byte{0}, std::byte{2}, std::byte{1}};
    std::array<std::byte, 4> destination_{std::byte{192}, std::byte{0}, std::byte{2}, std::byte{2}};
    std::uint8_t protocol_ = 255;
    std::uint16_t fragment_ = 0;
    PacketBytes ip_options_;
    PacketBytes l4_;
    std::size_t payload_ = 0;
};

// Sets the checksum of the IP header right.
void checksum(PacketBytes &packet);

// Where all frames come from.
inline constexpr std::array<std::byte, 6> sender{std::byte{0x02}, std::byte{0x11}, std::byte{0x22},
                                                 std::byte{0x33}, std::byte{0x44}, std::byte{0x55}};

// An Ethernet header (EtherType IPv4) in front of it.
PacketBytes ethernet(const PacketBytes &packet, const std::array<std::byte, 6> &destination,
                     std::uint16_t ether_type = 0x0800);

} // namespace bpfilter::test
