// SPDX-License-Identifier: GPL-2.0
#include "umh/pipe/message.h"

#include <algorithm>
#include <cerrno>
#include <string>

namespace bpfilter::pipe {

namespace {

// The log is one line of printable text, whatever a caller called its chains.
std::string printable(std::string_view message)
{
    std::string line(message.substr(0, BPFILTER_MESSAGE_MAX));
    std::ranges::replace_if(line, [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
    return line;
}

void append(Buffer &to, std::span<const std::byte> bytes)
{
    to.insert(to.end(), bytes.begin(), bytes.end());
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

Buffer format_reply(const bpfilter_request_header &request, const Outcome &outcome)
{
    if (outcome && outcome->size() > request.reply_limit)
        return format_reply(request, fail(EIO, "a reply is larger than the caller asked for"));

    const std::string message = outcome ? std::string() : printable(outcome.error().message);
    const std::span<const std::byte> payload =
        outcome ? std::span<const std::byte>(*outcome) : std::span<const std::byte>();

    bpfilter_reply_header header{};
    header.length = static_cast<__u32>(sizeof(header) + message.size() + payload.size());
    header.error = outcome ? 0 : -outcome.error().code;
    header.id = request.id;
    header.message_length = static_cast<__u32>(message.size());

    Buffer reply;
    reply.reserve(header.length);
    append(reply, std::as_bytes(std::span(&header, 1)));
    append(reply, std::as_bytes(std::span(message)));
    append(reply, payload);
    return reply;
}

} // namespace bpfilter::pipe
