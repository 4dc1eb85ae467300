// SPDX-License-Identifier: GPL-2.0
#include "umh/pipe/message.h"

#include <bpfilter/context.h>
#include <bpfilter/xdp.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace bpfilter::pipe {
namespace {

Buffer message_of(bpfilter_request_header header, std::string_view payload)
{
    header.length = static_cast<__u32>(sizeof(header) + payload.size());
    Buffer message = bytes_of(header);
    const auto bytes = std::as_bytes(std::span(payload));
    message.insert(message.end(), bytes.begin(), bytes.end());
    return message;
}

bpfilter_reply_header header_of(const Buffer &reply)
{
    return payload_as<bpfilter_reply_header>(reply).value();
}

// The module asserts the same numbers at build time: the layout is one for both.
TEST(PipeLayout, StructuresHaveTheSizesOfTheProtocol)
{
    EXPECT_EQ(sizeof(bpfilter_request_header), 40u);
    EXPECT_EQ(sizeof(bpfilter_reply_header), 24u);
    EXPECT_EQ(sizeof(bpfilter_settings), 12u);
    EXPECT_EQ(sizeof(bpfilter_init), 28u);
    EXPECT_EQ(sizeof(bpfilter_table_name), 32u);
    EXPECT_EQ(sizeof(bpfilter_get_entries), 40u);
    EXPECT_EQ(sizeof(bpfilter_count), 8u);
    EXPECT_EQ(sizeof(bpfilter_commit_hook), 16u);
    EXPECT_EQ(sizeof(bpfilter_commit), 168u);
    EXPECT_EQ(sizeof(bpfilter_commit_records), 200u);
    EXPECT_EQ(sizeof(bpfilter_check), 24u);
    EXPECT_EQ(sizeof(bpfilter_check_entry), 8u);
    EXPECT_EQ(sizeof(bpfilter_kept), 48u);
    EXPECT_EQ(sizeof(bpfilter_give), 32u);
    EXPECT_EQ(sizeof(bpfilter_context), 64u);
    EXPECT_EQ(sizeof(bpfilter_look_device), 32u);
    EXPECT_EQ(sizeof(bpfilter_look_address), 8u);
    EXPECT_EQ(sizeof(bpfilter_look_link), 8u);
    EXPECT_EQ(sizeof(bpfilter_look), 56u);
    EXPECT_EQ(sizeof(bpfilter_attach), 40u);
    EXPECT_EQ(sizeof(bpfilter_detach), 16u);
}

TEST(ParseRequest, SplitsHeaderAndPayload)
{
    bpfilter_request_header header{};
    header.id = 7;
    header.opcode = BPFILTER_OP_GET_INFO;
    const auto request = parse_request(message_of(header, "abc"));
    ASSERT_TRUE(request);
    EXPECT_EQ(request->header.id, 7u);
    EXPECT_EQ(request->payload().size(), 3u);
    EXPECT_EQ(request->payload()[2], std::byte{'c'});
}

TEST(ParseRequest, RefusesWhatIsNotOneWholeMessage)
{
    EXPECT_EQ(parse_request({}).error().code, EPROTO);
    EXPECT_EQ(parse_request(Buffer(sizeof(bpfilter_request_header) - 1)).error().code, EPROTO);

    Buffer longer = message_of({}, "abc");
    longer.push_back(std::byte{0});
    EXPECT_EQ(parse_request(longer).error().code, EPROTO);

    Buffer shorter = message_of({}, "abc");
    shorter.pop_back();
    EXPECT_EQ(parse_request(shorter).error().code, EPROTO);
}

TEST(FormatReply, CarriesThePayload)
{
    bpfilter_request_header request{};
    request.id = 9;
    request.reply_limit = 3;
    const Buffer reply = format_reply(request, Buffer(3, std::byte{5}));
    const auto header = header_of(reply);
    EXPECT_EQ(header.length, reply.size());
    EXPECT_EQ(header.id, 9u);
    EXPECT_EQ(header.error, 0);
    EXPECT_EQ(header.message_length, 0u);
    EXPECT_EQ(reply.size(), sizeof(header) + 3);
    EXPECT_EQ(reply.back(), std::byte{5});
}

TEST(FormatReply, CarriesAnErrorAndItsSentence)
{
    const Buffer reply = format_reply({}, fail(EINVAL, "bad"));
    const auto header = header_of(reply);
    EXPECT_EQ(header.error, -EINVAL);
    EXPECT_EQ(header.message_length, 3u);
    EXPECT_EQ(reply.size(), sizeof(header) + 3);
    EXPECT_EQ(reply.back(), std::byte{'d'});
}

TEST(FormatReply, MakesTheSentenceOneShortPrintableLine)
{
    const Buffer reply = format_reply({}, fail(EINVAL, "a\nb\033" + std::string(1000, 'x')));
    const auto header = header_of(reply);
    EXPECT_EQ(header.message_length, static_cast<__u32>(BPFILTER_MESSAGE_MAX));
    EXPECT_EQ(header.length, sizeof(header) + BPFILTER_MESSAGE_MAX);
    EXPECT_EQ(reply[sizeof(header) + 1], std::byte{'?'});
    EXPECT_EQ(reply[sizeof(header) + 3], std::byte{'?'});
}

TEST(FormatReply, NeverExceedsWhatTheCallerAskedFor)
{
    bpfilter_request_header request{};
    request.reply_limit = 2;
    EXPECT_EQ(header_of(format_reply(request, Buffer(3))).error, -EIO);
}

TEST(PayloadAs, RefusesAShortPayload)
{
    EXPECT_EQ(payload_as<bpfilter_count>(Buffer(7)).error().code, EPROTO);
    EXPECT_TRUE(payload_as<bpfilter_count>(Buffer(8)));
}

} // namespace
} // namespace bpfilter::pipe
