// SPDX-License-Identifier: GPL-2.0
//
// Namespace: the tables of one network namespace, and what may be asked of them. Used by one
// thread at a time (its strand).
#pragma once

#include "umh/pipe/kernel.h"
#include "umh/pipe/message.h"
#include "umh/service/settings.h"
#include "umh/service/table_state.h"
#include "umh/xdp/attach.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace bpfilter::service {

class Namespace {
public:
    Namespace(pipe::Kernel &kernel, const Settings &settings, Arenas &arenas)
        : kernel_(kernel), settings_(settings), arenas_(arenas)
    {
    }

    // One for each opcode of a table; see pipe.h for what goes in and comes out. The message of a
    // request may be taken over.
    pipe::Outcome get_info(pipe::Request &request);
    pipe::Outcome get_entries(pipe::Request &request);
    pipe::Outcome replace(pipe::Request &request);
    pipe::Outcome old_counters(pipe::Request &request);
    pipe::Outcome add_counters(pipe::Request &request);
    pipe::Outcome replay(pipe::Request &request);
    pipe::Outcome devices(pipe::Request &request);

private:
    using Key = std::pair<ir::Family, std::string>;

    // The table, with its first contents if it was not there.
    Result<TableState *> table(const pipe::Request &request, std::string_view name);
    Result<std::uint32_t> current_rule_count(const blob::DecodedTable &decoded) const;
    // Is a REPLACE of it for the table in force? EAGAIN: it is not.
    Result<> check_counters(const blob::DecodedTable &decoded) const;
    // Puts it in force, and remembers it.
    Result<TableState *> commit(const pipe::Request &request, blob::DecodedTable decoded);

    pipe::Kernel &kernel_;
    const Settings &settings_;
    Arenas &arenas_;
    std::map<Key, TableState> tables_;
    xdp::Attachments attachments_;
    std::uint64_t last_serial_ = 0;
};

} // namespace bpfilter::service
