// SPDX-License-Identifier: GPL-2.0
//
// xdp: the program of one device.
//
// It drops, with its counts, only what netfilter would certainly have brought to INPUT and
// INPUT's lead would certainly have dropped; all else it passes on, uncounted. So it looks
// for itself at what the stack checks on the way there:
//
//   eth_type_trans  an IPv4 frame to this device's own address (not broadcast, multicast,
//                   or another's); a tag in the frame is another EtherType
//   ip_rcv_core     version 4; header length (with options: passed on); total length within
//                   header and frame; header checksum
//   ip_local_deliver  a fragment is reassembled before INPUT: passed on
//   ip_route_input  destination local in bf_local, and not to be sent on, by the routing tables;
//                   off loopback, destination not 127/8 and source not multicast, 240/4, 0/8,
//                   127/8 or an address of this machine
//
// WHAT IT CANNOT SEE, the module sees (<bpfilter/xdp.h>, IOC_LOOK, IOC_ATTACH): it clears the
// guard, without which the program passes everything. What is left:
//   - rp_filter or custom local routes may keep a packet from INPUT that would have been
//     dropped there anyway: it is dropped and counted.
//   - GRO: a driver's frames are counted one by one, as they were sent.
//   - On loopback, packets are routed before they are sent: only what was injected by hand
//     would have met the checks of ip_route_input.
#pragma once

#include "umh/codegen/program.h"
#include "umh/core/ir/table.h"
#include "umh/util/result.h"

#include <array>
#include <cstddef>
#include <string>
#include <vector>

namespace bpfilter::xdp {

struct Device {
    int index = 0;
    std::string name;
    std::array<std::byte, 6> address{};
    bool loopback = false;
    bool operator==(const Device &) const = default;
};

// For a specialised lead (lead.h). Needs the slots context (of context_size()), counters
// (the table's), local and guard. ENOMEM: too large.
Result<codegen::Program> generate(const std::vector<ir::Rule> &lead, const Device &device);

// Passes everything, for a device whose lead is empty: to take a program from a device costs
// packets.
Result<codegen::Program> generate_idle();

// The value size of the context map. These programs have one of their own: a device's
// program may run while netfilter's is being run on the same CPU by a test.
std::uint32_t context_size();

} // namespace bpfilter::xdp
