// SPDX-License-Identifier: GPL-2.0
//
// codegen: the instructions for what only an IPv6 rule asks. Part of match.h, which see.
#pragma once

#include "umh/codegen/match.h"

namespace bpfilter::codegen {

void emit_ipv6_match(Assembler &as, const ir::Match &match, const Needs &needs,
                     const MatchExits &exits);

// What this match needs of the extension headers.
void add_ipv6(const ir::Match &match, Needs &needs);

} // namespace bpfilter::codegen
