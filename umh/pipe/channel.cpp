// SPDX-License-Identifier: GPL-2.0
#include "umh/pipe/channel.h"

#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include <sys/ioctl.h>
#include <unistd.h>

namespace bpfilter::pipe {

namespace asio = boost::asio;

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

void Channel::wait()
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

// One request, if there is one. False: the module closed the pipe.
Result<bool> Channel::read_one()
{
    const int fd = pipe_.native_handle();
    int length = 0;
    if (ioctl(fd, FIONREAD, &length) < 0)
        return fail(errno, "the pipe does not tell the length of a request");

    Buffer message(static_cast<std::size_t>(length) + sizeof(bpfilter_request_header));
    const ssize_t got = ::read(fd, message.data(), message.size());
    if (got == 0)
        return false;
    if (got < 0) {
        // EMSGSIZE: another, longer request took the place of the one we measured.
        if (errno == EAGAIN || errno == EINTR || errno == EMSGSIZE)
            return true;
        return fail(errno, fmt::format("reading the pipe failed: {}", std::strerror(errno)));
    }
    message.resize(static_cast<std::size_t>(got));

    auto request = parse_request(std::move(message));
    if (!request)
        return std::unexpected(request.error());
    dispatch(std::move(*request));
    return true;
}

void Channel::dispatch(Request request)
{
    const std::uint64_t netns = request.header.netns;
    if (netns == 0) {
        answer(request);
        return;
    }
    const bool last = request.header.opcode == BPFILTER_OP_NETNS_GONE;
    auto strand = strands_.try_emplace(netns, pool_.get_executor()).first->second;
    asio::post(strand, [this, request = std::move(request)] { answer(request); });
    if (last)
        strands_.erase(netns);
}

void Channel::answer(const Request &request)
{
    Outcome outcome = [&]() -> Outcome {
        try {
            return handler_(request);
        } catch (const std::bad_alloc &) {
            return fail(ENOMEM, "the helper is out of memory");
        } catch (const std::exception &e) {
            return fail(EIO, fmt::format("the helper failed: {}", e.what()));
        }
    }();

    const Buffer reply = format_reply(request.header, outcome);
    if (::write(pipe_.native_handle(), reply.data(), reply.size()) < 0 && errno != ENOENT)
        spdlog::warn("a reply was not taken: {}", std::strerror(errno));
}

} // namespace bpfilter::pipe
