// SPDX-License-Identifier: GPL-2.0
//
// codegen: what rules ask of IPv6's extension headers, from the packet and the places that
// the walk (ipv6.h) found, into the key.
#pragma once

#include "umh/codegen/assembler.h"
#include "umh/codegen/backend.h"
#include "umh/codegen/key.h"
#include "umh/core/ir/part.h"

#include <cstdint>

namespace bpfilter::codegen {

ir::Part part_of(ExtensionHeader header);

// IPPROTO_*
std::int32_t number_of(ExtensionHeader header);

// From a header's length field to bytes: words of 4, 2 not counted, or 8, 1 not counted.
void emit_header_length(Assembler &as, Register length, bool words_of_four);

// Calls `step` for each header there may be, until it returns 1. It gets a pointer to two
// pointers, the context and the key.
void emit_packet_loop(Assembler &as, Label step);

// struct Header of those that are needed, and what belongs to it. `options`: the subprogram
// of emit_option_list_function().
void emit_headers(Assembler &as, const Backend &backend, ir::Parts parts, Label options);

// int bf_options(context, key, struct OptionList in the key, its place and left set)
void emit_option_list_function(Assembler &as, const Backend &backend, Label label);

// key.headers. `step`: the subprogram of emit_header_set_function().
void emit_header_set(Assembler &as, Label step);

// key.eui64: present if the source address is made of the sender's Ethernet address.
void emit_eui64(Assembler &as);

// int bf_header_set(iteration, pointers to context and key): one step of it.
void emit_header_set_function(Assembler &as, const Backend &backend, Label label);

// int bf_find_address(index, first half, second half): where in the routing header, from
// the index on, this address is: index + 1, or 0.
void emit_find_address_function(Assembler &as, Label label);

} // namespace bpfilter::codegen
