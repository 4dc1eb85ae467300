// SPDX-License-Identifier: GPL-2.0
#include "umh/service/namespace.h"

#include "umh/core/blob/info.h"
#include "umh/core/blob/initial.h"
#include "umh/core/blob/layout.h"
#include "umh/core/blob/listing.h"
#include "umh/service/commit.h"
#include "umh/util/bytes.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

namespace bpfilter::service {

namespace {

using pipe::Outcome;
using pipe::Request;

ir::Family family_of(const Request &request)
{
    return static_cast<ir::Family>(request.header.family);
}

Result<const blob::Layout *> layout_of(const Request &request, const Settings &settings)
{
    return blob::find_layout(family_of(request), settings.lax);
}

// struct xt_counters_info, up to where its counters begin at the next aligned offset.
struct CountersHeader {
    char name[BPFILTER_TABLE_NAME_LEN];
    std::uint32_t num_counters;
};

template <std::size_t N> std::string_view name_in(const char (&field)[N])
{
    return {field, strnlen(field, N)};
}

// The answer to a REPLACE that comes again when the kernel has checked these. `error`: what is
// wrong with the rest.
Outcome have_checked(pipe::Kernel &kernel, const Request &request,
                     std::span<const blob::KernelEntry> checks, int error)
{
    std::vector<bpfilter_check_entry> entries;
    entries.reserve(checks.size());
    for (const blob::KernelEntry &entry : checks)
        entries.push_back({.offset = entry.offset, .hooks = entry.hooks});
    if (auto told = kernel.check(request.header.id, entries, error); !told)
        return fail(std::move(told.error()));
    return pipe::Buffer();
}

Result<blob::DecodedTable> decode_initial(const blob::TableProperties &properties,
                                          const blob::Layout &layout)
{
    return blob::decode_replace(blob::initial_replace(properties, layout), layout);
}

} // namespace

Result<TableState *> Namespace::table(const Request &request, std::string_view name)
{
    const auto found = tables_.find(Key(family_of(request), name));
    if (found != tables_.end())
        return &found->second;

    const auto properties = blob::find_table(name);
    if (!properties)
        return fail(properties.error());
    const auto layout = layout_of(request, settings_);
    if (!layout)
        return fail(layout.error());
    auto decoded = decode_initial(**properties, **layout);
    if (!decoded)
        return fail(std::move(decoded.error()));
    return commit(request, std::move(*decoded));
}

// Nothing may fail behind the COMMIT, for want of memory neither: the place is made before, and
// what it takes to leave the old one's. That nobody walks any more then, so its memory goes.
Result<TableState *> Namespace::commit(const Request &request, blob::DecodedTable decoded)
{
    const Key key(decoded.table.family, decoded.table.name);
    decltype(tables_) place;
    ArenaLeave leave;
    if (const auto old = tables_.find(key); old != tables_.end()) {
        auto made = old->second.leave_arena();
        if (!made)
            return fail(std::move(made.error()));
        leave = std::move(*made);
    } else {
        place.try_emplace(key);
    }
    auto state = put_in_force(std::move(decoded), request, kernel_, settings_, arenas_);
    if (!state)
        return fail(std::move(state.error()));
    leave.finish();
    state->serial = ++last_serial_;
    tables_.merge(place);
    auto &there = tables_.find(key)->second;
    there = std::move(*state);
    *state = {}; // the old one
    arenas_.tidy();
    return &there;
}

Outcome Namespace::get_info(Request &request)
{
    const auto in = pipe::payload_as<bpfilter_table_name>(request.payload());
    if (!in)
        return fail(in.error());
    const auto state = table(request, name_in(in->name));
    if (!state)
        return fail(state.error());
    return blob::encode_info((*state)->decoded);
}

Outcome Namespace::get_entries(Request &request)
{
    const auto in = pipe::payload_as<bpfilter_get_entries>(request.payload());
    if (!in)
        return fail(in.error());
    const auto state = table(request, name_in(in->name));
    if (!state)
        return fail(state.error());
    if (in->size != (*state)->decoded.entries.size())
        return fail(EAGAIN);
    const auto counters = (*state)->read();
    if (!counters)
        return fail(counters.error());
    return blob::encode_entries((*state)->decoded, *counters);
}

// Of a table that nobody has used yet: that of its first contents.
Result<std::uint32_t> Namespace::current_rule_count(const blob::DecodedTable &decoded) const
{
    const auto found = tables_.find(Key(decoded.table.family, decoded.table.name));
    if (found != tables_.end())
        return found->second.rule_count();
    const auto initial = decode_initial(*decoded.properties, *decoded.layout);
    if (!initial)
        return fail(initial.error());
    return static_cast<std::uint32_t>(initial->table.rules.size());
}

Result<> Namespace::check_counters(const blob::DecodedTable &decoded) const
{
    const auto rules = current_rule_count(decoded);
    if (!rules)
        return fail(rules.error());
    // ip_tables makes room for the old counters before it looks at the table.
    if (decoded.num_counters > blob::max_table_size / sizeof(ir::Counters))
        return fail(ENOMEM);
    if (decoded.num_counters != *rules)
        return fail(EAGAIN);
    return {};
}

Outcome Namespace::replace(Request &request)
{
    const auto layout = layout_of(request, settings_);
    if (!layout)
        return fail(layout.error());
    std::vector<blob::KernelEntry> checks;
    auto decoded = blob::decode_replace(
        std::move(request.message), sizeof(request.header), **layout, checks,
        [this](const ir::Table &decoded) { return rules_with_text(decoded, settings_); });
    auto right = decoded ? check_counters(*decoded) : fail(std::move(decoded.error()));
    // What the kernel finds wrong comes before that.
    if (!checks.empty() && !(request.header.flags & BPFILTER_REQUEST_CHECKED))
        return have_checked(kernel_, request, checks, right ? 0 : right.error().code);
    if (!right)
        return fail(std::move(right.error()));

    const auto state = commit(request, std::move(*decoded));
    if (!state)
        return fail(state.error());
    return pipe::Buffer();
}

Outcome Namespace::old_counters(Request &request)
{
    const auto in = pipe::payload_as<bpfilter_count>(request.payload());
    if (!in)
        return fail(in.error());
    auto kept = kernel_.kept(request.header.id);
    if (!kept)
        return fail(std::move(kept.error()));
    const auto counting = Counting::of_kept(*kept);
    if (!counting)
        return fail(counting.error());
    const auto counters = counting->read(in->count);
    if (!counters)
        return fail(counters.error());
    const auto bytes = std::as_bytes(std::span(*counters));
    return pipe::Buffer(bytes.begin(), bytes.end());
}

Outcome Namespace::add_counters(Request &request)
{
    const auto layout = layout_of(request, settings_);
    if (!layout)
        return fail(layout.error());
    const auto in = pipe::payload_as<CountersHeader>(request.payload());
    if (!in)
        return fail(in.error());
    const auto state = table(request, name_in(in->name));
    if (!state)
        return fail(state.error());
    if (in->num_counters != (*state)->rule_count())
        return fail(EINVAL,
                    fmt::format("counters for {} rules, but table {} has {}", in->num_counters,
                                name_in(in->name), (*state)->rule_count()));

    std::vector<ir::Counters> added(in->num_counters);
    const auto to = std::as_writable_bytes(std::span(added));
    const std::size_t offset = (*layout)->align(sizeof(CountersHeader));
    if (request.payload().size() != offset + to.size())
        return fail(EINVAL, "a list of counters is not as long as it says");
    std::ranges::copy(request.payload().subspan(offset), to.begin());
    if (auto done = (*state)->add(added); !done)
        return fail(std::move(done.error()));
    return pipe::Buffer();
}

Outcome Namespace::replay(Request &request)
{
    const auto in = pipe::payload_as<bpfilter_table_name>(request.payload());
    if (!in)
        return fail(in.error());
    const auto layout = layout_of(request, settings_);
    if (!layout)
        return fail(layout.error());
    const auto properties = blob::find_table(name_in(in->name));
    if (!properties)
        return fail(properties.error());

    // What this helper put in force itself it knows better, and packets walk what it holds.
    if (tables_.contains(Key(family_of(request), name_in(in->name))))
        return pipe::Buffer();
    const auto payload = request.payload().subspan(sizeof(*in));
    std::vector<blob::KernelEntry> checks; // done, when it was put in force
    auto decoded = payload.empty() ? decode_initial(**properties, **layout)
                                   : blob::decode_replace(std::move(request.message),
                                                          sizeof(request.header) + sizeof(*in),
                                                          **layout, checks, device_rules);
    if (!decoded)
        return fail(std::move(decoded.error()));
    auto kept = kernel_.kept(request.header.id);
    if (!kept)
        return fail(std::move(kept.error()));
    const auto counting = Counting::of_kept(*kept);
    if (!counting)
        return fail(counting.error());

    TableState state(std::move(*decoded), *counting);
    state.serial = ++last_serial_;
    const Key key(state.decoded.table.family, state.decoded.table.name);
    tables_.emplace(key, std::move(state));
    return pipe::Buffer();
}

// What is decided at XDP. Netfilter has all the rules whatever comes of this.
Outcome Namespace::devices(Request &request)
{
    const auto found = tables_.find(Key(ir::Family::ipv4, "filter"));
    if (found == tables_.end())
        return pipe::Buffer();
    const TableState &state = found->second;
    const auto counters = state.counting().open_counters();
    if (!counters && counters.error().code != ENOENT) // which is: no device is to decide anything
        return fail(EAGAIN);
    const bool unsettled = request.header.flags & BPFILTER_REQUEST_UNSETTLED;
    const auto messages =
        attachments_.update(kernel_, request.header.id,
                            {.table = state.decoded.table,
                             .serial = state.serial,
                             .counting = state.counting(),
                             .counters = counters ? counters->get() : -1},
                            unsettled ? BPFILTER_XDP_OFF : settings_.xdp.load(), settings_.rate);
    for (const auto &message : messages)
        spdlog::info("{}", message);
    if (!attachments_.finished())
        return fail(EAGAIN);
    return pipe::Buffer();
}

} // namespace bpfilter::service
