// SPDX-License-Identifier: GPL-2.0
//
// Requests of 32-bit callers: one table with what a 64-bit caller would have sent, and the
// errnos of translate_compat_table, which are not always those of translate_table.
#include "tests/unit/support/compat.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/seed.h"
#include "umh/core/blob/compat.h"
#include "umh/core/blob/info.h"
#include "umh/core/blob/listing.h"
#include "umh/core/extension/extension.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <random>

namespace bpfilter::test {

namespace {

constexpr auto num_entries = offsetof(ipt_replace, num_entries);
constexpr auto num_counters = offsetof(ipt_replace, num_counters);
constexpr auto size = offsetof(ipt_replace, size);
constexpr auto hook_entry = offsetof(ipt_replace, hook_entry);
constexpr auto underflow = offsetof(ipt_replace, underflow);
constexpr std::size_t input = 4; // the slot of a hook
constexpr auto next_offset = offsetof(ipt_entry, next_offset);
constexpr std::size_t end = 3; // the target ERROR of an empty table

const blob::Layout &compat_of(ir::Family family)
{
    return **blob::find_layout(family, true);
}

const blob::Layout &compat_ipv4()
{
    return compat_of(ir::Family::ipv4);
}

Result<blob::DecodedTable> decode_compat(const Payload &payload)
{
    return blob::decode_replace(payload.bytes, compat_of(payload.family));
}

int compat_error(const Payload &payload)
{
    const auto result = decode_compat(payload);
    return result ? 0 : result.error().code;
}

// The first entry of INPUT is `rule`, made wrong at `offset`.
template <typename T> int rule_with(const Rule &rule, std::size_t offset, T value)
{
    Payload payload = narrow(Blob().rule("INPUT", rule).build());
    payload.put_entry(0, offset, value);
    return compat_error(payload);
}

// A table with something of everything that moves offsets.
Payload random_payload(std::mt19937_64 &random, ir::Family family)
{
    const auto below = [&random](unsigned n) { return random() % n; };
    Blob blob(family);
    const std::vector<std::string> chains{"INPUT", "FORWARD", "OUTPUT", "c1", "c2", "c3"};
    for (std::size_t chain = 3; chain < chains.size(); ++chain)
        blob.chain(chains[chain]);
    for (std::size_t chain = 0; chain < chains.size(); ++chain) {
        for (auto rules = below(6); rules > 0; --rules) {
            Rule rule;
            const auto protocol = below(3);
            for (auto matches = below(4); matches > 0; --matches) {
                if (protocol == 0)
                    rule.tcp({.dport = {0, 0x1234}, .flags = 0x12});
                else if (protocol == 1)
                    rule.udp({.sport = {7, 9}, .invert = 1});
                else if (family == ir::Family::ipv4)
                    rule.source("10.1.0.0/16").icmp({.type = 8});
                else
                    rule.source("fd00::/8").icmp6({.type = 128});
            }
            const auto later = std::max<std::size_t>(chain + 1, 3);
            if (later < chains.size() && below(2) != 0)
                below(2) != 0 ? rule.jump(chains[later]) : rule.go_to(chains[later]);
            else if (below(3) != 0)
                rule.standard(below(2) != 0 ? verdict::drop : verdict::returns);
            blob.rule(chains[chain], rule);
        }
    }
    return blob.build();
}

TEST(CompatLayout, IsTheDocumentedOne)
{
    const auto &layout = compat_ipv4();
    EXPECT_EQ(layout.native, &native_ipv4());
    EXPECT_EQ(layout.replace_size, 92U);
    EXPECT_EQ(layout.entry_size, 112U);
    EXPECT_EQ(layout.counters, 96U);
    EXPECT_EQ(layout.alignment, 4U);
    EXPECT_EQ(layout.align(32 + 4), 36U);
    EXPECT_FALSE(blob::find_layout(ir::Family{}, true));
}

TEST(CompatLayout, AnEntryOfIPv6IsShorter)
{
    const auto &layout = compat_of(ir::Family::ipv6);
    EXPECT_EQ(layout.native, &native(ir::Family::ipv6));
    EXPECT_EQ(layout.replace_size, 92U);
    EXPECT_EQ(layout.entry_size, 164U);
    EXPECT_EQ(layout.counters, 148U);
}

TEST(Compat, AFreshTable)
{
    const Payload payload = narrow(Blob().build());
    ASSERT_EQ(payload.bytes.size(), 92U + 620U);
    const auto table = *decode_compat(payload);
    EXPECT_EQ(table.layout, &native_ipv4());
    EXPECT_EQ(table.entries, decoded(Blob().build()).entries);
    EXPECT_EQ(table.hook_entry, (blob::HookOffsets{0xffffffff, 0, 152, 304, 0xffffffff}));
}

class CompatTables : public ::testing::TestWithParam<ir::Family> {};

INSTANTIATE_TEST_SUITE_P(Families, CompatTables,
                         ::testing::Values(ir::Family::ipv4, ir::Family::ipv6),
                         [](const auto &info) {
                             return info.param == ir::Family::ipv4 ? "IPv4" : "IPv6";
                         });

TEST_P(CompatTables, RandomOnesAreTheSameAsNative)
{
    std::mt19937_64 random(seed());
    for (int round = 0; round < 500; ++round) {
        const Payload payload = random_payload(random, GetParam());
        const Payload compat = narrow(payload);
        const auto expected = decoded(payload);
        ASSERT_EQ(compat_error(compat), 0) << "round " << round;
        const auto table = *decode_compat(compat);
        ASSERT_EQ(table.entries, expected.entries) << "round " << round;
        EXPECT_EQ(table.offsets, expected.offsets);
        EXPECT_EQ(table.hook_entry, expected.hook_entry);
        EXPECT_EQ(table.underflow, expected.underflow);
        EXPECT_EQ(table.num_counters, expected.num_counters);
        ASSERT_EQ(table.table.rules.size(), expected.table.rules.size());
        for (std::size_t id = 0; id < table.table.rules.size(); ++id)
            ASSERT_EQ(table.table.rules[id].text, expected.table.rules[id].text);
    }
}

TEST_P(CompatTables, RandomOnesAreListedAsTheyWereSent)
{
    std::mt19937_64 random(seed());
    for (int round = 0; round < 500; ++round) {
        const Payload payload = random_payload(random, GetParam());
        const auto table = decoded(payload);
        std::vector<ir::Counters> counters;
        for (std::uint64_t id = 0; id < table.offsets.size(); ++id)
            counters.push_back({id, id << 40});
        // What a 64-bit caller is shown, translated by somebody else.
        Payload shown = payload;
        shown.bytes.resize(shown.header);
        const auto entries = blob::encode_entries(table, counters, native(GetParam()));
        shown.bytes.insert(shown.bytes.end(), entries.begin(), entries.end());
        const Payload expected = narrow(shown);
        const auto listed = blob::encode_entries(table, counters, compat_of(GetParam()));
        ASSERT_TRUE(std::ranges::equal(listed, Bytes(expected.bytes).subspan(expected.header)))
            << "round " << round;
        ASSERT_EQ(blob::entries_size(table, compat_of(GetParam())), listed.size());
        ASSERT_EQ(decode_compat(expected)->entries, table.entries);
    }
}

// The errnos that are the same, and found at the same places.

TEST(Compat, RefusesEveryLengthThatIsTooShort)
{
    const auto whole = narrow(Blob().build());
    for (std::size_t length = 0; length < whole.bytes.size(); ++length) {
        Payload payload = whole;
        payload.bytes.resize(length);
        ASSERT_EQ(compat_error(payload), EINVAL) << length;
    }
}

TEST(Compat, HeadersAreJudgedAsNativeOnesAre)
{
    const auto with = [](std::size_t offset, std::uint32_t value) {
        Payload payload = narrow(Blob().build());
        payload.put(offset, value);
        return compat_error(payload);
    };
    EXPECT_EQ(with(num_counters, 0), EINVAL);
    EXPECT_EQ(with(num_counters, INT_MAX / 16), ENOMEM);
    EXPECT_EQ(with(num_counters, 512 * 1024 * 1024 / 16 + 1), ENOMEM);
    EXPECT_EQ(with(size, 624), EINVAL);
    EXPECT_EQ(with(size, 616), EINVAL);
    EXPECT_EQ(with(num_entries, 3), EINVAL);
    EXPECT_EQ(with(num_entries, 5), EINVAL);
    EXPECT_EQ(with(offsetof(ipt_replace, valid_hooks), 0x0f), EINVAL);
    EXPECT_EQ(with(0, 0x41414141), ENOENT);
    EXPECT_EQ(with(hook_entry + input, 4), EINVAL);
    EXPECT_EQ(with(underflow + input, 4), EINVAL);
    EXPECT_EQ(with(hook_entry + input, 0xffffffff), EINVAL);
    EXPECT_EQ(with(hook_entry, 7), 0); // of no hook of this table
}

TEST(Compat, HooksWrapAround)
{
    // Entry 0 grows by 4: the hook ends at its beginning, as it does in the kernel.
    Payload payload = narrow(Blob().build());
    payload.put(hook_entry + input, 0xfffffffcU);
    const auto table = decode_compat(payload);
    ASSERT_TRUE(table);
    EXPECT_EQ(table->hook_entry[1], 0U);
}

TEST(Compat, EntriesAreAlignedTo4)
{
    Payload payload = narrow(Blob().build());
    payload.put_entry(end, next_offset, std::uint16_t{180});
    payload.put(size, 624U);
    payload.bytes.resize(payload.bytes.size() + 4);
    EXPECT_EQ(compat_error(payload), 0); // room behind the last target
    payload = narrow(Blob().build());
    payload.put_entry(0, next_offset, std::uint16_t{150});
    EXPECT_EQ(compat_error(payload), EINVAL);
}

TEST(Compat, SizesOfTargets)
{
    for (const std::uint16_t wrong : {0, 31, 32, 40, 0xffff})
        EXPECT_EQ(rule_with(Rule().drop(), target_at, wrong), EINVAL) << wrong;
    EXPECT_EQ(rule_with(Rule().drop(), target_at, std::uint16_t{36}), 0);
    EXPECT_EQ(rule_with(Rule().drop(), next_offset, std::uint16_t{152}), EINVAL); // native
    const std::array<char, 30> name{"x"};
    const auto error = Rule().target("ERROR", 0, bytes_of(name));
    EXPECT_EQ(rule_with(error, target_at, std::uint16_t{64}), 0);
    EXPECT_EQ(rule_with(error, target_at, std::uint16_t{60}), EINVAL);
}

TEST(Compat, SizesOfMatches)
{
    const auto rule = Rule().tcp().accept();
    EXPECT_EQ(rule_with(rule, target_at, std::uint16_t{44}), 0);
    for (const std::uint16_t wrong : {0, 31, 32, 40, 48, 0xffff})
        EXPECT_EQ(rule_with(rule, target_at, wrong), EINVAL) << wrong;
}

TEST(Compat, MatchesOfANativeSizeAreTooLarge)
{
    // As a 64-bit caller has them: 16 bytes of payload for 12. narrow() does not know it by
    // this name, and leaves it as large as it was.
    const auto tcp = [](const char *name) {
        const std::array<std::byte, 16> payload{};
        return narrow(
            Blob()
                .rule("INPUT", Rule().protocol(IPPROTO_TCP).match(name, 0, payload).accept())
                .build());
    };
    ASSERT_EQ(compat_error(tcp("tcp")), 0);
    Payload payload = tcp("xyz");
    EXPECT_EQ(compat_error(payload), ENOENT);
    payload.put_entry(0, target_at + 2, std::array<char, 4>{"tcp"});
    EXPECT_EQ(compat_error(payload), EINVAL);
}

TEST(Compat, RoomBehindATarget)
{
    const std::array<char, 30> name{"x"};
    Payload payload = narrow(
        Blob().rule("INPUT", Rule().target("ERROR", 0, bytes_of(name))).rule("INPUT", {}).build());
    payload.put_entry(0, next_offset, std::uint16_t{176 + 148});
    payload.put(num_entries, payload.get<std::uint32_t>(num_entries) - 1);
    EXPECT_EQ(compat_error(payload), EINVAL);
}

TEST(Compat, JumpsLeadToEntries)
{
    Blob blob;
    blob.chain("c1").rule("INPUT", Rule().tcp().jump("c1")).rule("c1", Rule().tcp().drop());
    const auto verdict = target_at + 44 + 32;
    // INPUT 0,1; FORWARD 2; OUTPUT 3; c1: 4 its head, 5, 6; end 7
    const Payload valid = narrow(blob.build());
    EXPECT_EQ(valid.get_entry<std::uint32_t>(0, verdict), valid.offsets[5]);
    const auto with = [&](std::uint32_t offset) {
        Payload payload = valid;
        payload.put_entry(0, verdict, offset);
        return compat_error(payload);
    };
    EXPECT_EQ(with(valid.offsets[4]), 0);
    EXPECT_EQ(with(valid.offsets[5] + 4), ELOOP);
    EXPECT_EQ(with(valid.offsets[7] + 176), ELOOP);
    EXPECT_EQ(with(0x7fffff00), ELOOP);
    EXPECT_EQ(with(0), EINVAL);
    // Translated, it is negative, and no verdict.
    EXPECT_EQ(with(0x7fffffff), EINVAL);
}

TEST(Compat, LoopsAreFound)
{
    Blob blob;
    blob.chain("c1").rule("INPUT", Rule().jump("c1")).rule("c1", Rule().jump("c1"));
    EXPECT_EQ(compat_error(narrow(blob.build())), ELOOP);
}

TEST(Compat, ABadJumpThatNothingReachesIsKept)
{
    Blob blob;
    blob.chain("c1").rule("c1", Rule().tcp().standard(301));
    const Payload payload = narrow(blob.build());
    const auto table = decode_compat(payload);
    ASSERT_TRUE(table);
    const std::vector<ir::Counters> counters(table->offsets.size());
    const auto listed = blob::encode_entries(*table, counters, compat_ipv4());
    EXPECT_EQ(load<std::int32_t>(listed, payload.offsets[4] + target_at + 44 + 32), 301);
}

// Where the kernel answers otherwise than to a 64-bit caller.

TEST(Compat, NoEntriesAreRefusedBeforeTheTableIsLookedFor)
{
    Payload payload = narrow(Blob().build());
    payload.put(size, 0U);
    payload.put(num_entries, 0U);
    payload.put(offsetof(ipt_replace, valid_hooks), 0U);
    payload.put(0, std::array<char, 8>{"nosuch"});
    EXPECT_EQ(compat_error(payload), EINVAL);
}

TEST(Compat, TheNumberOfEntriesIsAnAllocation)
{
    const auto with = [](std::uint32_t value) {
        Payload payload = narrow(Blob().build());
        payload.put(num_entries, value);
        return compat_error(payload);
    };
    EXPECT_EQ(with(512 * 1024 * 1024 / 8), EINVAL);
    EXPECT_EQ(with(512 * 1024 * 1024 / 8 + 1), ENOMEM);
    EXPECT_EQ(with(INT_MAX / 8), ENOMEM);
    EXPECT_EQ(with(INT_MAX / 8 + 1), EINVAL);
    EXPECT_EQ(with(0xffffffff), EINVAL);
}

TEST(Compat, UnknownExtensionsComeFirst)
{
    const std::array<char, 4> unknown{"NOP"};
    // A policy that is none would be EINVAL.
    Payload payload = narrow(Blob().build());
    payload.put_entry(0, target_at + 2, unknown);
    EXPECT_EQ(compat_error(payload), ENOENT);
    // Before the number of entries, hooks and loops.
    payload.put(num_entries, 1U);
    EXPECT_EQ(compat_error(payload), ENOENT);
    EXPECT_EQ(rule_with(Rule().tcp().accept(), target_at + 2, unknown), ENOENT);
    EXPECT_EQ(rule_with(Rule().tcp().accept(), target_at + 31, std::uint8_t{1}), ENOENT);
    std::array<char, 29> name;
    name.fill('A');
    EXPECT_EQ(rule_with(Rule().tcp().accept(), target_at + 2, name), EINVAL);
}

TEST(Compat, MoreEntriesThanItSaysAreFoundAtTheFirst)
{
    // Behind the one too many is one that would be ENOENT.
    Payload payload = narrow(Blob().rule("INPUT", Rule().drop()).build());
    payload.put_entry(1, target_at + 2, std::array<char, 4>{"NOP"});
    EXPECT_EQ(compat_error(payload), ENOENT);
    payload.put(num_entries, 1U);
    EXPECT_EQ(compat_error(payload), ENOENT); // its own extensions are looked for before
    Payload later = narrow(Blob().rule("INPUT", Rule().drop()).build());
    later.put_entry(2, target_at + 2, std::array<char, 4>{"NOP"});
    later.put(num_entries, 1U);
    EXPECT_EQ(compat_error(later), EINVAL);
}

TEST(Compat, AnEntryMayBeTooLargeNatively)
{
    // Matches as many as fit: 4 bytes more each, and its size has 16 bits.
    const auto with = [](unsigned matches) {
        Rule rule;
        for (; matches > 0; --matches)
            rule.icmp({.type = 8});
        return Blob().rule("INPUT", rule.drop());
    };
    EXPECT_EQ(compat_error(narrow(with(1634).build())), 0); // 65512 natively
    Payload payload{
        .bytes = {}, .offsets = {}, .family = ir::Family::ipv4, .header = compat_replace_size};
    const Payload one = narrow(with(1).build());
    // One more, which Blob cannot say natively: 65552 bytes.
    payload.bytes.assign(one.bytes.begin(), one.bytes.begin() + 92 + 112);
    const auto match = Bytes(one.bytes).subspan(92 + 112, 36);
    for (int i = 0; i < 1635; ++i)
        payload.bytes.insert(payload.bytes.end(), match.begin(), match.end());
    payload.bytes.insert(payload.bytes.end(), one.bytes.begin() + 92 + 148, one.bytes.end());
    payload.offsets = {0};
    payload.put_entry(0, offsetof(ipt_entry, target_offset), std::uint16_t{112 + 1635 * 36});
    payload.put_entry(0, next_offset, std::uint16_t{148 + 1635 * 36});
    payload.put(size, static_cast<std::uint32_t>(payload.bytes.size() - 92));
    const auto refused = decode_compat(payload);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), (Error{EINVAL, "entry 0: too large"}));
}

TEST(Extension, GrowsByWhatItsStructuresDiffer)
{
    const auto growth = [](std::size_t native, std::size_t compat) {
        const extension::Extension extension{.name = "x", .size = native, .compat_size = compat};
        return blob::extra(extension, compat_ipv4());
    };
    EXPECT_EQ(growth(12, 0), 4U);
    EXPECT_EQ(growth(16, 0), 0U);
    EXPECT_EQ(growth(40, 28), 12U);
    EXPECT_EQ(growth(9, 0), 4U);
}

TEST(Deltas, AreTheKernels)
{
    blob::Deltas deltas;
    EXPECT_EQ(deltas.before(0), 0U);
    EXPECT_EQ(deltas.total(), 0U);
    deltas.add(0, 4);
    deltas.add(148, 8);
    deltas.add(304, 0);
    for (const auto &[offset, expected] : std::vector<std::pair<std::uint32_t, std::uint32_t>>{
             {0, 0}, {1, 4}, {148, 4}, {149, 12}, {304, 12}, {305, 12}, {0xffffffff, 12}})
        EXPECT_EQ(deltas.before(offset), expected) << offset;
    EXPECT_EQ(deltas.total(), 12U);
}

} // namespace

} // namespace bpfilter::test
