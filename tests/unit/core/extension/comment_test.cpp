// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/decoding.h"

#include <algorithm>
#include <cerrno>
#include <linux/netfilter/xt_comment.h>

namespace bpfilter::test {

namespace {

Rule with(std::string_view comment)
{
    xt_comment_info info{};
    comment.copy(info.comment, sizeof(info.comment));
    return Rule().match("comment", 0, bytes_of(info)).accept();
}

std::string text(std::string_view comment)
{
    const std::string text = rule_of(with(comment)).text;
    constexpr std::string_view before = "-A INPUT -m comment --comment ";
    return text.substr(before.size(), text.size() - before.size() - 10);
}

TEST(Comment, AsksNothing)
{
    EXPECT_EQ(asked(with("what this is for")), "always");
    EXPECT_EQ(asked(with("v6"), ir::Family::ipv6), "always");
}

TEST(Comment, PrintsAsIptablesDoes)
{
    EXPECT_EQ(text("plain_one-2"), "plain_one-2");
    EXPECT_EQ(text("two words"), "\"two words\"");
    EXPECT_EQ(text("a\"b\\c'd"), "\"a\\\"b\\\\c\\'d\"");
    EXPECT_EQ(text(""), "\"\"");
    EXPECT_EQ(text("line\nend"), "\"line\\x0aend\"") << "as a message may have it";
    EXPECT_EQ(text(std::string(256, 'a')), std::string(64, 'a') + "...") << "without end";
}

TEST(Comment, HasOneSize)
{
    EXPECT_EQ(error_of(Rule().match("comment", 0, std::vector<std::byte>(248))), EINVAL);
    EXPECT_EQ(error_of(with("")), 0);
}

} // namespace

} // namespace bpfilter::test
