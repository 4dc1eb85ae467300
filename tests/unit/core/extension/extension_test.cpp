// SPDX-License-Identifier: GPL-2.0
//
// Matches and targets: what they ask, how they may be used, and which are there.
#include "tests/unit/support/decoding.h"
#include "umh/core/extension/extension.h"

#include <cerrno>

namespace bpfilter::test {

namespace {

TEST(Extension, ProtocolIsRequired)
{
    EXPECT_EQ(error_of(Rule().tcp().accept()), 0);
    EXPECT_EQ(error_of(Rule().tcp().protocol(0).accept()), EINVAL);
    EXPECT_EQ(error_of(Rule().tcp().protocol(17).accept()), EINVAL);
    EXPECT_EQ(error_of(Rule().tcp().protocol(6, true).accept()), EINVAL);
    EXPECT_EQ(error_of(Rule().tcp().protocol(256 + 6).accept()), EINVAL);
    EXPECT_EQ(message_of(Blob().rule("INPUT", Rule().tcp().protocol(17)).build()),
              "INPUT:1: match tcp: only valid for protocol tcp");
}

TEST(Extension, SizeIsExact)
{
    for (const std::size_t size : {0, 8, 24}) {
        const Rule rule = Rule().protocol(6).match("tcp", 0, std::vector<std::byte>(size));
        EXPECT_EQ(error_of(rule), EINVAL) << size;
    }
    EXPECT_EQ(error_of(Rule().protocol(6).match("tcp", 0, std::vector<std::byte>(16))), 0);
}

TEST(Extension, UnknownOnesAreLeftToTheKernel)
{
    const auto bytes = std::vector<std::byte>(16);
    EXPECT_EQ(error_of(Rule().match("nosuch", 3, bytes)), ENOENT);
    EXPECT_EQ(error_of(Rule().protocol(6).match("tcp", 1, bytes)), ENOENT);
    EXPECT_EQ(error_of(Rule().target("LOG", 0, bytes)), ENOENT);
}

TEST(Extension, RulesThatNothingReachesAreCheckedToo)
{
    Blob blob;
    blob.chain("c1").rule("c1", Rule().match("nosuch", 0, {}));
    EXPECT_EQ(error_of(blob.build()), ENOENT);
}

TEST(Extension, MatchesBeforeTheTarget)
{
    const auto bytes = std::vector<std::byte>(16);
    EXPECT_EQ(error_of(Rule().match("tcp", 0, bytes).target("LOG", 0, bytes)), EINVAL);
    EXPECT_EQ(error_of(Rule().protocol(6).match("tcp", 0, bytes).target("LOG", 0, bytes)), ENOENT);
}

TEST(Extension, LoopsBeforeExtensions)
{
    Blob blob;
    blob.rule("INPUT", Rule().match("nosuch", 0, {})).rule("INPUT", Rule().jump("c1"));
    blob.chain("c1").rule("c1", Rule().jump("c1"));
    EXPECT_EQ(error_of(blob.build()), ELOOP);
}

TEST(Extension, NeverMatchingRulesAreCheckedToo)
{
    EXPECT_EQ(error_of(Rule().in("+", true).match("nosuch", 0, {})), ENOENT);
}

TEST(Extension, UseIsRestricted)
{
    const extension::Extension extension{
        .name = "x", .revision = 2, .size = 9, .protocol = 6, .hooks = 0x08, .table = "nat"};
    const extension::ExtensionUse right{16, "nat", 0x08, 6, false};
    const auto refusal = [&](auto change) {
        auto use = right;
        change(use);
        const auto checked = extension::check_use("target", extension, 16, use);
        return checked ? "" : std::to_string(checked.error().code) + " " + checked.error().message;
    };
    const auto einval = std::to_string(EINVAL) + " target x revision 2: ";
    using Use = extension::ExtensionUse;
    EXPECT_EQ(refusal([](Use &) {}), "");
    EXPECT_EQ(refusal([](Use &use) { use.hooks = 0; }), "") << "never reached";
    EXPECT_EQ(refusal([](Use &use) { use.payload_size = 9; }), einval + "invalid size 9, not 16");
    EXPECT_EQ(refusal([](Use &use) { use.table = "raw"; }),
              einval + "only valid in the nat table, not in raw");
    EXPECT_EQ(refusal([](Use &use) { use.hooks = 0x0c; }),
              einval + "used from FORWARD/OUTPUT, but only valid from OUTPUT");
    EXPECT_EQ(refusal([](Use &use) { use.protocol = 17; }), einval + "only valid for protocol tcp");
    EXPECT_EQ(refusal([](Use &use) { use.protocol_inverted = true; }),
              einval + "only valid for protocol tcp");
    EXPECT_EQ(refusal([](Use &use) {
                  use.table = "raw";
                  use.payload_size = 9;
              }),
              einval + "invalid size 9, not 16")
        << "size first";
}

} // namespace

} // namespace bpfilter::test
