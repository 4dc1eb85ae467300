// SPDX-License-Identifier: GPL-2.0
#include "umh/pipe/message.h"

#include <algorithm>
#include <cerrno>

namespace bpfilter::pipe {

namespace {

// The log is one line of printable text, whatever a caller called its chains.
char printable(char c)
{
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte >= 0x7f ? '?' : c;
}

iovec part(const void *data, std::size_t size)
{
    return {.iov_base = const_cast<void *>(data), .iov_len = size}; // writev() only reads it
}

} // namespace

Result<Request> parse_request(Buffer message)
{
    Request request;
    if (message.size() < sizeof(request.header))
        return fail(EPROTO, "a message from the module is shorter than its header");
    std::memcpy(&request.header, message.data(), sizeof(request.header));
    if (request.header.length != message.size())
        return fail(EPROTO, "a message from the module has a wrong length");
    request.message = std::move(message);
    return request;
}

Reply::Reply(const bpfilter_request_header &request, const Outcome &outcome)
{
    header_.id = request.id;
    if (!outcome)
        set_error(outcome.error().code, outcome.error().message);
    else if (outcome->size() > request.reply_limit)
        set_error(EIO, "a reply is larger than the caller asked for");
    else
        payload_ = *outcome;
    header_.length = static_cast<__u32>(sizeof(header_) + header_.message_length + payload_.size());
}

void Reply::set_error(int code, std::string_view message)
{
    message = message.substr(0, message_.size());
    std::ranges::transform(message, message_.begin(), printable);
    header_.error = -code;
    header_.message_length = static_cast<__u32>(message.size());
}

std::array<iovec, 3> Reply::parts() const
{
    return {part(&header_, sizeof(header_)), part(message_.data(), header_.message_length),
            part(payload_.data(), payload_.size())};
}

Buffer format_reply(const bpfilter_request_header &request, const Outcome &outcome)
{
    Buffer bytes;
    const Reply reply(request, outcome);
    for (const iovec &part : reply.parts()) {
        const auto *data = static_cast<const std::byte *>(part.iov_base);
        bytes.insert(bytes.end(), data, data + part.iov_len);
    }
    return bytes;
}

} // namespace bpfilter::pipe
