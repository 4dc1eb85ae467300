// SPDX-License-Identifier: GPL-2.0
//
// The helper's log is the kernel's: it has no terminal and no files. What belongs to a
// request goes back with its reply and is printed by the module; this is for the rest.
#pragma once

namespace bpfilter {

// Makes spdlog write to /dev/kmsg, a line per message, under the helper's name. Without
// /dev/kmsg messages are dropped.
void log_to_kernel();

} // namespace bpfilter
