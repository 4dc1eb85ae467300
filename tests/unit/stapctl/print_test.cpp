// SPDX-License-Identifier: GPL-2.0
//
// What stapctl prints of processes that call themselves what they like.
#include "umh/stapctl/print.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bpfilter::stapctl {
namespace {

using testing::HasSubstr;

TappedSocket socket_of(std::uint64_t inode)
{
    TappedSocket socket;
    socket.state = "ESTAB";
    socket.local = "127.0.0.1:1";
    socket.peer = "127.0.0.1:2";
    socket.inode = inode;
    return socket;
}

TEST(Print, NamesAreNoCommandsToTheTerminal)
{
    const std::string text = as_text(socket_of(1), {{7, 3, "\x1b[31m\xff\\\x9b ok~"}});
    EXPECT_EQ(text.substr(0, text.find('\n')),
              R"(ESTAB 127.0.0.1:1 127.0.0.1:2 \x1b[31m\xff\x5c\x9b ok~(7) fd 3)");
}

TEST(Print, NamesThatAreNotUtf8DoNotSpoilTheList)
{
    std::multimap<std::uint64_t, Holder> holders;
    holders.emplace(1, Holder{7, 3, "a\xff\"b"});
    holders.emplace(2, Holder{8, 4, "other"});
    const std::string text = as_json({socket_of(1), socket_of(2)}, holders);
    EXPECT_THAT(text, HasSubstr("\"a\xef\xbf\xbd\\\"b\""));
    EXPECT_THAT(text, HasSubstr("\"other\""));
}

} // namespace
} // namespace bpfilter::stapctl
