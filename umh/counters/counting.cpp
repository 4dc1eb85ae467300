// SPDX-License-Identifier: GPL-2.0
#include "umh/counters/counting.h"

#include "umh/counters/counters.h"

#include <atomic>
#include <bpf/bpf.h>
#include <cerrno>
#include <cstring>
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

// The tally, if it is what it says.
Result<Mapping> map_tally(int fd, std::uint32_t count, bool writable)
{
    const auto size = size_of_map(fd);
    if (!size)
        return fail(size.error().code, size.error().message);
    if (*size < tally_size(count))
        return fail(EIO, "a table is kept with counters of another one");
    auto tally = Mapping::of(fd, 0, *size, writable);
    if (!tally)
        return tally;
    const Header header = header_of(tally->bytes());
    if (header.layout != tally_layout || header.rules != count)
        return fail(EIO, "the counters of a table lie in a way that is not known");
    return tally;
}

// What was counted in the arena.
Result<std::vector<ir::Counters>> read_arena(int fd, const Header &header)
{
    const TallyPlace &place = header.place;
    std::vector<ir::Counters> sums(header.rules);
    const auto size = size_of_map(fd);
    if (!size)
        return fail(size.error().code, size.error().message);
    const std::uint64_t length = std::uint64_t{place.stride} * place.cpus;
    const std::uint64_t wanted = std::uint64_t{header.rules} * sizeof(ir::Counters);
    if (place.place + length > *size || wanted > place.stride)
        return fail(EIO, "the counters of a table lie outside of its arena");
    if (length == 0)
        return sums;
    const auto memory = Mapping::of(fd, place.place, length, false);
    if (!memory)
        return fail(memory.error().code, memory.error().message);
    for (std::uint32_t cpu = 0; cpu < place.cpus; ++cpu)
        add_to(sums, memory->bytes().subspan(std::size_t{cpu} * place.stride));
    return sums;
}

} // namespace

std::size_t tally_size(std::uint32_t rules)
{
    return sizeof(Header) + std::size_t{rules} * 2 * sizeof(ir::Counters);
}

Counting Counting::of_code(UniqueFd counters, UniqueFd base)
{
    Counting counting;
    counting.counters_ = std::move(counters);
    counting.base_ = std::move(base);
    return counting;
}

Result<Counting> Counting::of_data(UniqueFd arena, UniqueFd tally, UniqueFd counters,
                                   std::uint32_t rules, const TallyPlace &place)
{
    auto memory = Mapping::of(tally.get(), 0, tally_size(rules), true);
    if (!memory)
        return fail(std::move(memory.error()));
    const Header header{
        .layout = tally_layout, .rules = rules, .place = place, .left = 0, .unused = {}};
    std::memcpy(memory->bytes().data(), &header, sizeof(header));
    Counting counting;
    counting.counters_ = std::move(counters);
    counting.base_ = std::move(tally);
    counting.arena_ = std::move(arena);
    return counting;
}

Result<Counting> Counting::of_kept(std::vector<UniqueFd> fds)
{
    if (fds.size() < 2 || fds.size() > 3)
        return fail(EIO, "the module does not have the counters of a table");
    bool is_memory = false;
    if (const auto size = size_of_map(fds[0].get(), &is_memory); !size)
        return fail(size.error().code, size.error().message);
    Counting counting;
    counting.base_ = std::move(fds[1]);
    if (fds.size() == 3)
        counting.counters_ = std::move(fds[2]);
    (is_memory ? counting.arena_ : counting.counters_) = std::move(fds[0]);
    return counting;
}

std::vector<int> Counting::fds() const
{
    std::vector<int> fds;
    if (!arena_)
        return {counters_.get(), base_.get()};
    fds = {arena_.get(), base_.get()};
    if (counters_)
        fds.push_back(counters_.get());
    return fds;
}

Result<std::vector<ir::Counters>> Counting::read(std::uint32_t count) const
{
    if (!arena_)
        return read_counters(counters_.get(), base_.get(), count);
    auto sums = read_tally(count);
    if (!sums || !counters_)
        return sums;
    auto early = read_counters(counters_.get(), -1, count);
    if (!early)
        return early;
    for (std::size_t i = 0; i < count; ++i)
        (*sums)[i] += (*early)[i];
    return sums;
}

Result<std::vector<ir::Counters>> Counting::read_tally(std::uint32_t count) const
{
    const auto tally = map_tally(base_.get(), count, false);
    if (!tally)
        return fail(tally.error().code, tally.error().message);
    const auto bytes = tally->bytes().subspan(sizeof(Header));
    const Header header = header_of(tally->bytes());
    std::vector<ir::Counters> sums(count);
    if (header.left != 0) {
        add_to(sums, bytes.subspan(count * sizeof(ir::Counters)));
    } else {
        auto counted = read_arena(arena_.get(), header);
        if (!counted)
            return counted;
        sums = std::move(*counted);
    }
    add_to(sums, bytes);
    return sums;
}

Result<> Counting::add(std::span<const ir::Counters> added)
{
    if (!arena_)
        return add_counters(base_.get(), added);
    const auto count = static_cast<std::uint32_t>(added.size());
    const auto tally = map_tally(base_.get(), count, true);
    if (!tally)
        return fail(tally.error().code, tally.error().message);
    const auto base = tally->bytes().subspan(sizeof(Header));
    std::vector<ir::Counters> sums(added.begin(), added.end());
    add_to(sums, base);
    std::memcpy(base.data(), sums.data(), sums.size() * sizeof(sums[0]));
    return {};
}

Result<> Counting::leave_arena()
{
    if (!arena_)
        return {};
    const auto size = size_of_map(base_.get());
    if (!size)
        return fail(size.error().code, size.error().message);
    const auto tally = Mapping::of(base_.get(), 0, *size, true);
    if (!tally)
        return fail(tally.error().code, tally.error().message);
    Header header = header_of(tally->bytes());
    const auto counted = read_arena(arena_.get(), header);
    if (!counted)
        return fail(counted.error().code, counted.error().message);
    const auto behind =
        tally->bytes().subspan(sizeof(Header) + counted->size() * sizeof(ir::Counters));
    std::memcpy(behind.data(), counted->data(), counted->size() * sizeof(ir::Counters));
    // A successor sees either the one or the other: this is the last store.
    std::atomic_thread_fence(std::memory_order_release);
    header.left = 1;
    std::memcpy(tally->bytes().data(), &header, sizeof(header));
    return {};
}

} // namespace bpfilter
