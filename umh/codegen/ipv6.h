// SPDX-License-Identifier: GPL-2.0
//
// codegen: from an IPv6 packet to the key: the walk over the extension headers of
// umh/core/ir/parse6.cpp, made once, and what is found on it.
#pragma once

#include "umh/codegen/assembler.h"
#include "umh/codegen/backend.h"
#include "umh/core/ir/part.h"

namespace bpfilter::codegen {

// The subprograms that the prologue may call.
struct Ipv6Functions {
    Label options; // of emit_options_function()
    // Of emit_ipv6_functions():
    Label step;
    Label option_list;
    Label set_step;
    Label find_address;
};

// From the IP header and the length in the key; as much as is needed.
void emit_ipv6_headers(Assembler &as, const Backend &backend, ir::Parts parts,
                       const Ipv6Functions &functions);

// Those of the subprograms that are called. There may be as many headers as fit a packet, so
// some are steps of a bpf_loop().
void emit_ipv6_functions(Assembler &as, const Backend &backend, const Ipv6Functions &functions);

} // namespace bpfilter::codegen
