// SPDX-License-Identifier: GPL-2.0
//
// codegen: the instructions for one match. They read the key at r7 and use r0 to r5.
//
// What matches falls through; what does not jumps to `next`. With most rules not matching
// most packets, and the rest of the rule behind the fall-through, the verifier is done with
// a rule's body before it goes on with `next`, and few jumps wait for it.
#pragma once

#include "umh/codegen/assembler.h"
#include "umh/codegen/key.h"
#include "umh/core/ir/match.h"
#include "umh/core/ir/table.h"

#include <array>
#include <cstdint>

namespace bpfilter::codegen {

// What the rules of a program ask for beyond the IP header.
struct Needs {
    ir::Family family = ir::Family::ipv4;
    bool devices = false; // their names
    bool l4 = false;
    bool options = false;
    // IPv6
    bool walk = false;
    std::array<bool, extension_header_count> header{};
    bool hop_options = false;
    bool destination_options = false;
    bool addresses = false; // of the routing header
    bool headers = false;
    bool eui64 = false;
    Label find_address{}; // bf_find_address

    void add(const ir::Rule &rule);
    // Where the stack is in the key.
    [[nodiscard]] std::int32_t stack() const
    {
        return static_cast<std::int32_t>(sizeof(Key) + (addresses ? route_size : 0));
    }
};

struct MatchExits {
    Label next;    // no match
    Label hotdrop; // the packet is dropped, and the rule not counted
};

// The matches of a rule, in order.
void emit_matches(Assembler &as, const ir::Rule &rule, const Needs &needs, const MatchExits &exits);

} // namespace bpfilter::codegen
