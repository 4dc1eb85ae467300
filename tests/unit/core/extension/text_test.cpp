// SPDX-License-Identifier: GPL-2.0
//
// Texts of rules, as iptables -S prints them, and the chains they are named after.
#include "tests/unit/support/decoding.h"
#include "umh/core/extension/text.h"

namespace bpfilter::test {

namespace {

std::string text_of(const Rule &rule)
{
    return rule_of(rule).text;
}

TEST(Text, Addresses)
{
    EXPECT_EQ(text_of(Rule().source("127.0.0.5").drop()), "-A INPUT -s 127.0.0.5/32 -j DROP");
    EXPECT_EQ(text_of(Rule().source("10.0.0.0/8", true).destination("10.0.1.0/255.0.255.0")),
              "-A INPUT ! -s 10.0.0.0/8 -d 10.0.1.0/255.0.255.0");
    EXPECT_EQ(text_of(Rule().source("0.0.0.0/0", true).accept()),
              "-A INPUT ! -s 0.0.0.0/0 -j ACCEPT");
}

TEST(Text, Interfaces)
{
    EXPECT_EQ(text_of(Rule().in("lo").out("eth+", true).accept()),
              "-A INPUT -i lo ! -o eth+ -j ACCEPT");
    EXPECT_EQ(text_of(Rule().in("fifteenletters0").accept()),
              "-A INPUT -i fifteenletters0 -j ACCEPT");
    EXPECT_EQ(text_of(Rule().in("+").accept()), "-A INPUT -j ACCEPT");
}

TEST(Text, Protocols)
{
    EXPECT_EQ(text_of(Rule().protocol(47, true).queue()), "-A INPUT ! -p gre -j QUEUE");
    EXPECT_EQ(text_of(Rule().protocol(200).returns()), "-A INPUT -p 200 -j RETURN");
    EXPECT_EQ(text_of(Rule().fragment().accept()), "-A INPUT -f -j ACCEPT");
    EXPECT_EQ(text_of(Rule().fragment(true).accept()), "-A INPUT ! -f -j ACCEPT");
}

TEST(Text, WholeTable)
{
    Blob blob;
    blob.policy("FORWARD", verdict::drop).chain("c1").chain("c2");
    blob.rule("INPUT", Rule().jump("c1")).rule("INPUT", Rule().in("lo").go_to("c2"));
    blob.rule("c1", Rule());
    std::vector<std::string> texts;
    const auto table = decoded(blob.build());
    for (const auto &rule : table.table.rules)
        texts.push_back(rule.text);
    EXPECT_EQ(texts, (std::vector<std::string>{
                         "-A INPUT -j c1",
                         "-A INPUT -i lo -g c2",
                         "-P INPUT ACCEPT",
                         "-P FORWARD DROP",
                         "-P OUTPUT ACCEPT",
                         "-N c1",
                         "-A c1",
                         "-A c1 -j RETURN",
                         "-N c2",
                         "-A c2 -j RETURN",
                         "# end of table",
                     }));
}

TEST(Text, JumpsThatIptablesCannotSay)
{
    Payload payload = Blob().rule("INPUT", Rule().jump("c1")).chain("c1").build();
    payload.put_entry(0, verdict_at, static_cast<std::int32_t>(payload.offsets[4]));
    EXPECT_EQ(decoded(payload).table.rules[0].text, "-A INPUT -j c1:0");
}

TEST(Chains, AreRangesOfRules)
{
    Blob blob;
    blob.rule("INPUT", Rule().accept()).chain("c1").rule("c1", Rule().drop()).chain("c2", false);
    const auto table = decoded(blob.build()).table;
    ASSERT_EQ(table.chains.size(), 5U);
    EXPECT_EQ(table.chains[0].name, "INPUT");
    EXPECT_EQ(table.chains[0].hook, ir::Hook::local_in);
    EXPECT_EQ(table.chains[0].first, 0U);
    EXPECT_EQ(table.chains[0].last, 1U);
    EXPECT_EQ(table.chains[2].hook, ir::Hook::local_out);
    EXPECT_EQ(table.chains[3].name, "c1");
    EXPECT_FALSE(table.chains[3].hook);
    EXPECT_EQ(table.chains[3].first, 5U);
    EXPECT_EQ(table.chains[3].last, 6U);
    EXPECT_EQ(table.chains[4].first, 8U); // c2 is empty
    EXPECT_EQ(table.chains[4].last, 7U);
}

TEST(Chains, HooksAndIds)
{
    const auto table = decoded(Blob().rule("FORWARD", Rule().accept()).build()).table;
    ASSERT_TRUE(table.hooks[2]);
    EXPECT_EQ(table.hooks[2]->entry, 1U);
    EXPECT_EQ(table.hooks[2]->underflow, 2U);
    EXPECT_EQ(table.hooks[2]->priority, 0);
    for (ir::RuleId id = 0; id < table.rules.size(); ++id)
        EXPECT_EQ(table.rules[id].id, id);
}

TEST(Printable, EscapesAndCuts)
{
    EXPECT_EQ(extension::printable("a b~"), "a b~");
    EXPECT_EQ(extension::printable(std::string_view("\0\n\x7f", 3)), "\\x00\\x0a\\x7f");
    EXPECT_EQ(extension::printable(std::string(100, 'x')), std::string(64, 'x') + "...");
}

} // namespace

} // namespace bpfilter::test
