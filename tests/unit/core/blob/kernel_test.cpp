// SPDX-License-Identifier: GPL-2.0
//
// Matches and targets that are not in our list: the kernel's. What it is to check, in which order
// with what is wrong elsewhere, what number each has, and what is listed of them.
#include "tests/unit/support/decoding.h"

#include <gmock/gmock.h>

#include <cerrno>

namespace bpfilter::test {

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<std::byte> some(16, std::byte{0x5a});

Rule limit()
{
    return Rule().match("limit", 0, some);
}

// Wrong: without -p tcp.
Rule bare_tcp()
{
    return Rule().match("tcp", 0, std::vector<std::byte>(16));
}

std::vector<std::uint32_t> offsets(const Checked &checked)
{
    std::vector<std::uint32_t> list;
    for (const auto &entry : checked.entries)
        list.push_back(entry.offset);
    return list;
}

std::string lowered(const Blob &blob)
{
    return ir::text(decoded(blob.build()).table);
}

TEST(OfKernel, EntriesAreToldWithTheHooksThatReachThem)
{
    Blob blob;
    blob.rule("INPUT", Rule().tcp().accept())
        .rule("INPUT", limit().accept())
        .rule("INPUT", Rule().jump("c1"))
        .rule("FORWARD", Rule().jump("c1"))
        .chain("c1")
        .chain("lonely")
        .rule("c1", Rule().target("REJECT", 0, some))
        .rule("lonely", Rule().match("tcp", 7, some).accept());
    const Payload payload = blob.build();
    // INPUT 0 to 3, FORWARD 4 and 5, OUTPUT 6, c1 7 to 9, lonely 10 to 12, end
    const auto &at = payload.offsets;
    const Checked all = checked(payload);
    EXPECT_EQ(all.error, 0);
    EXPECT_THAT(all.entries,
                ElementsAre(blob::KernelEntry{at[1], 0x02}, blob::KernelEntry{at[8], 0x06},
                            blob::KernelEntry{at[11], 0x00}));
}

TEST(OfKernel, NothingIsToldOfATableThatHasNone)
{
    EXPECT_THAT(checked(Blob().rule("INPUT", Rule().tcp().accept()).build()).entries, IsEmpty());
}

// All matches and the target of an entry that the kernel checks, and of no other.
TEST(OfKernel, InstancesAreNumberedInOrder)
{
    Blob blob;
    blob.rule("INPUT", Rule().udp().udp().accept())
        .rule("INPUT", Rule().tcp().match("limit", 0, some).match("set", 4, some).accept())
        .rule("INPUT", Rule().match("limit", 0, some))
        .rule("INPUT", Rule().tcp().target("LOG", 0, some))
        .rule("INPUT", Rule().target("REJECT", 0, some));
    EXPECT_EQ(lowered(blob), "filter ipv4 depth 1\n"
                             "INPUT 0 policy 5\n"
                             "FORWARD 6 policy 6\n"
                             "OUTPUT 7 policy 7\n"
                             "0: protocol = 17, require ports, require ports -> accept\n"
                             "1: protocol = 6, require tcp, kernel 1, kernel 2 -> accept\n"
                             "2: kernel 4 -> continue\n"
                             "3: protocol = 6, require tcp -> kernel 7\n"
                             "4: always -> kernel 8\n"
                             "5: always -> accept\n"
                             "6: always -> accept\n"
                             "7: always -> accept\n"
                             "8: always -> drop\n");
}

TEST(OfKernel, RulesThatNeverMatchHaveInstancesToo)
{
    Blob blob;
    blob.rule("INPUT", Rule().in("+", true).match("limit", 0, some).accept())
        .rule("INPUT", Rule().target("REJECT", 0, some));
    const auto table = decoded(blob.build());
    EXPECT_EQ(ir::text(table.table.rules[0].conditions), "never");
    EXPECT_EQ(ir::text(table.table.rules[1].verdict), "kernel 2");
}

// Whoever is first in the payload has the first word: the kernel, or what is wrong elsewhere.
TEST(OfKernel, WhatIsWrongBehindIsTold)
{
    Blob blob;
    blob.rule("INPUT", limit()).rule("INPUT", bare_tcp()).rule("INPUT", limit());
    const Payload payload = blob.build();
    const Checked all = checked(payload);
    EXPECT_THAT(offsets(all), ElementsAre(payload.offsets[0]));
    EXPECT_EQ(all.error, EINVAL);
}

TEST(OfKernel, WhatIsWrongBeforeIsAnsweredAtOnce)
{
    Blob blob;
    blob.rule("INPUT", bare_tcp()).rule("INPUT", limit());
    const Checked all = checked(blob.build());
    EXPECT_THAT(all.entries, IsEmpty());
    EXPECT_EQ(all.error, EINVAL);
}

// In one entry the order is the kernel's: it checks all of it.
TEST(OfKernel, WhatIsWrongBesideIsToldWithItsEntry)
{
    for (const Rule &rule : {bare_tcp().match("limit", 0, some), limit().match("tcp", 0, some),
                             bare_tcp().target("REJECT", 0, some)}) {
        const Payload payload = Blob().rule("INPUT", Rule()).rule("INPUT", rule).build();
        const Checked all = checked(payload);
        EXPECT_THAT(offsets(all), ElementsAre(payload.offsets[1]));
        EXPECT_EQ(all.error, EINVAL);
    }
}

TEST(OfKernel, TheTablesNameAndHooksComeLast)
{
    Payload payload = Blob().rule("INPUT", limit()).build();
    payload.put(0, std::array<char, 8>{"nosuch"});
    const Checked unknown = checked(payload);
    EXPECT_EQ(unknown.entries.size(), 1U);
    EXPECT_EQ(unknown.error, ENOENT);

    const Checked hooks = checked(Blob("filter", 0x1f).rule("INPUT", limit()).build());
    EXPECT_EQ(hooks.entries.size(), 1U);
    EXPECT_EQ(hooks.error, EINVAL);
}

// What ip_tables finds before it looks at any match.
TEST(OfKernel, TheTableAsAWholeComesFirst)
{
    Blob loop;
    loop.rule("INPUT", limit()).rule("INPUT", Rule().jump("c1"));
    loop.chain("c1").rule("c1", Rule().jump("c1"));
    const Checked loops = checked(loop.build());
    EXPECT_THAT(loops.entries, IsEmpty());
    EXPECT_EQ(loops.error, ELOOP);

    Payload flags = Blob().rule("INPUT", limit()).rule("OUTPUT", Rule()).build();
    flags.put_entry(3, offsetof(ipt_entry, ip.flags), std::uint8_t{0x80});
    const Checked wrong = checked(flags);
    EXPECT_THAT(wrong.entries, IsEmpty());
    EXPECT_EQ(wrong.error, EINVAL);
}

TEST(OfKernel, NamesWithoutEndAreWrong)
{
    const std::string endless(29, 'x');
    const Checked match = checked(Blob().rule("INPUT", Rule().match(endless, 0, some)).build());
    EXPECT_THAT(match.entries, IsEmpty());
    EXPECT_EQ(match.error, EINVAL);
}

// Their bytes are the kernel's business: it has made of them what a listing shows.
TEST(OfKernel, ListingsGiveTheirBytesBack)
{
    for (const ir::Family family : {ir::Family::ipv4, ir::Family::ipv6}) {
        const Payload payload =
            Blob(family).rule("INPUT", limit().target("REJECT", 3, some)).build();
        const auto table = decoded(payload);
        const Bytes sent = Bytes(payload.bytes).subspan(payload.header);
        const std::size_t from = native(family).entry_size;
        const std::size_t to = payload.offsets[1];
        EXPECT_TRUE(std::ranges::equal(Bytes(table.entries).subspan(from, to - from),
                                       sent.subspan(from, to - from)));
    }
}

TEST(OfKernel, TextsNameThem)
{
    const auto text = [](const Rule &rule) { return rule_of(rule).text; };
    EXPECT_EQ(text(Rule().tcp().match("limit", 0, some).accept()),
              "-A INPUT -p tcp -m tcp -m limit -j ACCEPT");
    EXPECT_EQ(text(Rule().in("eth0").target("REJECT", 0, some)), "-A INPUT -i eth0 -j REJECT");
    EXPECT_EQ(text(Rule().target("\n", 0, some)), "-A INPUT -j \\x0a");
}

} // namespace

} // namespace bpfilter::test
