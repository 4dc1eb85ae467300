// SPDX-License-Identifier: GPL-2.0
#include "umh/tap/parser.h"

#include "umh/codegen/assembler.h"
#include "umh/tap/loadable.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <stdexcept>
#include <utility>

namespace bpfilter::tap {

namespace {

using namespace codegen; // NOLINT(google-build-using-namespace): its instructions, all over

constexpr std::int32_t more = 0; // what a parser returns to see more

std::int32_t maximum_of(const stap_framing &framing)
{
    return framing.maximum != 0 ? static_cast<std::int32_t>(framing.maximum)
                                : std::numeric_limits<std::int32_t>::max();
}

void answer(Assembler &code, std::int32_t value)
{
    code.emit(move(r0, value));
    code.emit(exit_insn());
}

// skb_load_bytes(r6, r2, r10 - place, r4): what r2 and r4 hold is the caller's.
void load_bytes(Assembler &code, std::int32_t place)
{
    code.emit(move(r1, r6));
    code.emit(move(r3, r10));
    code.emit(alu(BPF_ADD, r3, -place));
    code.emit(call_helper(BPF_FUNC_skb_load_bytes));
}

void write_fixed(Assembler &code, const stap_framing &framing)
{
    answer(code, static_cast<std::int32_t>(framing.size));
}

void write_length(Assembler &code, const stap_framing &framing)
{
    constexpr std::int32_t field = 8;
    const std::uint32_t end = framing.offset + framing.width;
    const auto header = static_cast<std::int32_t>(framing.size != 0 ? framing.size : end);
    const std::int32_t maximum = maximum_of(framing);
    const Label there = code.label();
    const Label too_long = code.label();

    code.emit(move(r6, r1));
    code.emit(move(r2, static_cast<std::int32_t>(framing.offset)));
    code.emit(move(r4, framing.width));
    load_bytes(code, field);
    code.jump_if(BPF_JEQ, r0, 0, there);
    answer(code, more);

    code.bind(there);
    code.emit(insn(BPF_LDX | BPF_MEM | size_of_bytes(framing.width), r0, r10, -field, 0));
    if (framing.width > 1)
        code.emit(
            insn(BPF_ALU | BPF_END | (framing.order == STAP_BIG_ENDIAN ? BPF_TO_BE : BPF_TO_LE), r0,
                 0, 0, framing.width * 8));
    if (framing.whole != 0) {
        const Label sane = code.label();
        code.jump_if(BPF_JGT, r0, maximum, too_long);
        code.jump_if(BPF_JGE, r0, header, sane);
        answer(code, -EPROTO);
        code.bind(sane);
    } else {
        code.jump_if(BPF_JGT, r0, maximum - header, too_long);
        code.emit(alu(BPF_ADD, r0, header));
    }
    code.emit(exit_insn());
    code.bind(too_long);
    answer(code, -EMSGSIZE);
}

// Delimiters: the last bytes seen roll through a register, a chunk of the message at a time. What
// has been looked at is not shown again (cb[0], see stap.h), but for what may begin a delimiter.
// The program's stack, as offsets from its top, and in what the chunk function is given.
enum Place : std::int32_t { place_skb = 8, place_rolling = 16, place_found = 24, place_size = 32 };
constexpr std::int32_t places = place_size;
constexpr std::int32_t chunk = 64; // its stack
constexpr std::int32_t chunk_shift = 6;

struct Delimiter {
    std::uint32_t value = 0;
    std::uint32_t mask = 0;
};

Delimiter delimiter_of(const stap_framing &framing)
{
    Delimiter delimiter;
    for (std::size_t i = 0; i < framing.width; ++i) {
        delimiter.value = delimiter.value << 8 | framing.delimiter[i];
        delimiter.mask = delimiter.mask << 8 | 0xff;
    }
    return delimiter;
}

void write_search(Assembler &code, const stap_framing &framing, Label chunk_function)
{
    const std::int32_t maximum = maximum_of(framing);
    const Label none = code.label();
    const Label too_long = code.label();
    const Label all = code.label();
    constexpr auto done = offsetof(__sk_buff, cb);

    code.emit(load(BPF_W, r6, r1, 0)); // skb->len
    code.emit(load(BPF_W, r7, r1, done));
    code.emit(store(BPF_DW, r10, -place_skb, r1));
    code.emit(store(BPF_DW, r10, -place_size, r6));
    // Anything: the verifier must not know it, or it looks at each number it can become.
    code.emit(store(BPF_DW, r10, -place_rolling, r6));
    code.emit(store(BPF_DW, r10, -place_found, 0));

    code.emit(move(r1, r6));
    code.emit(alu(BPF_ADD, r1, chunk - 1));
    code.emit(alu(BPF_RSH, r1, chunk_shift));
    code.load_function(r2, chunk_function);
    code.emit(move(r3, r10));
    code.emit(alu(BPF_ADD, r3, -places));
    code.emit(move(r4, 0));
    code.emit(call_helper(BPF_FUNC_loop));

    // By way of a sum with what the verifier does not know, or it would follow each place
    // where a delimiter can be found through all of the loop.
    code.emit(insn(BPF_LDX | BPF_MEM | BPF_DW, r0, r10, -place_found, 0));
    code.emit(alu(BPF_ADD, r0, r6));
    code.jump_if(BPF_JEQ, r0, r6, none);
    code.emit(alu(BPF_SUB, r0, r6));
    code.emit(alu(BPF_ADD, r0, r7));
    code.jump_if(BPF_JGT, r0, maximum, too_long);
    code.emit(exit_insn());
    code.bind(none);
    code.emit(alu(BPF_ADD, r7, r6));
    code.jump_if(BPF_JGE, r7, maximum, too_long);
    // No comparison whose outcome is known: the verifier would follow r6 through all of the loop.
    if (const std::int32_t kept = framing.width - 1; kept > 0) {
        code.jump_if(BPF_JLT, r6, kept, all);
        code.emit(alu(BPF_SUB, r7, kept));
    }
    code.emit(load(BPF_DW, r1, r10, -place_skb));
    code.emit(store(BPF_W, r1, static_cast<std::int32_t>(done), r7));
    code.bind(all);
    answer(code, more);
    code.bind(too_long);
    answer(code, -EMSGSIZE);
}

// long chunk(index r1, places r2): 1 when there is nothing more to look for.
void write_chunk(Assembler &code, const stap_framing &framing)
{
    const Delimiter delimiter = delimiter_of(framing);
    const Label stop = code.label();
    const Label found = code.label();
    const Label whole = code.label();
    const auto at = [](Place place) { return static_cast<std::size_t>(places - place); };

    code.emit(move(r9, r2));
    code.emit(move(r7, r1));
    code.emit(alu(BPF_LSH, r7, chunk_shift));
    code.emit(load(BPF_DW, r8, r9, at(place_size)));
    code.emit(alu(BPF_SUB, r8, r7));
    code.jump_if(BPF_JSLE, r8, 0, stop);
    code.jump_if(BPF_JLE, r8, chunk, whole);
    code.emit(move(r8, chunk));
    code.bind(whole);
    for (std::int32_t i = 8; i <= chunk; i += 8)
        code.emit(store(BPF_DW, r10, -i, 0));
    code.emit(load(BPF_DW, r6, r9, at(place_skb)));
    code.emit(move(r2, r7));
    code.emit(move(r4, r8));
    load_bytes(code, chunk);
    code.jump_if(BPF_JNE, r0, 0, stop);

    code.emit(load(BPF_DW, r1, r9, at(place_rolling)));
    for (std::int32_t i = 0; i < chunk; ++i) {
        const Label next = code.label();
        code.emit(alu32(BPF_LSH, r1, 8));
        code.emit(insn(BPF_LDX | BPF_MEM | BPF_B, r2, r10, i - chunk, 0));
        code.emit(alu32(BPF_OR, r1, r2));
        if (framing.width < 4)
            code.emit(alu32(BPF_AND, r1, delimiter.mask));
        // What was in the register before the message began is none of it.
        if (i + 1 < framing.width)
            code.jump_if(BPF_JEQ, r7, 0, next);
        code.jump_if32(BPF_JNE, r1, delimiter.value, next);
        code.emit(move(r2, i + 1));
        code.jump(found);
        code.bind(next);
    }
    code.emit(store(BPF_DW, r9, at(place_rolling), r1));
    answer(code, 0);

    // What is behind a chunk's end is not the message's, and nothing comes after it.
    code.bind(found);
    code.jump_if(BPF_JGT, r2, r8, stop);
    code.emit(alu(BPF_ADD, r7, r2));
    code.emit(store(BPF_DW, r9, at(place_found), r7));
    code.bind(stop);
    answer(code, 1);
}

void write_delimiter(Assembler &code, const stap_framing &framing)
{
    const Label function = code.label();
    write_search(code, framing, function);
    code.function(function, Function{.name = "chunk"});
    write_chunk(code, framing);
}

} // namespace

Result<codegen::Program> generate_parser(const stap_framing &framing)
{
    Assembler code;
    code.function(code.label(), Function{.name = "stap_parse"});
    switch (framing.kind) {
    case STAP_FRAMING_LENGTH:
        write_length(code, framing);
        break;
    case STAP_FRAMING_DELIMITER:
        write_delimiter(code, framing);
        break;
    case STAP_FRAMING_FIXED:
        write_fixed(code, framing);
        break;
    default:
        throw std::logic_error("a parser for framing that has none");
    }
    return loadable(std::move(code).finish(),
                    {"stap_parse", BPF_PROG_TYPE_SOCKET_FILTER, "tap policy"});
}

} // namespace bpfilter::tap
