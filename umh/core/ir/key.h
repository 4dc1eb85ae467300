// SPDX-License-Identifier: GPL-2.0
//
// IR: a key, filled: what a packet and its surroundings are to the conditions of a rule.
#pragma once

#include "umh/core/ir/condition.h"
#include "umh/core/ir/table.h"
#include "umh/util/bytes.h"

#include <array>
#include <cstdint>

namespace bpfilter::ir {

class Key {
public:
    [[nodiscard]] std::uint32_t operator[](Field field) const { return words_[row(field).place]; }
    std::uint32_t &operator[](Field field) { return words_[row(field).place]; }
    [[nodiscard]] State state(Field field) const { return static_cast<State>((*this)[field]); }
    void set(Field field, State state) { (*this)[field] = static_cast<std::uint32_t>(state); }

    [[nodiscard]] Listed::Item item(List list, std::size_t n) const;
    void set_item(List list, std::size_t n, const Listed::Item &item);

    [[nodiscard]] const std::array<std::uint32_t, key_words> &words() const { return words_; }
    bool operator==(const Key &) const = default;

private:
    std::array<std::uint32_t, key_words> words_{};
};

// What does not lie in the packet. See include/bpfilter/context.h, whose numbers these are.
struct Surroundings {
    using Name = std::array<char, 16>;
    Name in{};
    Name out{};
    std::uint32_t link = 0;        // enum bpfilter_link
    Bytes frame;                   // the Ethernet header, if link says that there is one
    std::uint32_t quirks = 0;      // a set of enum bpfilter_quirk
    std::uint32_t mark = 0;        // skb->mark
    std::uint32_t connection = 0;  // bpfilter_context.connection
    std::uint32_t packet_type = 0; // skb->pkt_type
    std::uint32_t cpu = 0;
};

// All parts of the key, of a packet that begins with its IP header, which is there. Written for
// reading: the parsers that packets meet are compared with it.
Key parse(Family family, Bytes packet, const Surroundings &surroundings);

} // namespace bpfilter::ir
