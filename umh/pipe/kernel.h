// SPDX-License-Identifier: GPL-2.0
//
// What the helper can ask of the module while it works on a request: the ioctls of the
// pipe, as an interface, so that everything behind it runs in a test without a module.
#pragma once

#include "umh/util/fd.h"
#include "umh/util/result.h"

#include <bpfilter/pipe.h>

#include <cstdint>
#include <span>
#include <vector>

namespace bpfilter::pipe {

class Kernel {
public:
    virtual ~Kernel() = default;

    // Put a table in force; see BPFILTER_IOC_COMMIT. ECANCELED: the caller is gone.
    virtual Result<> commit(const bpfilter_commit &commit) = 0;

    // The same, of programs that walk records; see BPFILTER_IOC_COMMIT_RECORDS.
    virtual Result<> commit_records(const bpfilter_commit_records &commit) = 0;

    // The descriptors kept with the table of this request, in the order of their commit.
    virtual Result<std::vector<UniqueFd>> kept(std::uint64_t request) = 0;

    // The network namespace of this request. Not to be held on to: it keeps it alive.
    virtual Result<UniqueFd> netns(std::uint64_t request) = 0;

    // Does something ahead of INPUT change or drop packets there? See
    // BPFILTER_IOC_EARLY_HOOKS.
    virtual Result<bool> has_early_hooks(std::uint64_t request) = 0;

    // What a TAP asked for, -1 for nothing; see BPFILTER_IOC_GIVE.
    virtual Result<> give(std::uint64_t request, std::span<const int> fds) = 0;
};

// The real one: ioctls on the pipe's descriptor, which it does not own.
class PipeKernel final : public Kernel {
public:
    explicit PipeKernel(int fd) : fd_(fd) {}

    Result<> commit(const bpfilter_commit &commit) override;
    Result<> commit_records(const bpfilter_commit_records &commit) override;
    Result<std::vector<UniqueFd>> kept(std::uint64_t request) override;
    Result<UniqueFd> netns(std::uint64_t request) override;
    Result<bool> has_early_hooks(std::uint64_t request) override;
    Result<> give(std::uint64_t request, std::span<const int> fds) override;

private:
    int fd_;
};

} // namespace bpfilter::pipe
