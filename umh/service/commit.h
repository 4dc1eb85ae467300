// SPDX-License-Identifier: GPL-2.0
//
// commit: the last stage. Makes maps and programs of a table, loads them, and has the module
// put them in force. Whatever fails on the way changes nothing.
#pragma once

#include "umh/pipe/kernel.h"
#include "umh/pipe/message.h"
#include "umh/service/settings.h"
#include "umh/service/table_state.h"

#include <cstddef>

namespace bpfilter::service {

// Behind this, the table is in force, its counters are at zero, and no packet is in the
// programs of the one before; to move what is returned takes no memory. ECANCELED: the caller is
// gone.
Result<TableState> put_in_force(blob::DecodedTable decoded, const pipe::Request &request,
                                pipe::Kernel &kernel, const Settings &settings, Arenas &arenas);

// Of how many rules, from the first on, programs that are made of it show the text.
std::size_t rules_with_text(const ir::Table &table, const Settings &settings);

// Does it have rules that a device may decide, so that changes of devices matter?
bool wants_devices(const ir::Table &table);

} // namespace bpfilter::service
