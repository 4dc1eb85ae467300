// SPDX-License-Identifier: GPL-2.0
//
// commit: the last stage. Makes maps and programs of a table, loads them, and has the module
// put them in force. Whatever fails on the way changes nothing.
#pragma once

#include "umh/pipe/kernel.h"
#include "umh/service/settings.h"
#include "umh/service/table_state.h"

#include <cstdint>

namespace bpfilter::service {

// Behind this, the table is in force, its counters are at zero, and no packet is in the
// programs of the one before. ECANCELED: the caller is gone.
Result<TableState> put_in_force(blob::DecodedTable decoded, std::uint64_t request,
                                pipe::Kernel &kernel, const Settings &settings, Arenas &arenas);

// Is this the table whose rules a device may decide?
bool may_want_devices(const ir::Table &table);

// Does it have such rules, so that changes of devices matter?
bool wants_devices(const ir::Table &table);

} // namespace bpfilter::service
