// SPDX-License-Identifier: GPL-2.0
#include "umh/pipe/channel.h"

#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <malloc.h>
#include <new>
#include <thread>
#include <utility>

#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

namespace bpfilter::pipe {

namespace asio = boost::asio;

namespace {

// Before the next try, when there was no memory to wait for requests.
constexpr std::chrono::milliseconds pause(10);

// Before the next try, when there was none for a request that must be read. The module allows for
// some dozens of these.
constexpr std::chrono::milliseconds long_pause(200);

} // namespace

Channel::Channel(int fd, Handler handler, unsigned threads)
    : pipe_(io_, fd), handler_(std::move(handler)), pool_(threads)
{
    pipe_.non_blocking(true);
}

Result<> Channel::run()
{
    wait();
    io_.run();
    pool_.join();
    return ended_;
}

// That may take memory, too.
void Channel::wait()
{
    for (;;) {
        try {
            start_to_wait();
            return;
        } catch (const std::bad_alloc &) {
            std::this_thread::sleep_for(pause);
        }
    }
}

void Channel::start_to_wait()
{
    pipe_.async_wait(asio::posix::stream_descriptor::wait_read,
                     [this](const boost::system::error_code &error) {
                         if (error) {
                             ended_ = fail(error.value(), "waiting on the pipe failed");
                             return;
                         }
                         auto more = read_one();
                         if (!more)
                             ended_ = std::unexpected(more.error());
                         else if (*more)
                             wait();
                     });
}

namespace {

// When one of this size has been dealt with, the kernel is given back what is free.
constexpr std::size_t heavy_size = 1UL << 20;

// May have to do without the reason.
Outcome failed(const std::exception &e)
{
    try {
        return fail(EIO, fmt::format("the helper failed: {}", e.what()));
    } catch (const std::bad_alloc &) {
        return fail(ENOMEM, "no memory");
    }
}

// What a read that gave nothing means.
Result<bool> without_message(ssize_t got)
{
    if (got == 0)
        return false;
    // EMSGSIZE: another, longer request took the place of the one we measured.
    if (errno == EAGAIN || errno == EINTR || errno == EMSGSIZE)
        return true;
    return fail(errno, fmt::format("reading the pipe failed: {}", std::strerror(errno)));
}

} // namespace

// One request, if there is one. False: the module closed the pipe.
Result<bool> Channel::read_one()
{
    const int fd = pipe_.native_handle();
    int length = 0;
    if (ioctl(fd, FIONREAD, &length) < 0)
        return fail(errno, "the pipe does not tell the length of a request");

    try {
        Buffer message(static_cast<std::size_t>(length) + sizeof(bpfilter_request_header));
        const ssize_t got = ::read(fd, message.data(), message.size());
        if (got <= 0)
            return without_message(got);
        message.resize(static_cast<std::size_t>(got));
        auto request = parse_request(std::move(message));
        if (!request)
            return std::unexpected(request.error());
        dispatch(std::move(*request));
        return true;
    } catch (const std::bad_alloc &) {
        return refuse_one(static_cast<std::uint32_t>(length));
    }
}

// Another may have come before it meanwhile, or been taken back: then there is nothing to do.
Result<bool> Channel::refuse_one(std::uint32_t length)
{
    if (ioctl(pipe_.native_handle(), BPFILTER_IOC_REFUSE, &length) == 0 || errno == EAGAIN)
        return true;
    if (errno != EINVAL)
        return fail(errno, fmt::format("no memory for a request of {} bytes", length));
    std::this_thread::sleep_for(long_pause);
    return true;
}

void Channel::dispatch(Request request)
{
    const bpfilter_request_header header = request.header;
    if (header.netns == 0) {
        answer(request);
        return;
    }
    try {
        auto strand = strands_.try_emplace(header.netns, pool_.get_executor()).first->second;
        asio::post(strand, [this, request = std::move(request)]() mutable { answer(request); });
    } catch (const std::bad_alloc &) {
        reply(header, fail(ENOMEM));
    }
    if (header.opcode == BPFILTER_OP_NETNS_GONE)
        strands_.erase(header.netns);
}

void Channel::answer(Request &request)
{
    const bool heavy = request.message.size() > heavy_size;
    const Outcome outcome = [&]() -> Outcome {
        try {
            return handler_(request);
        } catch (const std::bad_alloc &) {
            return fail(ENOMEM, "no memory"); // short enough to need none
        } catch (const std::exception &e) {
            return failed(e);
        }
    }();
    // Before the answer: the module gives us another one for it.
    if (heavy) {
        request.message = {};
        malloc_trim(0);
    }
    reply(request.header, outcome);
}

// Takes no memory: there may be none.
void Channel::reply(const bpfilter_request_header &request, const Outcome &outcome)
{
    const Reply reply(request, outcome);
    auto parts = reply.parts();
    const auto count = static_cast<int>(parts.size());
    if (::writev(pipe_.native_handle(), parts.data(), count) < 0 && errno != ENOENT)
        spdlog::warn("a reply was not taken: {}", std::strerror(errno));
}

} // namespace bpfilter::pipe
