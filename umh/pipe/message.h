// SPDX-License-Identifier: GPL-2.0
//
// Requests and replies of the pipe as values. The wire format is include/bpfilter/pipe.h;
// these are the only functions that turn its bytes into something else and back.
#pragma once

#include "umh/util/result.h"

#include <bpfilter/pipe.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include <sys/uio.h>

namespace bpfilter::pipe {

using Buffer = std::vector<std::byte>;

// Holds the message as it was read: payloads can be tens of megabytes.
struct Request {
    bpfilter_request_header header{};
    Buffer message;

    std::span<const std::byte> payload() const
    {
        return std::span(message).subspan(sizeof(header));
    }
};

// What a handler makes of a request: the payload of the reply, or why not.
using Outcome = Result<Buffer>;

// One whole message as read from the pipe. EPROTO if it is not one.
Result<Request> parse_request(Buffer message);

// The reply to write, in the place of a copy: it refers to the outcome, and takes no memory. A
// payload over the request's limit becomes EIO.
class Reply {
public:
    Reply(const bpfilter_request_header &request, const Outcome &outcome);

    // For writev().
    [[nodiscard]] std::array<iovec, 3> parts() const;

private:
    void set_error(int code, std::string_view message);

    bpfilter_reply_header header_{};
    std::array<char, BPFILTER_MESSAGE_MAX> message_{};
    std::span<const std::byte> payload_;
};

// The same as bytes.
Buffer format_reply(const bpfilter_request_header &request, const Outcome &outcome);

// The first sizeof(T) bytes of a payload as a T, copied out. EPROTO if it is shorter.
template <typename T>
    requires std::is_trivially_copyable_v<T>
Result<T> payload_as(std::span<const std::byte> payload)
{
    if (payload.size() < sizeof(T))
        return fail(EPROTO, "a request from the module is too short");
    T value;
    std::memcpy(&value, payload.data(), sizeof(T));
    return value;
}

template <typename T>
    requires std::is_trivially_copyable_v<T>
Buffer bytes_of(const T &value)
{
    const auto bytes = std::as_bytes(std::span(&value, 1));
    return {bytes.begin(), bytes.end()};
}

} // namespace bpfilter::pipe
