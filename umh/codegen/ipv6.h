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
    Label options; // of emit_options_function()
    // Of emit_ipv6_functions():
    Label step;
    Label option_list;
    Label set_step;
};

// From the IP header and the length in the key; as much as is needed.
void emit_ipv6_headers(Assembler &as, const Backend &backend, const Needs &needs,
                       const Ipv6Functions &functions);

// Those of the subprograms that are called. There may be as many headers as fit a packet, so
// some are steps of a bpf_loop().
void emit_ipv6_functions(Assembler &as, const Backend &backend, const Needs &needs,
                         const Ipv6Functions &functions);

} // namespace bpfilter::codegen
