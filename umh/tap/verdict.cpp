// SPDX-License-Identifier: GPL-2.0
#include "umh/tap/verdict.h"

#include "umh/codegen/assembler.h"
#include "umh/tap/loadable.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace bpfilter::tap {

namespace {

using namespace codegen; // NOLINT(google-build-using-namespace): its instructions, all over

// Registers: r6 the context, r7 the message's length. The beginning of the message lies at the
// bottom of the stack, where most rules look; what others look at is fetched behind it.
constexpr std::int32_t window_max = 128;
constexpr std::int32_t fetched = window_max + STAP_RULE_WIDTH;

// A part of a comparison that one aligned load can do: the verifier wants no other of the stack.
struct Piece {
    std::uint32_t offset;
    std::uint32_t width;
};

Piece next_piece(std::uint32_t place, std::uint32_t offset, std::uint32_t left)
{
    std::uint32_t width = 8;
    while (width > left || (place + offset) % width != 0)
        width /= 2;
    return {offset, width};
}

template <typename T> std::uint64_t number(const __u8 *bytes)
{
    T value;
    std::memcpy(&value, bytes, sizeof(value));
    return value;
}

// What the program has in a register when it has loaded these bytes.
std::uint64_t number(const __u8 *bytes, std::uint32_t width)
{
    switch (width) {
    case 1:
        return *bytes;
    case 2:
        return number<std::uint16_t>(bytes);
    case 4:
        return number<std::uint32_t>(bytes);
    default:
        return number<std::uint64_t>(bytes);
    }
}

std::uint32_t end_of(const stap_rule &rule)
{
    return rule.offset + rule.width;
}

bool in_window(const stap_rule &rule)
{
    return end_of(rule) <= window_max;
}

std::string describe(const stap_rule &rule)
{
    return fmt::format("{} bytes at {}: verdict {}", rule.width, rule.offset, rule.verdict);
}

class VerdictWriter {
public:
    explicit VerdictWriter(const Direction &direction) : direction_(direction) {}

    Result<Program> write() &&
    {
        code_.function(code_.label(), Function{.name = "stap_verdict"});
        code_.emit(move(r6, r1));
        code_.emit(load(BPF_W, r7, r1, 0)); // skb->len
        write_window();
        std::uint32_t count = 0;
        for (const stap_rule &rule : direction_.rules)
            write_rule(++count, rule);
        code_.line(++count, "no rule matches");
        leave(direction_.verdict);
        return std::move(code_).finish();
    }

private:
    void leave(std::uint32_t verdict)
    {
        code_.emit(move(r0, static_cast<std::int32_t>(verdict)));
        code_.emit(exit_insn());
    }

    // skb_load_bytes(r6, offset, r10 - place, r4); r0 is 0 if they are there.
    void load_bytes(std::uint32_t offset, std::int32_t place)
    {
        code_.emit(move(r1, r6));
        code_.emit(move(r2, static_cast<std::int32_t>(offset)));
        code_.emit(move(r3, r10));
        code_.emit(alu(BPF_ADD, r3, -place));
        code_.emit(call_helper(BPF_FUNC_skb_load_bytes));
    }

    // As much of the message's beginning as rules look at, or as there is.
    void write_window()
    {
        std::uint32_t need = 0;
        for (const stap_rule &rule : direction_.rules)
            if (in_window(rule))
                need = std::max(need, end_of(rule));
        if (need == 0)
            return;
        const Label fits = code_.label();
        const Label there = code_.label();
        for (std::uint32_t i = 0; i < need; i += 8)
            code_.emit(store(BPF_DW, r10, static_cast<std::int32_t>(i) - window_max, 0));
        code_.emit(move(r4, r7));
        code_.jump_if(BPF_JLE, r4, static_cast<std::int32_t>(need), fits);
        code_.emit(move(r4, static_cast<std::int32_t>(need)));
        code_.bind(fits);
        code_.jump_if(BPF_JLT, r4, 1, there); // not JEQ: 6.1 learns nothing of that
        load_bytes(0, window_max);
        code_.bind(there);
    }

    void write_rule(std::uint32_t count, const stap_rule &rule)
    {
        const Label next = code_.label();
        code_.line(count, describe(rule));
        if (in_window(rule)) {
            // Not r7 itself: all that the verifier learns of it, it follows to the end.
            code_.emit(move(r1, static_cast<std::int32_t>(end_of(rule))));
            code_.emit(alu(BPF_SUB, r1, r7));
            code_.jump_if(BPF_JSGT, r1, 0, next);
            compare(rule, rule.offset - window_max, next);
        } else {
            code_.emit(move(r4, rule.width));
            load_bytes(rule.offset, fetched);
            code_.jump_if(BPF_JNE, r0, 0, next);
            compare(rule, static_cast<std::uint32_t>(-fetched), next);
        }
        leave(rule.verdict);
        code_.bind(next);
    }

    // One jump for each rule, however wide: the verifier goes both ways at each. r0 gathers
    // the bits that differ.
    void compare(const stap_rule &rule, std::uint32_t place, Label differs)
    {
        bool first = true;
        for (std::uint32_t offset = 0; offset < rule.width;) {
            const Piece piece = next_piece(place, offset, rule.width - offset);
            offset += piece.width;
            const std::uint64_t mask = number(rule.mask + piece.offset, piece.width);
            if (mask == 0)
                continue;
            const Register to = first ? r0 : r1;
            code_.emit(insn(BPF_LDX | BPF_MEM | size_of_bytes(piece.width), to, r10,
                            static_cast<std::int32_t>(place + piece.offset), 0));
            differences(to, piece, number(rule.value + piece.offset, piece.width), mask);
            if (!first)
                code_.emit(alu(BPF_OR, r0, r1));
            first = false;
        }
        if (!first)
            code_.jump_if(BPF_JNE, r0, 0, differs);
    }

    void differences(Register to, const Piece &piece, std::uint64_t value, std::uint64_t mask)
    {
        const std::uint64_t all = ~std::uint64_t{0} >> (64 - 8 * piece.width);
        if (piece.width == 8) {
            code_.load_number(r2, value);
            code_.emit(alu(BPF_XOR, to, r2));
        } else {
            code_.emit(alu32(BPF_XOR, to, static_cast<std::uint32_t>(value)));
        }
        if (mask == all)
            return;
        if (piece.width == 8) {
            code_.load_number(r2, mask);
            code_.emit(alu(BPF_AND, to, r2));
        } else {
            code_.emit(alu32(BPF_AND, to, static_cast<std::uint32_t>(mask)));
        }
    }

    const Direction &direction_;
    Assembler code_;
};

} // namespace

Result<codegen::Program> generate_verdict(const Direction &direction)
{
    return loadable(VerdictWriter(direction).write(),
                    {"stap_verdict", BPF_PROG_TYPE_SOCKET_FILTER, "tap policy"});
}

} // namespace bpfilter::tap
