// SPDX-License-Identifier: GPL-2.0
//
// codegen: a table in, one program per hook out.
//
// The program does what ipt_do_table does, to the counter. A hook whose rules have no
// chains to call is straight code. With user chains it is *blocks*, subprograms of
// consecutive rules, run by a bpf_loop() until one of them gives a verdict: a block is told
// which rule to start with (key.pc) and says where to go on. The return stack is in the
// key, so chains may be nested as deep as ip_tables lets them be.
#pragma once

#include "umh/codegen/backend.h"
#include "umh/codegen/program.h"
#include "umh/core/ir/table.h"
#include "umh/util/result.h"

#include <cstdint>

namespace bpfilter::codegen {

// The value size of the context map that the programs of this table need. ENOMEM: chains
// nested deeper than stack_max.
Result<std::uint32_t> context_size(const ir::Table &table);

// What its programs look at in struct bpfilter_context, beside the quirks.
struct ContextUse {
    bool devices = false;
    bool link = false;
    bool connection = false;
};
ContextUse use_of(ir::Parts parts);
ContextUse context_use(const ir::Table &table);

// Can this table be code? Not if it calls the kernel's own matches and targets, changes packets, or
// asks what the kernel has noted of them.
bool can_generate(const ir::Table &table);

// The program of one hook, which the table must have. ENOMEM: larger than a program can be; EIO: it
// cannot be code.
// Backends: netfilter (umh/xdp makes the programs of the other).
Result<Program> generate(const ir::Table &table, ir::Hook hook, const Backend &backend = netfilter);

} // namespace bpfilter::codegen
