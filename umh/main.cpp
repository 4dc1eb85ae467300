// SPDX-License-Identifier: GPL-2.0
//
// bpfilter_umh: started by bpfilter.ko, with the pipe as descriptor 0, and by nobody else.
#include "umh/pipe/channel.h"
#include "umh/pipe/kernel.h"
#include "umh/service/service.h"
#include "umh/util/log.h"

#include <bpfilter/pipe.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <malloc.h>

#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace {

// Far more than there are CPUs: a namespace whose table takes the verifier seconds holds one
// of them all the while, and those of others must not wait for it.
constexpr unsigned threads = 16;

bool is_pipe(int fd)
{
    int length = 0;
    bpfilter_kept kept{};
    return ioctl(fd, FIONREAD, &length) == 0 && ioctl(fd, BPFILTER_IOC_KEPT, &kept) < 0 &&
           errno == ENOENT;
}

// Ends come through the pipe. A signal that a shutdown sends to everybody must not take the
// helper away while the module would only start another.
void ignore_signals()
{
    for (const int signal : {SIGPIPE, SIGHUP, SIGINT, SIGTERM})
        std::signal(signal, SIG_IGN);
}

// No descriptor is kept but for XDP, and their number is bounded; a request has some twenty for as
// long as it takes. That is fewer than the usual 1,024, but not by much.
void allow_descriptors()
{
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

// A block that is free goes back. By itself malloc would learn from large ones to keep as much, for
// each thread.
void keep_no_memory()
{
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

} // namespace

int main()
{
    using namespace bpfilter;

    if (!is_pipe(STDIN_FILENO)) {
        std::fputs("bpfilter_umh is started by the bpfilter module, not by hand\n", stderr);
        return EXIT_FAILURE;
    }
    prctl(PR_SET_NAME, "bpfilter_umh");
    ignore_signals();
    allow_descriptors();
    keep_no_memory();
    log_to_kernel();

    pipe::PipeKernel kernel(STDIN_FILENO);
    service::Service service(kernel, threads);
    pipe::Channel channel(
        STDIN_FILENO, [&](pipe::Request &request) { return service.handle(request); }, threads);

    if (const auto ended = channel.run(); !ended) {
        spdlog::error("{}", ended.error().message);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
