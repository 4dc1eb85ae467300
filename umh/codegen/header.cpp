// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/header.h"

#include "umh/codegen/prologue.h"

#include <array>
#include <cstddef>
#include <netinet/in.h>

namespace bpfilter::codegen {

namespace {

constexpr std::size_t scratch = offsetof(Key, scratch);

// Bytes to be loaded of each: what rules ask about.
constexpr std::array<std::int32_t, extension_header_count> sizes{2, 8, 8, 12, 2};

// A header that is not all there, of which so far "hotdrop" is known. Falls through if this
// kernel does not mind.
void emit_beyond_packet(Assembler &as, ExtensionHeader header, Label done)
{
    const std::size_t to = offsetof(Key, header) + header * sizeof(Header);

    as.emit(load(BPF_W, r1, r7, offsetof(Key, names.quirks)));
    if (header == authentication) {
        as.emit(alu(BPF_AND, r1, BPFILTER_QUIRK_AUTHENTICATION));
        as.jump_if(BPF_JEQ, r1, 0, done);
        return;
    }
    as.emit(alu(BPF_AND, r1, BPFILTER_QUIRK_OPTIONS));
    as.jump_if(BPF_JEQ, r1, 0, done);
    emit_state(as, to + offsetof(Header, state), header_absent);
    as.jump(done);
}

// r9 = its place, r8 = its length. Falls through if it is there, with struct Header filled.
void emit_header(Assembler &as, const Backend &backend, ExtensionHeader header, Label done)
{
    const std::size_t to = offsetof(Key, header) + header * sizeof(Header);
    const std::size_t bytes = to + offsetof(Header, bytes);
    const Label there = as.label();

    as.emit(load(BPF_W, r9, r7, offsetof(Key, walk.place) + header * sizeof(std::uint32_t)));
    as.jump_if(BPF_JNE, r9, 0, there);
    emit_state(as, to + offsetof(Header, state), header_absent);
    as.emit(load(BPF_W, r1, r7, offsetof(Key, walk.bad)));
    as.jump_if(BPF_JEQ, r1, 0, done);
    emit_state(as, to + offsetof(Header, state), header_hotdrop);
    as.jump(done);

    as.bind(there);
    emit_state(as, to + offsetof(Header, state), header_hotdrop);
    as.emit(move(r1, r6));
    as.emit(move(r2, r9));
    as.emit(alu(BPF_ADD, r2, backend.l3));
    as.emit(move(r3, r7));
    as.emit(alu(BPF_ADD, r3, static_cast<std::int32_t>(bytes)));
    as.emit(move(r4, sizes.at(header)));
    as.emit(call_helper(backend.load_bytes));
    const Label beyond = as.label();
    const Label whole = as.label();
    as.jump_if(BPF_JNE, r0, 0, header == routing ? beyond : done);
    if (header == fragment) {
        as.emit(move(r8, 8));
    } else {
        as.emit(load(BPF_B, r8, r7, bytes + 1));
        emit_header_length(as, r8, header == authentication);
        as.emit(load(BPF_W, r1, r7, offsetof(Key, length)));
        as.emit(alu(BPF_SUB, r1, r9));
        as.jump_if(BPF_JGE, r1, r8, whole);
        as.bind(beyond);
        emit_beyond_packet(as, header, done);
    }
    as.bind(whole);
    as.emit(store(BPF_W, r7, static_cast<std::int32_t>(to + offsetof(Header, length)), r8));
    emit_state(as, to + offsetof(Header, state), header_present);
}

// Of the header at r9 with the length r8.
void emit_options(Assembler &as, std::size_t list, Label function)
{
    const auto at = [list](std::size_t field) { return static_cast<std::int32_t>(list + field); };
    as.emit(alu(BPF_ADD, r9, 2));
    as.emit(store(BPF_W, r7, at(offsetof(OptionList, place)), r9));
    as.emit(alu(BPF_SUB, r8, 2));
    as.emit(store(BPF_W, r7, at(offsetof(OptionList, left)), r8));
    as.emit(move(r1, r6));
    as.emit(move(r2, r7));
    as.emit(move(r3, r7));
    as.emit(alu(BPF_ADD, r3, at(0)));
    as.call(function);
}

// Whole addresses only.
void emit_route(Assembler &as, const Backend &backend, Label done)
{
    constexpr std::int32_t fixed = 8;
    as.emit(load(BPF_W, r4, r7,
                 offsetof(Key, header) + routing * sizeof(Header) + offsetof(Header, length)));
    as.emit(alu(BPF_SUB, r4, fixed));
    as.emit(alu(BPF_AND, r4, 0x7f0));
    as.jump_if(BPF_JLT, r4, 16, done);
    as.jump_if(BPF_JGT, r4, route_size, done);
    as.emit(move(r1, r6));
    as.emit(move(r2, r9));
    as.emit(alu(BPF_ADD, r2, backend.l3 + fixed));
    as.emit(move(r3, r7));
    as.emit(alu(BPF_ADD, r3, static_cast<std::int32_t>(route_offset)));
    as.emit(call_helper(backend.load_bytes));
}

} // namespace

ir::Part part_of(ExtensionHeader header)
{
    static constexpr std::array<ir::Part, extension_header_count> parts{
        ir::Part::hop, ir::Part::routing, ir::Part::frag, ir::Part::ah, ir::Part::dst};
    return parts.at(header);
}

std::int32_t number_of(ExtensionHeader header)
{
    static constexpr std::array<std::int32_t, extension_header_count> numbers{
        IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_AH, IPPROTO_DSTOPTS};
    return numbers.at(header);
}

void emit_header_length(Assembler &as, Register length, bool words_of_four)
{
    as.emit(alu(BPF_ADD, length, words_of_four ? 2 : 1));
    as.emit(alu(BPF_LSH, length, words_of_four ? 2 : 3));
}

void emit_packet_loop(Assembler &as, Label step)
{
    constexpr std::int32_t loops_max = 1 << 23; // the kernel's limit, beyond any packet

    as.emit(store(BPF_DW, r10, -24, r6));
    as.emit(store(BPF_DW, r10, -16, r7));
    as.emit(move(r1, loops_max));
    as.load_function(r2, step);
    as.emit(move(r3, r10));
    as.emit(alu(BPF_ADD, r3, -24));
    as.emit(move(r4, 0));
    as.emit(call_helper(BPF_FUNC_loop));
}

void emit_headers(Assembler &as, const Backend &backend, ir::Parts parts, Label options)
{
    for (const auto header : {hop, routing, fragment, authentication, destination}) {
        if (!parts.has(part_of(header)))
            continue;
        const Label done = as.label();
        emit_header(as, backend, header, done);
        if (header == hop && parts.has(ir::Part::hop_options))
            emit_options(as, offsetof(Key, hop_options), options);
        if (header == destination && parts.has(ir::Part::dst_options))
            emit_options(as, offsetof(Key, destination_options), options);
        if (header == routing && parts.has(ir::Part::route))
            emit_route(as, backend, done);
        as.bind(done);
    }
}

void emit_option_list_function(Assembler &as, const Backend &backend, Label label)
{
    const Label step = as.label();
    const Label load_them = as.label();
    const Label whole = as.label();
    const Label done = as.label();

    // r6 the context, r7 the key, r8 the list, r9 how many more.
    as.function(label, Function{.name = "bf_options", .arguments = 3});
    as.emit(move(r6, r1));
    as.emit(move(r7, r2));
    as.emit(move(r8, r3));
    as.emit(store(BPF_W, r8, offsetof(OptionList, count), 0));
    as.emit(move(r9, option_list_max));

    // The type, and the length unless nothing is left.
    as.bind(step);
    as.emit(load(BPF_W, r1, r8, offsetof(OptionList, left)));
    as.emit(move(r4, 1));
    as.jump_if(BPF_JLT, r1, 1, done);
    as.jump_if(BPF_JLT, r1, 2, load_them);
    as.emit(move(r4, 2));
    as.bind(load_them);
    as.emit(move(r1, r6));
    as.emit(load(BPF_W, r2, r8, offsetof(OptionList, place)));
    as.emit(alu(BPF_ADD, r2, backend.l3));
    as.emit(move(r3, r7));
    as.emit(alu(BPF_ADD, r3, scratch));
    as.emit(call_helper(backend.load_bytes));
    as.jump_if(BPF_JNE, r0, 0, done);
    as.emit(load(BPF_W, r1, r8, offsetof(OptionList, left)));
    as.emit(load(BPF_B, r2, r7, scratch));
    as.emit(move(r3, 1));
    as.jump_if(BPF_JEQ, r2, 0, whole);
    as.jump_if(BPF_JLT, r1, 2, done);
    as.emit(load(BPF_B, r3, r7, scratch + 1));
    as.emit(alu(BPF_ADD, r3, 2));

    // One of type r2, r3 bytes long, of which r1 may be left. What is not in the header is
    // listed, but nothing behind it.
    as.bind(whole);
    as.emit(load(BPF_W, r4, r8, offsetof(OptionList, count)));
    as.jump_if(BPF_JGE, r4, option_list_max, done);
    as.emit(move(r5, r4));
    as.emit(alu(BPF_LSH, r5, 1));
    as.emit(alu(BPF_ADD, r5, r8));
    as.emit(store(BPF_B, r5, offsetof(OptionList, options[0].type), r2));
    as.emit(load(BPF_B, r2, r7, scratch + 1));
    as.emit(store(BPF_B, r5, offsetof(OptionList, options[0].length), r2));
    as.emit(alu(BPF_ADD, r4, 1));
    as.emit(store(BPF_W, r8, offsetof(OptionList, count), r4));
    as.jump_if(BPF_JLT, r1, r3, done);
    as.emit(alu(BPF_SUB, r1, r3));
    as.emit(store(BPF_W, r8, offsetof(OptionList, left), r1));
    as.emit(load(BPF_W, r2, r8, offsetof(OptionList, place)));
    as.emit(alu(BPF_ADD, r2, r3));
    as.emit(store(BPF_W, r8, offsetof(OptionList, place), r2));
    as.emit(alu(BPF_SUB, r9, 1));
    as.jump_if(BPF_JNE, r9, 0, step);
    as.jump(done);
    as.bind(done);
    as.emit(move(r0, 0));
    as.emit(exit_insn());
}

void emit_find_address_function(Assembler &as, Label label)
{
    constexpr std::int32_t most = route_size / 16;
    const Label step = as.label();
    const Label other = as.label();
    const Label none = as.label();

    // Global, as bf_count is: verified once. r6 the index, r7 and r8 the address, r9 how
    // many more.
    as.function(label, Function{.name = "bf_find_address", .arguments = 3, .global = true});
    as.emit(move(r6, r1));
    as.emit(move(r7, r2));
    as.emit(move(r8, r3));
    as.emit(store(BPF_W, r10, -4, 0));
    as.emit(move(r2, r10));
    as.emit(alu(BPF_ADD, r2, -4));
    as.load_map(r1, MapSlot::context);
    as.emit(call_helper(BPF_FUNC_map_lookup_elem));
    as.jump_if(BPF_JEQ, r0, 0, none);
    as.emit(load(BPF_W, r5, r0,
                 offsetof(Key, header) + routing * sizeof(Header) + offsetof(Header, length)));
    as.emit(alu(BPF_SUB, r5, 8));
    as.emit(alu(BPF_RSH, r5, 4));
    as.emit(move(r9, most));

    as.bind(step);
    as.jump_if(BPF_JGE, r6, r5, none);
    as.jump_if(BPF_JGE, r6, most, none);
    as.emit(move(r1, r6));
    as.emit(alu(BPF_LSH, r1, 4));
    as.emit(alu(BPF_ADD, r1, r0));
    as.emit(alu(BPF_ADD, r6, 1));
    as.emit(load(BPF_DW, r2, r1, route_offset));
    as.jump_if(BPF_JNE, r2, r7, other);
    as.emit(load(BPF_DW, r2, r1, route_offset + 8));
    as.jump_if(BPF_JNE, r2, r8, other);
    as.emit(move(r0, r6));
    as.emit(exit_insn());
    as.bind(other);
    as.emit(alu(BPF_SUB, r9, 1));
    as.jump_if(BPF_JNE, r9, 0, step);
    as.jump(none);
    as.bind(none);
    as.emit(move(r0, 0));
    as.emit(exit_insn());
}

} // namespace bpfilter::codegen
