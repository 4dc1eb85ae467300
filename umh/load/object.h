// SPDX-License-Identifier: GPL-2.0
//
// load: programs that clang compiled when the helper was built (umh/bpf/). libbpf has no part in
// this, since it would want an ELF file, and libelf.
#pragma once

#include "umh/load/limit.h"
#include "umh/util/fd.h"
#include "umh/util/result.h"

#include <cstdint>
#include <linux/bpf.h>
#include <span>
#include <string>
#include <string_view>

namespace bpfilter {

// Made by scripts/bpf-object.
struct Object {
    // The two instructions at `insn` load what this is.
    struct Symbol {
        std::uint32_t insn;
        std::string_view name;
    };

    std::string_view name; // of its entry
    std::span<const std::uint64_t> insns;
    std::span<const Symbol> symbols;
    std::span<const unsigned char> btf;
    std::span<const bpf_func_info> functions;
    std::span<const bpf_line_info> lines;
};

// What a symbol stands for (umh/bpf/types.h).
struct SymbolValue {
    enum class Kind : std::uint8_t { map, number };
    std::string_view name;
    Kind kind{};
    std::uint32_t value = 0; // a map's descriptor, or the number
};

// Verified and loaded, under this name. A symbol without a value: EINVAL. ENOMEM: there is not the
// memory or the time, or no descriptor is left. The verifier refuses it: EIO, a bug of ours.
Result<UniqueFd> load_object(const Object &object, const std::string &name,
                             std::span<const SymbolValue> values);

extern const Object object_bf_walk; // umh/bpf/netfilter.bpf.c

} // namespace bpfilter
