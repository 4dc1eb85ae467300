// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/visit.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sched.h>
#include <string>

namespace bpfilter::xdp {

Result<NetnsVisit> NetnsVisit::enter(int netns_fd)
{
    NetnsVisit visit;
    visit.home_.reset(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!visit.home_ || setns(netns_fd, CLONE_NEWNET) < 0)
        return fail(EIO, std::string("cannot enter a network namespace: ") + std::strerror(errno));
    visit.away_ = true;
    return visit;
}

NetnsVisit::~NetnsVisit()
{
    // A thread that stays in the wrong namespace would act on the wrong devices.
    if (away_ && setns(home_.get(), CLONE_NEWNET) < 0)
        std::abort();
}

} // namespace bpfilter::xdp
