// SPDX-License-Identifier: GPL-2.0
//
// The conditional part of an entry, as far as both families have it: questions about
// addresses and devices, and their text. What offsets and flags they have is known to
// ipv4.cpp and ipv6.cpp.
#pragma once

#include "umh/core/ir/match.h"
#include "umh/util/bytes.h"

#include <cstddef>
#include <string>
#include <vector>

namespace bpfilter::blob {

// What one question comes to, once its constant part is known.
enum class Answer { always, never, depends };

constexpr Answer constant(bool matches)
{
    return matches ? Answer::always : Answer::never;
}

// The questions that are really asked.
struct Collector {
    std::vector<ir::Match> matches;
    bool never = false;

    void add(Answer answer, const ir::Match &match)
    {
        if (answer == Answer::depends)
            matches.push_back(match);
        never |= answer == Answer::never;
    }
};

// What becomes of bits of an address outside its mask: ip_tables compares them with zeros, so
// that nothing equals it; ip6_tables does not look at them.
enum class StrayBits { compared, ignored };

// T: SourceAddress or DestinationAddress; `size` bytes of each, at these offsets.
template <typename T>
void ask_address(Collector &collector, Bytes ip, std::size_t value, std::size_t mask,
                 std::size_t size, StrayBits stray, bool invert)
{
    T match{.invert = invert};
    bool asks = false;
    bool possible = true;
    for (std::size_t i = 0; i < size; ++i) {
        match.value[i] = load<std::byte>(ip, value + i);
        match.mask[i] = load<std::byte>(ip, mask + i);
        if (stray == StrayBits::ignored)
            match.value[i] &= match.mask[i];
        asks |= match.mask[i] != std::byte{0};
        possible &= (match.value[i] & ~match.mask[i]) == std::byte{0};
    }
    if (!possible)
        collector.add(constant(invert), match);
    else
        collector.add(asks ? Answer::depends : constant(!invert), match);
}

// T: InInterface or OutInterface.
template <typename T>
void ask_interface(Collector &collector, Bytes ip, std::size_t name, std::size_t mask, bool invert)
{
    T match{load<ir::InterfaceName>(ip, name), load<ir::InterfaceName>(ip, mask), invert};
    bool asks = false;
    for (std::size_t i = 0; i < match.name.size(); ++i) {
        // Bits outside the mask are not compared: no two spellings of one question.
        match.name[i] = static_cast<char>(match.name[i] & match.mask[i]);
        asks |= match.mask[i] != 0;
    }
    collector.add(asks ? Answer::depends : constant(!invert), match);
}

// " ! -i eth+"; nothing if nothing is asked.
std::string interface_text(const char *option, Bytes ip, std::size_t name, std::size_t mask,
                           bool invert);

} // namespace bpfilter::blob
