// SPDX-License-Identifier: GPL-2.0
//
// load: BTF for a program: the names of its subprograms, and the rules' text as its lines.
#pragma once

#include "umh/codegen/program.h"
#include "umh/util/fd.h"
#include "umh/util/result.h"

#include <linux/bpf.h>
#include <vector>

namespace bpfilter {

struct ProgramBtf {
    UniqueFd fd;
    std::vector<bpf_func_info> functions;
    std::vector<bpf_line_info> lines;
};

Result<ProgramBtf> load_btf(const codegen::Program &program);

} // namespace bpfilter
