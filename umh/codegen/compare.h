// SPDX-License-Identifier: GPL-2.0
//
// codegen: comparisons that matches are made of. Each falls through or leaves.
#pragma once

#include "umh/codegen/assembler.h"
#include "umh/codegen/key.h"
#include "umh/codegen/match.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bpfilter::codegen {

// The number that these bytes are when the program loads them.
template <typename Byte> std::uint32_t word(const Byte *bytes)
{
    std::uint32_t value = 0;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
}

class Comparison {
protected:
    Comparison(Assembler &as, const MatchExits &exits) : as_(as), exits_(exits) {}

    // `words` times four bytes under a mask; a word without mask and value is always equal.
    template <typename Byte>
    void bytes(std::size_t offset, const Byte *value, const Byte *mask, std::size_t words,
               bool invert)
    {
        const Label differs = invert ? as_.label() : exits_.next;
        for (std::size_t i = 0; i < words; ++i, offset += 4, value += 4, mask += 4) {
            if (word(mask) == 0 && word(value) == 0)
                continue;
            as_.emit(load(BPF_W, r1, r7, offset));
            if (word(mask) != 0xffffffff)
                as_.emit(alu32(BPF_AND, r1, word(mask)));
            as_.jump_if32(BPF_JNE, r1, word(value), differs);
        }
        if (!invert)
            return;
        as_.jump(exits_.next);
        if (as_.used(differs))
            as_.bind(differs);
    }

    // A HeaderState: falls through if the header is present.
    void state(std::size_t offset)
    {
        as_.emit(load(BPF_W, r1, r7, offset));
        as_.jump_if32(BPF_JEQ, r1, header_hotdrop, exits_.hotdrop);
        as_.jump_if32(BPF_JNE, r1, header_present, exits_.next);
    }

    // (min <= r1 <= max) != invert
    void within(std::uint32_t min, std::uint32_t max, bool invert)
    {
        if (!invert) {
            range(min, max, false, exits_.next);
            return;
        }
        const Label outside = as_.label();
        range(min, max, true, outside);
        as_.bind(outside);
    }

    // r1 outside of the range jumps to `outside`; inside: falls through, or, inverted, does
    // not match.
    void range(std::uint32_t min, std::uint32_t max, bool invert, Label outside)
    {
        if (min != 0)
            as_.jump_if32(BPF_JLT, r1, min, outside);
        if (invert)
            as_.jump_if32(BPF_JLE, r1, max, exits_.next);
        else
            as_.jump_if32(BPF_JGT, r1, max, outside);
    }

    Assembler &as_;
    const MatchExits &exits_;
};

} // namespace bpfilter::codegen
