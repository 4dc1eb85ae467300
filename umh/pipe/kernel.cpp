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

} // namespace

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

Result<bool> PipeKernel::has_early_hooks(std::uint64_t request)
{
    const __u64 id = request;
    const int count = ioctl(fd_, BPFILTER_IOC_EARLY_HOOKS, &id);
    if (count < 0)
        return refused("to count hooks");
    return count > 0;
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
