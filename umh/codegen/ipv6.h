// SPDX-License-Identifier: GPL-2.0
//
// codegen: from an IPv6 packet to the key: the walk over the extension headers of
// ir/match6.h, made once, and what is found on it.
#pragma once

#include "umh/codegen/assembler.h"
#include "umh/codegen/backend.h"
#include "umh/codegen/match.h"

namespace bpfilter::codegen {

// The subprograms that the prologue may call.
struct Ipv6Functions {
    Label step;    // of emit_step_function()
    Label options; // of emit_options_function()
};

// From the IP header and the length in the key; as much as is needed.
void emit_ipv6_headers(Assembler &as, const Backend &backend, const Needs &needs,
                       const Ipv6Functions &functions);

// int bf_header(iteration, pointers to context and key): one step of the walk. There may be
// as many headers as fit a packet, so a bpf_loop() calls it.
void emit_step_function(Assembler &as, const Backend &backend, Label label);

} // namespace bpfilter::codegen
