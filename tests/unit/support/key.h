// SPDX-License-Identifier: GPL-2.0
//
// The key (umh/core/ir/key.h) of a packet that tests made.
#pragma once

#include "tests/unit/support/packet.h"
#include "tests/unit/support/reference.h"
#include "umh/core/ir/key.h"

namespace bpfilter::test {

ir::Key key_of(ir::Family family, const PacketBytes &packet, const Devices &devices = {});

} // namespace bpfilter::test
