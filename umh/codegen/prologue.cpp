// SPDX-License-Identifier: GPL-2.0
#include "umh/codegen/prologue.h"

#include "umh/codegen/key.h"
#include "umh/core/ir/counters.h"

#include <cstddef>
#include <cstdint>
#include <netinet/ip.h>

namespace bpfilter::codegen {

namespace {

constexpr std::int32_t tcp_header = 20;
constexpr std::int32_t sctp_header = 12;
constexpr std::int32_t short_header = 8; // UDP, ICMP
constexpr std::int32_t mobility_header = 6;
constexpr std::int32_t two_ports = 4;
constexpr std::int32_t options_max = 40;
static_assert(options_max < scratch_size);

// Loads `length` bytes at r9 behind the IP header's start into key.l4.
void emit_load_l4(Assembler &as, const Backend &backend, std::int32_t length, Label missing)
{
    as.emit(move(r1, r6));
    as.emit(move(r2, r9));
    as.emit(alu(BPF_ADD, r2, backend.l3));
    as.emit(move(r3, r7));
    as.emit(alu(BPF_ADD, r3, offsetof(Key, l4)));
    as.emit(move(r4, length));
    as.emit(call_helper(backend.load_bytes));
    as.jump_if(BPF_JNE, r0, 0, missing);
}

// One step over the options: r6 the key, r7 their length, key.pc the place of this one.
// Walks as tcp_find_option of xt_tcpudp does, with the same treatment of broken lengths.
void emit_option_step(Assembler &as, Label done)
{
    const Label advance = as.label();
    constexpr std::size_t kinds = offsetof(Key, l4.option_kinds);
    constexpr std::size_t scratch = offsetof(Key, scratch);

    as.emit(load(BPF_W, r1, r6, offsetof(Key, pc)));
    as.jump_if(BPF_JGE, r1, r7, done);
    as.jump_if(BPF_JGE, r1, options_max, done);
    as.emit(move(r2, r6));
    as.emit(alu(BPF_ADD, r2, r1));
    as.emit(load(BPF_B, r3, r2, scratch));

    as.emit(move(r4, r3));
    as.emit(alu(BPF_RSH, r4, 5));
    as.emit(alu(BPF_LSH, r4, 2));
    as.emit(alu(BPF_ADD, r4, r6));
    as.emit(move(r5, r3));
    as.emit(alu32(BPF_AND, r5, 31));
    as.emit(move32(r0, 1));
    as.emit(alu32(BPF_LSH, r0, r5));
    as.emit(load(BPF_W, r5, r4, kinds));
    as.emit(alu32(BPF_OR, r5, r0));
    as.emit(store(BPF_W, r4, kinds, r5));

    as.emit(move(r4, 1));
    as.jump_if(BPF_JLT, r3, 2, advance);
    as.emit(move(r5, r1));
    as.emit(alu(BPF_ADD, r5, 1));
    as.jump_if(BPF_JGE, r5, r7, advance);
    as.emit(load(BPF_B, r4, r2, scratch + 1));
    as.jump_if(BPF_JNE, r4, 0, advance);
    as.emit(move(r4, 1));
    as.bind(advance);
    as.emit(alu(BPF_ADD, r1, r4));
    as.emit(store(BPF_W, r6, offsetof(Key, pc), r1));
}

} // namespace

void emit_entry(Assembler &as, Label fail)
{
    as.emit(move(r6, r1));
    as.emit(store(BPF_W, r10, -4, 0));
    as.emit(move(r2, r10));
    as.emit(alu(BPF_ADD, r2, -4));
    as.load_map(r1, MapSlot::context);
    as.emit(call_helper(BPF_FUNC_map_lookup_elem));
    as.jump_if(BPF_JEQ, r0, 0, fail);
    as.emit(move(r7, r0));
}

void emit_load_bytes(Assembler &as, const Backend &backend, std::int32_t offset, std::size_t to,
                     std::int32_t length)
{
    as.emit(move(r1, r6));
    as.emit(move(r2, offset));
    as.emit(move(r3, r7));
    as.emit(alu(BPF_ADD, r3, static_cast<std::int32_t>(to)));
    as.emit(move(r4, length));
    as.emit(call_helper(backend.load_bytes));
}

void emit_ip_header(Assembler &as, const Backend &backend, ir::Family family, Label fail)
{
    emit_load_bytes(as, backend, backend.l3, offsetof(Key, ip),
                    family == ir::Family::ipv6 ? ipv6_header : ipv4_header);
    as.jump_if(BPF_JNE, r0, 0, fail);
}

void emit_state(Assembler &as, std::size_t offset, HeaderState state)
{
    as.emit(store(BPF_W, r7, static_cast<std::int32_t>(offset), static_cast<std::int32_t>(state)));
}

void emit_transport_states(Assembler &as, ir::Parts parts, HeaderState state)
{
    emit_state(as, offsetof(Key, l4.tcp), state);
    emit_state(as, offsetof(Key, l4.short_header), state);
    emit_state(as, offsetof(Key, l4.mobility), state);
    if (parts.has(ir::Part::beginnings)) {
        emit_state(as, offsetof(Key, l4.pair), state);
        emit_state(as, offsetof(Key, l4.sctp), state);
    }
}

void emit_l4_header(Assembler &as, const Backend &backend, ir::Parts parts, Label options)
{
    const Label whole = as.label();
    const Label done = as.label();

    // Offset 0: a whole packet or a first fragment. 1: would overwrite the TCP flags.
    as.emit(load(BPF_H, r8, r7, offsetof(Key, ip) + 6));
    as.emit(from_network16(r8));
    as.emit(alu(BPF_AND, r8, IP_OFFMASK));
    as.jump_if(BPF_JEQ, r8, 0, whole);
    emit_transport_states(as, parts, header_absent);
    emit_state(as, offsetof(Key, l4.tcp), header_hotdrop);
    as.jump_if(BPF_JEQ, r8, 1, done);
    emit_state(as, offsetof(Key, l4.tcp), header_absent);
    as.jump(done);

    as.bind(whole);
    as.emit(load(BPF_B, r9, r7, offsetof(Key, ip)));
    as.emit(alu(BPF_AND, r9, 0xf));
    as.emit(alu(BPF_LSH, r9, 2));
    emit_transport(as, backend, parts, options);
    as.bind(done);
}

void emit_transport(Assembler &as, const Backend &backend, ir::Parts parts, Label options)
{
    const Label only_short = as.label();
    const Label only_mobility = as.label();
    const Label only_pair = as.label();
    const Label done = as.label();
    const bool beginnings = parts.has(ir::Part::beginnings);
    constexpr std::size_t short_state = offsetof(Key, l4.short_header);
    constexpr std::size_t mobility = offsetof(Key, l4.mobility);
    constexpr std::size_t pair = offsetof(Key, l4.pair);
    constexpr std::size_t sctp = offsetof(Key, l4.sctp);

    emit_transport_states(as, parts, header_hotdrop);
    as.emit(load(BPF_W, r8, r7, offsetof(Key, length)));
    as.emit(alu(BPF_SUB, r8, r9));
    as.jump_if(BPF_JSLT, r8, mobility_header, beginnings ? only_pair : done);
    as.jump_if(BPF_JSLT, r8, short_header, only_mobility);
    as.jump_if(BPF_JSLT, r8, tcp_header, only_short);
    emit_load_l4(as, backend, tcp_header, done);
    emit_transport_states(as, parts, header_present);
    if (parts.has(ir::Part::tcp_options)) {
        as.emit(move(r1, r6));
        as.emit(move(r2, r7));
        as.emit(move(r3, r9));
        as.call(options);
    }
    as.jump(done);

    as.bind(only_short);
    emit_load_l4(as, backend, short_header, done);
    emit_state(as, short_state, header_present);
    emit_state(as, mobility, header_present);
    if (beginnings) {
        emit_state(as, pair, header_present);
        as.jump_if(BPF_JSLT, r8, sctp_header, done);
        emit_state(as, sctp, header_present);
    }
    as.jump(done);

    as.bind(only_mobility);
    emit_load_l4(as, backend, mobility_header, done);
    emit_state(as, mobility, header_present);
    if (beginnings) {
        emit_state(as, pair, header_present);
        as.jump(done);
        as.bind(only_pair);
        as.jump_if(BPF_JSLT, r8, two_ports, done);
        emit_load_l4(as, backend, two_ports, done);
        emit_state(as, pair, header_present);
    }
    as.bind(done);
}

void emit_options_function(Assembler &as, const Backend &backend, Label label)
{
    const Label step = as.label();
    const Label done = as.label();
    const Label leave = as.label();
    constexpr auto kinds = static_cast<std::int32_t>(offsetof(Key, l4.option_kinds));

    as.function(label, Function{.name = "bf_tcp_options", .arguments = 3});
    as.emit(move(r6, r2));
    as.emit(store(BPF_W, r6, offsetof(Key, l4.options), header_hotdrop));
    for (std::int32_t i = 0; i < static_cast<std::int32_t>(sizeof(Transport::option_kinds)); i += 8)
        as.emit(store(BPF_DW, r6, kinds + i, 0));

    // Data offset in words, at least the fixed header, and all of it there.
    as.emit(load(BPF_B, r7, r6, offsetof(Key, l4) + 12));
    as.emit(alu(BPF_RSH, r7, 4));
    as.emit(alu(BPF_LSH, r7, 2));
    as.jump_if(BPF_JLT, r7, tcp_header, leave);
    as.emit(move(r5, r3));
    as.emit(alu(BPF_ADD, r5, r7));
    as.emit(load(BPF_W, r4, r6, offsetof(Key, length)));
    as.emit(alu(BPF_SUB, r7, tcp_header));
    as.jump_if(BPF_JLT, r7, 1, done);
    as.jump_if(BPF_JGT, r5, r4, leave);

    as.emit(move(r2, r3));
    as.emit(alu(BPF_ADD, r2, backend.l3 + tcp_header));
    as.emit(move(r3, r6));
    as.emit(alu(BPF_ADD, r3, offsetof(Key, scratch)));
    as.emit(move(r4, r7));
    as.emit(call_helper(backend.load_bytes));
    as.jump_if(BPF_JNE, r0, 0, leave);

    as.emit(store(BPF_W, r6, offsetof(Key, pc), 0));
    as.emit(move(r9, options_max));
    as.bind(step);
    emit_option_step(as, done);
    as.emit(alu(BPF_SUB, r9, 1));
    as.jump_if(BPF_JNE, r9, 0, step);
    as.jump(done);

    as.bind(done);
    as.emit(store(BPF_W, r6, offsetof(Key, l4.options), header_present));
    as.bind(leave);
    as.emit(move(r0, 0));
    as.emit(exit_insn());
}

void emit_count_function(Assembler &as, Label label)
{
    const Label leave = as.label();

    // Global: verified once, for any arguments, not at each of thousands of calls.
    as.function(label, Function{.name = "bf_count", .arguments = 2, .global = true});
    as.emit(alu32(BPF_MOV, r6, r2));
    as.emit(store(BPF_W, r10, -4, r1));
    as.emit(move(r2, r10));
    as.emit(alu(BPF_ADD, r2, -4));
    as.load_map(r1, MapSlot::counters);
    as.emit(call_helper(BPF_FUNC_map_lookup_elem));
    as.jump_if(BPF_JEQ, r0, 0, leave);
    // Plain additions: the element is this CPU's, and bottom halves are off.
    as.emit(load(BPF_DW, r1, r0, offsetof(ir::Counters, packets)));
    as.emit(alu(BPF_ADD, r1, 1));
    as.emit(store(BPF_DW, r0, offsetof(ir::Counters, packets), r1));
    as.emit(load(BPF_DW, r1, r0, offsetof(ir::Counters, bytes)));
    as.emit(alu(BPF_ADD, r1, r6));
    as.emit(store(BPF_DW, r0, offsetof(ir::Counters, bytes), r1));
    as.bind(leave);
    as.emit(move(r0, 0));
    as.emit(exit_insn());
}

void emit_count(Assembler &as, Label count, std::uint32_t rule)
{
    as.emit(move32(r1, rule));
    as.emit(load(BPF_W, r2, r7, offsetof(Key, length)));
    as.call(count);
}

} // namespace bpfilter::codegen
