// SPDX-License-Identifier: GPL-2.0
//
// xdp: which devices carry which program, in one network namespace.
//
// Programs are attached by BPF links that this object owns: when it goes, or the helper
// dies, they are detached, and netfilter does all the work, as it does for a device where
// attaching fails (busy, not supported). Failure here is never a request's failure.
//
// Devices left alone: those with a master (bridge, bond, VRF), those that VLAN, macvlan
// or ipvlan devices stand on, those that are down, and those that are neither Ethernet
// nor loopback.
//
// Nothing is kept open that would hold the namespace: links do not. A device that moves to
// another namespace or gets another name takes its program along until update() is called.
#pragma once

#include "bpfilter/pipe.h"
#include "umh/core/ir/table.h"
#include "umh/util/fd.h"
#include "umh/util/result.h"
#include "umh/xdp/program.h"
#include "umh/xdp/surroundings.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bpfilter::xdp {

// One of as many links as all namespaces may have together, if there was one left.
class LinkPlace {
public:
    LinkPlace();
    LinkPlace(LinkPlace &&other) noexcept : held_(std::exchange(other.held_, false)) {}
    LinkPlace &operator=(LinkPlace &&other) noexcept
    {
        std::swap(held_, other.held_);
        return *this;
    }
    LinkPlace(const LinkPlace &) = delete;
    LinkPlace &operator=(const LinkPlace &) = delete;
    ~LinkPlace();

    explicit operator bool() const { return held_; }

private:
    bool held_;
};

class Attachments {
public:
    // Brings the devices in line with the table, which must have been committed (its
    // counters in force) or be about to: attaches, updates in place, detaches. Returns
    // sentences for the log, one for each device that could not be served.
    //
    // Call it behind COMMIT, and again at OP_DEVICES. Between a COMMIT and this, the old
    // table's programs may still drop: each packet is judged by one table all the same, for
    // what they do not drop comes to netfilter untouched and uncounted.
    std::vector<std::string> update(int netns_fd, const ir::Table &table, ir::Hook hook,
                                    bpfilter_xdp_mode mode, int counters_fd);

    // Detaches all.
    void clear();

    // Names of the devices that carry a program now, for tests and logs.
    [[nodiscard]] std::vector<std::string> devices() const;

private:
    struct Attachment {
        UniqueFd link;
        LinkPlace place;
        std::string device;
        bpfilter_xdp_mode mode = BPFILTER_XDP_OFF; // the setting it was made under
    };

    Result<> serve(const Device &device, int program, bpfilter_xdp_mode mode);

    std::map<int, Attachment> attachments_; // by index of the device
};

} // namespace bpfilter::xdp
