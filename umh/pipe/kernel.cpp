// SPDX-License-Identifier: GPL-2.0
#include "umh/pipe/kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <sys/ioctl.h>

namespace bpfilter::pipe {

namespace {

// A caller that is gone needs no sentence in the log.
std::unexpected<Error> refused(const char *what)
{
    const int code = errno;
    if (code == ECANCELED || code == ENOENT)
        return fail(ECANCELED);
    // No caller knows of our descriptors.
    const bool short_of = code == EMFILE || code == ENFILE;
    return fail(short_of ? ENOMEM : code,
                fmt::format("the module refused {}: {}", what, std::strerror(code)));
}

template <typename T> __u64 address_of(std::span<T> values)
{
    return reinterpret_cast<std::uintptr_t>(values.data());
}

} // namespace

Result<> PipeKernel::room(std::uint64_t request, std::uint64_t bytes)
{
    const bpfilter_room room{.id = request, .bytes = bytes};
    // A module that cannot be asked says it when it comes to the commit.
    if (ioctl(fd_, BPFILTER_IOC_ROOM, &room) < 0 && errno != ENOTTY)
        return refused("room for a table");
    return {};
}

Result<> PipeKernel::commit(const bpfilter_commit &commit)
{
    if (ioctl(fd_, BPFILTER_IOC_COMMIT, &commit) < 0)
        return refused("a commit");
    return {};
}

Result<> PipeKernel::commit_records(const bpfilter_commit_records &commit)
{
    if (ioctl(fd_, BPFILTER_IOC_COMMIT_RECORDS, &commit) < 0)
        return refused("a commit of records");
    return {};
}

Result<> PipeKernel::check(std::uint64_t request, std::span<const bpfilter_check_entry> entries,
                           int error)
{
    bpfilter_check check{};
    check.id = request;
    check.entries = address_of(entries);
    check.count = static_cast<__u32>(entries.size());
    check.error = -error;
    if (ioctl(fd_, BPFILTER_IOC_CHECK, &check) < 0)
        return refused("to check matches and targets");
    return {};
}

Result<std::vector<UniqueFd>> PipeKernel::kept(std::uint64_t request)
{
    bpfilter_kept kept{};
    kept.id = request;
    if (ioctl(fd_, BPFILTER_IOC_KEPT, &kept) < 0)
        return refused("to give back what it keeps");
    std::vector<UniqueFd> fds;
    for (__u32 i = 0; i < kept.count && i < BPFILTER_KEPT_MAX; ++i)
        fds.emplace_back(kept.fd[i]);
    return fds;
}

Result<UniqueFd> PipeKernel::netns(std::uint64_t request)
{
    const __u64 id = request;
    const int fd = ioctl(fd_, BPFILTER_IOC_NETNS, &id);
    if (fd < 0)
        return refused("a network namespace");
    return UniqueFd(fd);
}

Result<Look> PipeKernel::look(std::uint64_t request, std::span<const std::string> devices)
{
    Look seen;
    seen.devices.resize(devices.size());
    seen.addresses.resize(BPFILTER_ADDRESSES_MAX);
    seen.links.resize(BPFILTER_LINKS_MAX);
    for (std::size_t i = 0; i < devices.size(); ++i)
        devices[i].copy(seen.devices[i].name, sizeof(seen.devices[i].name) - 1);

    bpfilter_look look{};
    look.id = request;
    look.devices = address_of(std::span(seen.devices));
    look.addresses = address_of(std::span(seen.addresses));
    look.links = address_of(std::span(seen.links));
    look.device_count = static_cast<__u32>(seen.devices.size());
    look.address_count = BPFILTER_ADDRESSES_MAX;
    look.link_count = BPFILTER_LINKS_MAX;
    if (ioctl(fd_, BPFILTER_IOC_LOOK, &look) < 0)
        return refused("a look around");
    seen.generation = look.generation;
    seen.hidden = look.hidden != 0;
    seen.addresses.resize(std::min<std::size_t>(look.address_count, seen.addresses.size()));
    seen.links.resize(std::min<std::size_t>(look.link_count, seen.links.size()));
    return seen;
}

Result<bool> PipeKernel::attach(const bpfilter_attach &attach)
{
    if (ioctl(fd_, BPFILTER_IOC_ATTACH, &attach) == 0)
        return true;
    if (errno == EAGAIN)
        return false;
    return refused("a link");
}

Result<> PipeKernel::detach(std::uint64_t request, std::uint32_t index)
{
    const bpfilter_detach detach{.id = request, .index = index, .reserved = 0};
    if (ioctl(fd_, BPFILTER_IOC_DETACH, &detach) < 0)
        return refused("to let a link go");
    return {};
}

Result<> PipeKernel::give(std::uint64_t request, std::span<const int> fds)
{
    bpfilter_give give{};
    give.id = request;
    give.count = static_cast<__u32>(fds.size());
    if (fds.size() > BPFILTER_GIFTS_MAX)
        return fail(E2BIG, "more to give than fits");
    std::ranges::copy(fds, give.fd);
    if (ioctl(fd_, BPFILTER_IOC_GIVE, &give) < 0)
        return refused("what it asked for");
    return {};
}

} // namespace bpfilter::pipe
