// SPDX-License-Identifier: GPL-2.0
//
// IPv6 packets for tests: headers in the order in which they are named.
//
//     Packet6().source("2001:db8::1").hop().fragment(0, true).tcp(1000, 80).bytes()
#pragma once

#include "tests/unit/support/packet.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bpfilter::test {

class Packet6 {
public:
    Packet6 &source(const std::string &address);
    Packet6 &destination(const std::string &address);
    Packet6 &hop_limit(std::uint8_t value);

    // Extension headers. `rest`: all behind the first two bytes, padded to a whole header.
    Packet6 &hop(PacketBytes rest = {});
    Packet6 &options(PacketBytes rest = {}); // destination options
    Packet6 &routing(std::uint8_t type, std::uint8_t left, PacketBytes rest = {});
    Packet6 &authentication(std::uint32_t spi, std::uint16_t reserved = 0);
    // In units of 8 bytes.
    Packet6 &fragment(std::uint16_t offset, bool more, std::uint32_t id = 0);
    // The length field of the header named last, whatever the truth is.
    Packet6 &length(std::uint8_t value);
    // Any header or bytes, as what `protocol` says. All behind them is payload.
    Packet6 &header(std::uint8_t protocol, PacketBytes bytes);

    Packet6 &tcp(std::uint16_t source, std::uint16_t destination);
    Packet6 &udp(std::uint16_t source, std::uint16_t destination);
    Packet6 &icmp(std::uint8_t type, std::uint8_t code);
    // What `packet` has behind its IP header.
    Packet6 &transport_of(const Packet &packet);
    Packet6 &payload(std::size_t length);

    // With payload length.
    [[nodiscard]] PacketBytes bytes() const;

private:
    Packet6 &extension(std::uint8_t protocol, PacketBytes rest);
    void set_next(std::uint8_t protocol);

    PacketBytes bytes_ = PacketBytes(40);
    std::size_t next_ = 6; // where the next header's number goes
    std::size_t last_ = 0; // the header named last

public:
    Packet6();
};

} // namespace bpfilter::test
