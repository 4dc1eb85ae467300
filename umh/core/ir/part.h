// SPDX-License-Identifier: GPL-2.0
//
// IR: parts of the key (parts.def), and sets of them. What a table needs is the union of the
// parts of the fields that its rules test; what a place can give is a set too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace bpfilter::ir {

enum class Part : std::uint8_t {
#define BPFILTER_PART(name, on) name,
#include "umh/core/ir/parts.def"
#undef BPFILTER_PART
};

// Bit n: Part n.
class Parts {
public:
    constexpr Parts() = default;
    constexpr Parts(Part part) : bits_(1U << static_cast<unsigned>(part)) {} // a set of one

    constexpr Parts &operator|=(Parts other)
    {
        bits_ |= other.bits_;
        return *this;
    }
    friend constexpr Parts operator|(Parts a, Parts b) { return a |= b; }

    [[nodiscard]] constexpr bool has(Part part) const { return within(Parts(part), *this); }
    [[nodiscard]] constexpr std::uint32_t bits() const { return bits_; }
    // All of `some` is in `all`.
    friend constexpr bool within(Parts some, Parts all) { return (some.bits_ & ~all.bits_) == 0; }
    constexpr bool operator==(const Parts &) const = default;

private:
    std::uint32_t bits_ = 0;
};

// With all that these parts stand on.
Parts complete(Parts parts);

// "ip walk transport"
std::string text(Parts parts);

} // namespace bpfilter::ir
