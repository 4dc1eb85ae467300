// SPDX-License-Identifier: GPL-2.0
//
// What the kernel is told of a program besides its instructions.
#pragma once

#include "umh/codegen/program.h"
#include "umh/util/result.h"

#include <linux/bpf.h>

namespace bpfilter::tap {

struct Load {
    const char *name;
    bpf_prog_type type;
    const char *source; // of its lines, for who lists it
};

inline Result<codegen::Program> loadable(Result<codegen::Program> program, const Load &how)
{
    if (program) {
        program->name = how.name;
        program->type = how.type;
        program->source = how.source;
    }
    return program;
}

} // namespace bpfilter::tap
