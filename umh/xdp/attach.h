// SPDX-License-Identifier: GPL-2.0
//
// xdp: which devices carry which program, in one network namespace.
//
// Links and guards are the module's (<bpfilter/xdp.h>, IOC_ATTACH): it says which devices
// qualify, how they are called at this moment, and which addresses are local; and it sets a
// guard only if that is still so. What was made here, and for what, is remembered, so that
// nothing is made again for a table and a device that stayed. A helper that knows nothing yet
// takes over the links that are there, with programs of its own.
//
// Netfilter has all the rules, whatever comes of this: failure is never a request's failure.
#pragma once

#include "bpfilter/xdp.h"
#include "umh/core/ir/table.h"
#include "umh/counters/counting.h"
#include "umh/load/map.h"
#include "umh/pipe/kernel.h"
#include "umh/util/fd.h"
#include "umh/util/result.h"
#include "umh/xdp/flood.h"
#include "umh/xdp/program.h"
#include "umh/xdp/retry.h"

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace bpfilter::xdp {

// The table in force, whose INPUT has the lead.
struct Source {
    const ir::Table &table;
    std::uint64_t serial; // another one for every table
    const Counting &counting;
    int counters; // bf_counters; -1: no rule is for devices
};

class Attachments {
public:
    // Brings the devices in line with table, mode and surroundings. Returns sentences for the
    // log, one for each device that could not be served, but for what was said before.
    std::vector<std::string> update(pipe::Kernel &kernel, std::uint64_t request,
                                    const Source &source, bpfilter_xdp_mode mode,
                                    std::uint32_t rate);

    // Whether that is all there was to do: an update makes programs for a second, and leaves those
    // of the other devices to the next.
    [[nodiscard]] bool finished() const { return finished_; }

private:
    struct Attachment {
        Device device;
        std::uint64_t serial = 0; // of the table that its program is made of; 0: it is idle
    };
    struct Round; // one update
    using Lead = std::span<const ir::Rule>;

    // It has a program of this table, in this mode.
    [[nodiscard]] bool is_served(const Round &round, const bpfilter_look_device &seen,
                                 bpfilter_xdp_mode mode) const;
    static bool can_decide(const Round &round, const bpfilter_look_device &seen);
    bpfilter_xdp_mode wanted(const Round &round, const bpfilter_look_device &seen, Lead lead);
    Result<> serve(const Round &round, const bpfilter_look_device &seen, Lead lead,
                   bpfilter_xdp_mode mode);
    Result<> make(const Round &round, const Device &device, Lead lead, bpfilter_xdp_mode mode,
                  bool has_link);
    std::vector<std::string> serve_all(const Round &round, Lead lead, bool again,
                                       std::set<std::uint32_t> &served);
    void settle_all(const Round &round, const std::set<std::uint32_t> &served);
    void settle(const Round &round, const bpfilter_look_link &link, bool may_stay);
    Result<> idle(const Round &round, const bpfilter_look_link &link);
    Result<> share(const pipe::Look &look);
    Result<> open_shared(const pipe::Look &look);
    Result<> fill_shared(const pipe::Look &look);
    std::vector<std::string> bring_in_line(const Round &round);

    std::map<std::uint32_t, Attachment> attachments_; // by index of the device
    std::map<std::uint32_t, Flood> floods_;
    Retries retries_;
    // Maps of all programs, whose they are: held open within an update only.
    std::uint32_t context_id_ = 0;
    std::uint32_t local_id_ = 0;
    UniqueFd context_;
    UniqueFd local_;
    std::vector<LocalPrefix> prefixes_; // what is in local_
    bool finished_ = true;
    std::uint64_t said_for_ = 0; // a table
    std::set<std::string> said_;
};

} // namespace bpfilter::xdp
