// SPDX-License-Identifier: GPL-2.0
#include "umh/service/namespace.h"

#include "umh/core/blob/info.h"
#include "umh/core/blob/initial.h"
#include "umh/core/blob/layout.h"
#include "umh/core/blob/listing.h"
#include "umh/service/commit.h"
#include "umh/util/bytes.h"

#include <fmt/format.h>
#include <linux/membarrier.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include <sys/syscall.h>
#include <unistd.h>

namespace bpfilter::service {

namespace {

using pipe::Outcome;
using pipe::Request;

ir::Family family_of(const Request &request)
{
    return static_cast<ir::Family>(request.header.family);
}

Result<const blob::Layout *> layout_of(const Request &request)
{
    return blob::find_layout(family_of(request), request.header.flags & BPFILTER_REQUEST_COMPAT);
}

// Of the table itself, whatever its caller speaks.
const blob::Layout &native(const blob::Layout &layout)
{
    return layout.native ? *layout.native : layout;
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

Result<blob::DecodedTable> decode_initial(const blob::TableProperties &properties,
                                          const blob::Layout &layout)
{
    return blob::decode_replace(blob::initial_replace(properties, layout), layout);
}

// No device runs a program any more that was replaced or detached before.
void wait_for_devices()
{
    syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
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
    const auto layout = layout_of(request);
    if (!layout)
        return fail(layout.error());
    auto decoded = decode_initial(**properties, native(**layout));
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
    tables_.merge(place);
    auto &there = tables_.find(key)->second;
    there = std::move(*state);
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
    const auto layout = layout_of(request);
    if (!layout)
        return fail(layout.error());
    return blob::encode_info((*state)->decoded, **layout);
}

Outcome Namespace::get_entries(Request &request)
{
    const auto in = pipe::payload_as<bpfilter_get_entries>(request.payload());
    if (!in)
        return fail(in.error());
    const auto state = table(request, name_in(in->name));
    if (!state)
        return fail(state.error());
    const auto layout = layout_of(request);
    if (!layout)
        return fail(layout.error());
    if (in->size != blob::entries_size((*state)->decoded, **layout))
        return fail(EAGAIN);
    const auto counters = (*state)->read();
    if (!counters)
        return fail(counters.error());
    return blob::encode_entries((*state)->decoded, *counters, **layout);
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

Outcome Namespace::replace(Request &request)
{
    const auto layout = layout_of(request);
    if (!layout)
        return fail(layout.error());
    auto decoded =
        blob::decode_replace(std::move(request.message), sizeof(request.header), **layout);
    if (!decoded)
        return fail(std::move(decoded.error()));
    const auto rules = current_rule_count(*decoded);
    if (!rules)
        return fail(rules.error());
    // ip_tables makes room for the old counters before it looks at the table.
    if (decoded->num_counters > blob::max_table_size / sizeof(ir::Counters))
        return fail(ENOMEM);
    if (decoded->num_counters != *rules)
        return fail(EAGAIN);

    const auto state = commit(request, std::move(*decoded));
    if (!state)
        return fail(state.error());
    update_devices(request, **state);
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
    const auto layout = layout_of(request);
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
    const auto layout = layout_of(request);
    if (!layout)
        return fail(layout.error());
    const auto properties = blob::find_table(name_in(in->name));
    if (!properties)
        return fail(properties.error());

    const auto payload = request.payload().subspan(sizeof(*in));
    auto decoded = payload.empty()
                       ? decode_initial(**properties, native(**layout))
                       : blob::decode_replace(std::move(request.message),
                                              sizeof(request.header) + sizeof(*in), **layout);
    if (!decoded)
        return fail(std::move(decoded.error()));
    auto kept = kernel_.kept(request.header.id);
    if (!kept)
        return fail(std::move(kept.error()));
    const auto counting = Counting::of_kept(*kept);
    if (!counting)
        return fail(counting.error());

    TableState state(std::move(*decoded), *counting);
    const Key key(state.decoded.table.family, state.decoded.table.name);
    const auto &there = tables_.insert_or_assign(key, std::move(state)).first->second;
    if (settings_.minor < 3) // since then DEVICES follows
        update_devices(request, there);
    return pipe::Buffer();
}

Outcome Namespace::devices(Request &request)
{
    unsettled_ = (request.header.flags & BPFILTER_REQUEST_UNSETTLED) != 0;
    if (unsettled_)
        attachments_.clear();
    else
        serve_all_devices(request);
    return pipe::Buffer();
}

void Namespace::serve_all_devices(const Request &request)
{
    for (const auto &[key, state] : tables_)
        if (wants_devices(state.decoded.table))
            serve_devices(request, state);
}

// What the settings say, unless something ahead of INPUT changes packets: then what is on
// the wire does not tell whether a packet comes there.
bpfilter_xdp_mode Namespace::xdp_mode(const Request &request)
{
    const bool now = hidden(request);
    if (now && !hidden_)
        spdlog::info("hooks at PREROUTING come before INPUT: nothing is decided at XDP");
    hidden_ = now;
    return now ? BPFILTER_XDP_OFF : settings_.xdp.load();
}

bool Namespace::hidden(const Request &request) const
{
    const auto early = kernel_.has_early_hooks(request.header.id);
    return !early || *early;
}

// A table has come into force. Only filter's has rules for devices; of others it matters alone
// whether they stand ahead of INPUT.
void Namespace::update_devices(const Request &request, const TableState &state)
{
    if (may_want_devices(state.decoded.table)) {
        serve_devices(request, state);
        return;
    }
    if (hidden(request) != hidden_)
        serve_all_devices(request);
}

// Netfilter has all the rules whatever comes of this, so nothing here fails a request.
void Namespace::serve_devices(const Request &request, const TableState &state)
{
    const bool attached = !attachments_.devices().empty();
    const auto netns = kernel_.netns(request.header.id);
    const auto counters = state.open_counters();
    if (!unsettled_ && netns && counters && wants_devices(state.decoded.table)) {
        const auto messages =
            attachments_.update(netns->get(), state.decoded.table, ir::Hook::local_in,
                                xdp_mode(request), counters->get());
        for (const auto &message : messages)
            spdlog::info("{}", message);
    } else {
        attachments_.clear();
    }
    if (attached)
        wait_for_devices();
}

} // namespace bpfilter::service
