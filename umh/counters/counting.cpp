// SPDX-License-Identifier: GPL-2.0
#include "umh/counters/counting.h"

#include "umh/counters/counters.h"
#include "umh/load/map.h"

#include <atomic>
#include <bpf/bpf.h>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

namespace bpfilter {

namespace {

constexpr std::uint32_t tally_layout = 1;

// What bf_tally begins with. Behind it the base of each rule, then what each has counted in the
// arena, once it is not read there any more.
struct Header {
    std::uint32_t layout;
    std::uint32_t rules;
    TallyPlace place;
    std::uint32_t left; // not 0: it is not read there any more
    std::uint32_t unused[2];
};
static_assert(sizeof(Header) == 32);

Header header_of(std::span<const std::byte> tally)
{
    Header header{};
    std::memcpy(&header, tally.data(), sizeof(header));
    return header;
}

void add_to(std::vector<ir::Counters> &sums, std::span<const std::byte> from)
{
    for (std::size_t i = 0; i < sums.size(); ++i) {
        ir::Counters value;
        std::memcpy(&value, from.data() + i * sizeof(value), sizeof(value));
        sums[i] += value;
    }
}

Result<std::uint32_t> size_of_map(int fd, bool *is_memory = nullptr)
{
    bpf_map_info info{};
    std::uint32_t length = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
        return fail(EIO, std::string("cannot ask what a map is: ") + std::strerror(errno));
    if (is_memory != nullptr)
        *is_memory = info.type == BPF_MAP_TYPE_ARRAY && info.max_entries == 1 &&
                     (info.map_flags & BPF_F_MMAPABLE) != 0;
    return info.value_size;
}

// The tally, if it is what it says, and of so many rules.
Result<Mapping> open_tally(std::uint32_t id, std::optional<std::uint32_t> count, bool writable)
{
    const auto fd = open_map(id);
    if (!fd)
        return fail(fd.error());
    const auto size = size_of_map(fd->get());
    if (!size)
        return fail(size.error());
    if (*size < tally_size(count.value_or(0)))
        return fail(EIO, "a table is kept with counters of another one");
    auto tally = Mapping::of(fd->get(), 0, *size, writable);
    if (!tally)
        return tally;
    const Header header = header_of(tally->bytes());
    if (header.layout != tally_layout || header.rules != count.value_or(header.rules) ||
        *size < tally_size(header.rules))
        return fail(EIO, "the counters of a table lie in a way that is not known");
    return tally;
}

// What is in the arena of what it says; nothing, if it says nothing.
Result<Mapping> open_counted(std::uint32_t arena, const Header &header)
{
    const TallyPlace &place = header.place;
    const auto fd = open_map(arena);
    if (!fd)
        return fail(fd.error());
    const auto size = size_of_map(fd->get());
    if (!size)
        return fail(size.error());
    const std::uint64_t length = std::uint64_t{place.stride} * place.cpus;
    const std::uint64_t wanted = std::uint64_t{header.rules} * sizeof(ir::Counters);
    if (place.place + length > *size || wanted > place.stride)
        return fail(EIO, "the counters of a table lie outside of its arena");
    if (length == 0)
        return Mapping();
    return Mapping::of(fd->get(), place.place, length, false);
}

ir::Counters counted(const Mapping &memory, const TallyPlace &place, std::uint32_t rule)
{
    ir::Counters sum;
    for (std::uint32_t cpu = 0; cpu < place.cpus; ++cpu) {
        ir::Counters value;
        std::memcpy(&value,
                    memory.bytes().data() + std::size_t{cpu} * place.stride +
                        std::size_t{rule} * sizeof(value),
                    sizeof(value));
        sum += value;
    }
    return sum;
}

} // namespace

std::size_t tally_size(std::uint32_t rules)
{
    return sizeof(Header) + std::size_t{rules} * 2 * sizeof(ir::Counters);
}

void ArenaLeave::finish() noexcept
{
    if (tally_.bytes().empty())
        return;
    Header header = header_of(tally_.bytes());
    std::byte *behind =
        tally_.bytes().data() + sizeof(header) + std::size_t{header.rules} * sizeof(ir::Counters);
    for (std::uint32_t rule = 0; rule < header.rules; ++rule) {
        const ir::Counters sum = counted(counted_, header.place, rule);
        std::memcpy(behind + std::size_t{rule} * sizeof(sum), &sum, sizeof(sum));
    }
    // A successor sees either the one or the other: this is the last store.
    std::atomic_thread_fence(std::memory_order_release);
    header.left = 1;
    std::memcpy(tally_.bytes().data(), &header, sizeof(header));
}

Result<Counting> Counting::of_code(int counters, int base)
{
    const auto counters_id = map_id(counters);
    if (!counters_id)
        return fail(counters_id.error());
    const auto base_id = map_id(base);
    if (!base_id)
        return fail(base_id.error());
    Counting counting;
    counting.counters_ = *counters_id;
    counting.base_ = *base_id;
    return counting;
}

Result<Counting> Counting::of_data(int arena, int tally, int counters, std::uint32_t rules,
                                   const TallyPlace &place)
{
    auto memory = Mapping::of(tally, 0, tally_size(rules), true);
    if (!memory)
        return fail(std::move(memory.error()));
    const Header header{
        .layout = tally_layout, .rules = rules, .place = place, .left = 0, .unused = {}};
    std::memcpy(memory->bytes().data(), &header, sizeof(header));
    return of_maps(arena, tally, counters);
}

Result<Counting> Counting::of_maps(int arena, int tally, int counters)
{
    const auto arena_id = map_id(arena);
    if (!arena_id)
        return fail(arena_id.error());
    const auto tally_id = map_id(tally);
    if (!tally_id)
        return fail(tally_id.error());
    Counting counting;
    counting.arena_ = *arena_id;
    counting.base_ = *tally_id;
    if (counters < 0)
        return counting;
    const auto counters_id = map_id(counters);
    if (!counters_id)
        return fail(counters_id.error());
    counting.counters_ = *counters_id;
    return counting;
}

Result<Counting> Counting::of_kept(std::span<const UniqueFd> fds)
{
    if (fds.size() < 2 || fds.size() > 3)
        return fail(EIO, "the module does not have the counters of a table");
    bool is_memory = false;
    if (const auto size = size_of_map(fds[0].get(), &is_memory); !size)
        return fail(size.error());
    if (!is_memory)
        return of_code(fds[0].get(), fds[1].get());
    return of_maps(fds[0].get(), fds[1].get(), fds.size() == 3 ? fds[2].get() : -1);
}

Result<UniqueFd> Counting::open_counters() const
{
    if (counters_ == 0)
        return fail(ENOENT);
    return open_map(counters_);
}

Result<std::vector<ir::Counters>> Counting::read(std::uint32_t count) const
{
    if (arena_ == 0)
        return read_code(count);
    auto sums = read_tally(count);
    if (!sums || counters_ == 0)
        return sums;
    const auto counters = open_map(counters_);
    if (!counters)
        return fail(counters.error());
    auto early = read_counters(counters->get(), -1, count);
    if (!early)
        return early;
    for (std::size_t i = 0; i < count; ++i)
        (*sums)[i] += (*early)[i];
    return sums;
}

Result<std::vector<ir::Counters>> Counting::read_code(std::uint32_t count) const
{
    const auto counters = open_map(counters_);
    if (!counters)
        return fail(counters.error());
    const auto base = open_map(base_);
    if (!base)
        return fail(base.error());
    return read_counters(counters->get(), base->get(), count);
}

Result<std::vector<ir::Counters>> Counting::read_tally(std::uint32_t count) const
{
    const auto tally = open_tally(base_, std::nullopt, false);
    if (!tally)
        return fail(tally.error());
    const auto bytes = tally->bytes().subspan(sizeof(Header));
    const Header header = header_of(tally->bytes());
    if (header.rules < count)
        return fail(EIO, "a table is kept with counters of fewer rules");
    std::vector<ir::Counters> sums(count);
    add_to(sums, bytes);
    if (header.left != 0) {
        add_to(sums, bytes.subspan(header.rules * sizeof(ir::Counters)));
        return sums;
    }
    const auto memory = open_counted(arena_, header);
    if (!memory)
        return fail(memory.error());
    for (std::uint32_t rule = 0; rule < count; ++rule)
        sums[rule] += counted(*memory, header.place, rule);
    return sums;
}

Result<> Counting::add(std::span<const ir::Counters> added) const
{
    if (arena_ == 0) {
        const auto base = open_map(base_);
        if (!base)
            return fail(base.error());
        return add_counters(base->get(), added);
    }
    const auto tally = open_tally(base_, static_cast<std::uint32_t>(added.size()), true);
    if (!tally)
        return fail(tally.error());
    const auto base = tally->bytes().subspan(sizeof(Header));
    std::vector<ir::Counters> sums(added.begin(), added.end());
    add_to(sums, base);
    std::memcpy(base.data(), sums.data(), sums.size() * sizeof(sums[0]));
    return {};
}

Result<ArenaLeave> Counting::leave_arena() const
{
    if (arena_ == 0)
        return ArenaLeave();
    auto tally = open_tally(base_, std::nullopt, true);
    if (!tally)
        return fail(std::move(tally.error()));
    auto memory = open_counted(arena_, header_of(tally->bytes()));
    if (!memory)
        return fail(std::move(memory.error()));
    return ArenaLeave(std::move(*tally), std::move(*memory));
}

} // namespace bpfilter
