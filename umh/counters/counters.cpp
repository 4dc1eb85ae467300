// SPDX-License-Identifier: GPL-2.0
#include "umh/counters/counters.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <numeric>
#include <string>

namespace bpfilter {

namespace {

// The kernel's buffer for one call; per-CPU values take 16 bytes for each CPU.
constexpr std::size_t batch_bytes = std::size_t{4} << 20;

std::unexpected<Error> failed(const char *what, int code)
{
    const bool short_of = code == ENOMEM || code == EMFILE || code == ENFILE;
    return fail(short_of        ? ENOMEM
                : code == EPERM ? EPERM
                                : EIO,
                std::string("cannot ") + what + ": " + std::strerror(code));
}

// Elements 0 to count - 1, each of `copies` values, handed to `take` in order.
template <typename Take>
Result<> read_map(int fd, std::uint32_t count, std::size_t copies, const Take &take)
{
    const std::size_t chunk =
        std::clamp<std::size_t>(batch_bytes / (copies * sizeof(ir::Counters)), 1, count);
    std::vector<std::uint32_t> keys(chunk);
    std::vector<ir::Counters> values(chunk * copies);
    std::uint32_t position = 0;
    bool first = true;
    for (std::uint32_t done = 0; done < count; first = false) {
        auto got = static_cast<std::uint32_t>(std::min<std::size_t>(chunk, count - done));
        const int error = bpf_map_lookup_batch(fd, first ? nullptr : &position, &position,
                                               keys.data(), values.data(), &got, nullptr);
        // ENOENT: these were the last.
        if (error < 0 && (errno != ENOENT || got == 0))
            return failed("read counters", errno);
        for (std::uint32_t i = 0; i < got && keys[i] < count; ++i)
            take(keys[i], std::span(values).subspan(i * copies, copies));
        done += got;
    }
    return {};
}

} // namespace

Result<std::vector<ir::Counters>> read_counters(int counters_fd, int base_fd, std::uint32_t count)
{
    std::vector<ir::Counters> result(count);
    if (count == 0)
        return result;
    const int cpus = libbpf_num_possible_cpus();
    if (cpus < 1)
        return failed("learn the number of CPUs", -cpus);

    const auto add = [&result](std::uint32_t id, std::span<const ir::Counters> values) {
        for (const ir::Counters &value : values)
            result[id] += value;
    };
    if (base_fd >= 0) {
        const Result<> base = read_map(base_fd, count, 1, add);
        if (!base)
            return std::unexpected(base.error());
    }
    const Result<> cpu = read_map(counters_fd, count, static_cast<std::size_t>(cpus), add);
    if (!cpu)
        return std::unexpected(cpu.error());
    return result;
}

Result<> add_counters(int base_fd, std::span<const ir::Counters> added)
{
    if (added.empty())
        return {};
    auto count = static_cast<std::uint32_t>(added.size());
    std::vector<ir::Counters> values(count);
    Result<> base =
        read_map(base_fd, count, 1, [&](std::uint32_t id, std::span<const ir::Counters> value) {
            values[id] = value.front();
            values[id] += added[id];
        });
    if (!base)
        return base;
    std::vector<std::uint32_t> keys(count);
    std::iota(keys.begin(), keys.end(), 0);
    if (bpf_map_update_batch(base_fd, keys.data(), values.data(), &count, nullptr) < 0)
        return failed("add to counters", errno);
    return {};
}

} // namespace bpfilter
