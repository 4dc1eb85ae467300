// SPDX-License-Identifier: GPL-2.0
//
// Program: what codegen makes and load takes. A value; nothing in it is a descriptor yet.
#pragma once

#include <cstdint>
#include <linux/bpf.h>
#include <string>
#include <vector>

namespace bpfilter::codegen {

// The maps a program can refer to. load fills the descriptors in.
enum class MapSlot : std::uint8_t {
    context,  // per-CPU array, element 0: struct bpfilter_context and the key (key.h)
    counters, // per-CPU array by rule id: ir::Counters
    local,    // LPM trie of addresses (xdp only)
    guard,    // array of one number (xdp only)
};

struct MapReference {
    std::uint32_t insn = 0; // the first half of a ld_imm64
    MapSlot map = MapSlot::context;
};

struct Function {
    std::string name;
    std::uint32_t insn = 0; // its first instruction
    std::uint32_t arguments = 0;
    bool global = false; // verified on its own, for any arguments (all are numbers)
};

// The text of a rule beside its first instruction, for `bpftool prog dump`.
struct Line {
    std::uint32_t insn = 0;
    std::uint32_t number = 0;
    std::string text;
};

struct Program {
    std::string name; // at most 15 characters
    bpf_prog_type type = BPF_PROG_TYPE_UNSPEC;
    bpf_attach_type attach{}; // for types that ask for it
    std::uint32_t flags = 0;  // BPF_F_*
    std::string source;       // stands where a file name would: "filter INPUT"
    std::vector<bpf_insn> insns;
    std::vector<MapReference> maps;  // ascending
    std::vector<Function> functions; // ascending; the first is the program itself
    std::vector<Line> lines;         // strictly ascending, one at each function
};

} // namespace bpfilter::codegen
