// SPDX-License-Identifier: GPL-2.0
//
// What lowering an extension is made of: questions as people ask them, put behind the conditions
// that a rule has already. A question whose answer is always yes adds nothing, one whose
// answer is always no adds Never.
#pragma once

#include "umh/core/ir/conditions.h"

#include <cstdint>
#include <optional>
#include <span>

namespace bpfilter::ir {

// The same answers for the other numbers. Nothing: it always held, so this never does.
std::optional<Range> inverse(const Range &range);
std::optional<Masked> inverse(const Masked &masked);

// (min <= field <= max) != invert. No number lies between a min and a lower max.
void ask_range(Conditions &to, Field field, std::uint32_t min, std::uint32_t max,
               bool invert = false);

// (field == value) != invert
inline void ask_number(Conditions &to, Field field, std::uint32_t value, bool invert = false)
{
    ask_range(to, field, value, value, invert);
}

// ((field & mask) == value) != invert. A value with bits outside the mask never equals.
void ask_masked(Conditions &to, Field field, std::uint32_t mask, std::uint32_t value,
                bool invert = false);

// (all words from `first` on, each under its mask, == value) != invert
void ask_words(Conditions &to, Field first, std::span<const std::uint32_t> value,
               std::span<const std::uint32_t> mask, bool invert = false);

} // namespace bpfilter::ir
