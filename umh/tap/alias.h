// SPDX-License-Identifier: GPL-2.0
//
// tap: SO_ULP at SOL_SOCKET. The kernel has no such option, so a program at the root of the
// control groups makes the option STAP_SO_ULP of SOL_IP of it, which stap.ko has registered;
// and since getsockopt() can't be led elsewhere, another program gives the answer itself.
#pragma once

#include "umh/codegen/program.h"
#include "umh/util/fd.h"
#include "umh/util/result.h"

#include <bpfilter/pipe.h>

namespace bpfilter::tap {

Result<codegen::Program> generate_set_alias();
// It reads the kernel's memory, at these places.
Result<codegen::Program> generate_get_alias(const bpfilter_so_ulp &places);

struct Alias {
    UniqueFd set; // links
    UniqueFd get; // none, if the kernel lets no program read its memory (lockdown)
};

// In force as long as the links are there.
Result<Alias> attach_alias(const bpfilter_so_ulp &places);

} // namespace bpfilter::tap
