// SPDX-License-Identifier: GPL-2.0
//
// load: from a Program to a descriptor.
#pragma once

#include "umh/codegen/program.h"
#include "umh/load/limit.h"
#include "umh/util/fd.h"
#include "umh/util/result.h"

namespace bpfilter {

// Descriptors for codegen::MapSlot; -1 where the program has no use for it.
struct ProgramMaps {
    int context = -1;
    int counters = -1;
    int local = -1;
    int guard = -1;
};

// Fills the maps in, makes BTF, and has the kernel verify the program. On failure the error
// holds the end of the verifier's log. ENOMEM: the program is too large, for the verifier, for
// memory or for the time there is; or there is no descriptor left. Any other refusal of the
// verifier is a bug of codegen and gives EIO.
Result<UniqueFd> load_program(const codegen::Program &program, const ProgramMaps &maps);

} // namespace bpfilter
