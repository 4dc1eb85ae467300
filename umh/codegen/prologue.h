// SPDX-License-Identifier: GPL-2.0
//
// codegen: from the packet to the key.
//
// Registers from here on: r6 the context, r7 the key, both for the whole program.
#pragma once

#include "umh/codegen/assembler.h"
#include "umh/codegen/backend.h"
#include "umh/codegen/key.h"
#include "umh/core/ir/table.h"

namespace bpfilter::codegen {

// r6 = context, r7 = key. No element (which cannot be): jumps to `fail`.
void emit_entry(Assembler &as, Label fail);

// r0 = load_bytes(packet, offset, key + to, length): not 0 if the bytes are not there.
void emit_load_bytes(Assembler &as, const Backend &backend, std::int32_t offset, std::size_t to,
                     std::int32_t length);

inline constexpr std::int32_t ipv4_header = 20;
inline constexpr std::int32_t ipv6_header = 40;

// The fixed part of the IP header into the key; jumps to `fail` without one.
void emit_ip_header(Assembler &as, const Backend &backend, ir::Family family, Label fail);

// IPv4: the L4 header and its state, from the IP header and the length in the key. `options`
// is the subprogram of emit_options_function().
void emit_l4_header(Assembler &as, const Backend &backend, ir::Parts parts, Label options);

// key.l4 from the transport header r9 bytes behind the beginning of the IP header, which
// belongs to no later fragment.
void emit_transport(Assembler &as, const Backend &backend, ir::Parts parts, Label options);

// Sets a HeaderState in the key.
void emit_state(Assembler &as, std::size_t offset, HeaderState state);

// The same of all states of the transport header that these parts ask for, but of its options.
void emit_transport_states(Assembler &as, ir::Parts parts, HeaderState state);

// int bf_tcp_options(context, key, offset of the TCP header in the packet from the IP header)
void emit_options_function(Assembler &as, const Backend &backend, Label label);

// int bf_count(rule, length)
void emit_count_function(Assembler &as, Label label);

// Counts the packet for a rule.
void emit_count(Assembler &as, Label count, std::uint32_t rule);

} // namespace bpfilter::codegen
