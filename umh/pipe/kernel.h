// SPDX-License-Identifier: GPL-2.0
//
// What the helper can ask of the module while it works on a request: the ioctls of the
// pipe, as an interface, so that everything behind it runs in a test without a module.
#pragma once

#include "umh/util/fd.h"
#include "umh/util/result.h"

#include <bpfilter/xdp.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace bpfilter::pipe {

// What BPFILTER_IOC_LOOK gives.
struct Look {
    std::uint64_t generation = 0;
    bool hidden = false; // what is on the wire does not tell what comes to INPUT
    std::vector<bpfilter_look_device> devices; // those asked for, in that order
    std::vector<bpfilter_look_address> addresses;
    std::vector<bpfilter_look_link> links; // all of the namespace
};

class Kernel {
public:
    virtual ~Kernel() = default;

    // ENOMEM: a commit for this request, of maps with so many bytes, would be refused for it.
    virtual Result<> room(std::uint64_t request, std::uint64_t bytes) = 0;

    // Put a table in force; see BPFILTER_IOC_COMMIT. ECANCELED: the caller is gone.
    virtual Result<> commit(const bpfilter_commit &commit) = 0;

    // The same, of programs that walk records; see BPFILTER_IOC_COMMIT_RECORDS.
    virtual Result<> commit_records(const bpfilter_commit_records &commit) = 0;

    // What the kernel is to check and run before this REPLACE comes again, and what is wrong behind
    // that, an errno or 0; see BPFILTER_IOC_CHECK.
    virtual Result<> check(std::uint64_t request, std::span<const bpfilter_check_entry> entries,
                           int error) = 0;

    // The descriptors kept with the table of this request, in the order of their commit.
    virtual Result<std::vector<UniqueFd>> kept(std::uint64_t request) = 0;

    // The network namespace of this request. Not to be held on to: it keeps it alive.
    virtual Result<UniqueFd> netns(std::uint64_t request) = 0;

    // The surroundings of the devices with these names; see BPFILTER_IOC_LOOK.
    virtual Result<Look> look(std::uint64_t request, std::span<const std::string> devices) = 0;

    // A link, its program, its guard; see BPFILTER_IOC_ATTACH. False: done, but something
    // happened since the look, and the guard is not set.
    virtual Result<bool> attach(const bpfilter_attach &attach) = 0;
    virtual Result<> detach(std::uint64_t request, std::uint32_t index) = 0;

    // What a TAP asked for, -1 for nothing; see BPFILTER_IOC_GIVE.
    virtual Result<> give(std::uint64_t request, std::span<const int> fds) = 0;
};

// The real one: ioctls on the pipe's descriptor, which it does not own.
class PipeKernel final : public Kernel {
public:
    explicit PipeKernel(int fd) : fd_(fd) {}

    Result<> room(std::uint64_t request, std::uint64_t bytes) override;
    Result<> commit(const bpfilter_commit &commit) override;
    Result<> commit_records(const bpfilter_commit_records &commit) override;
    Result<> check(std::uint64_t request, std::span<const bpfilter_check_entry> entries,
                   int error) override;
    Result<std::vector<UniqueFd>> kept(std::uint64_t request) override;
    Result<UniqueFd> netns(std::uint64_t request) override;
    Result<Look> look(std::uint64_t request, std::span<const std::string> devices) override;
    Result<bool> attach(const bpfilter_attach &attach) override;
    Result<> detach(std::uint64_t request, std::uint32_t index) override;
    Result<> give(std::uint64_t request, std::span<const int> fds) override;

private:
    int fd_;
};

} // namespace bpfilter::pipe
