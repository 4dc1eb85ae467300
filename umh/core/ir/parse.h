// SPDX-License-Identifier: GPL-2.0
//
// What the two families' parsers share (key.h: parse()).
#pragma once

#include "umh/core/ir/key.h"

#include <cstddef>
#include <cstdint>

namespace bpfilter::ir {

// A packet's bytes, as numbers. What is read must be there.
class Packet {
public:
    explicit Packet(Bytes bytes) : bytes_(bytes) {}

    [[nodiscard]] std::uint32_t byte(std::size_t at) const
    {
        return load<std::uint8_t>(bytes_, at);
    }
    [[nodiscard]] std::uint32_t half(std::size_t at) const { return byte(at) << 8 | byte(at + 1); }
    [[nodiscard]] std::uint32_t word(std::size_t at) const { return half(at) << 16 | half(at + 2); }
    // How many bytes there are from `at` on.
    [[nodiscard]] std::size_t left(std::size_t at) const
    {
        return bytes_.size() < at ? 0 : bytes_.size() - at;
    }

private:
    Bytes bytes_;
};

// The transport header at this place, of no later fragment, or what there is of it.
void transport(Key &key, const Packet &packet, std::size_t at);
// There is none: why.
void no_transport(Key &key, State state);

// Of IPv6, all but lengths and devices.
void ipv6(Key &key, const Packet &packet, const Surroundings &surroundings);

} // namespace bpfilter::ir
