// SPDX-License-Identifier: GPL-2.0
//
// Valid blobs with random damage: whatever a caller sends is answered, never a crash. What
// is accepted must hold together. All four layouts.
#include "tests/unit/support/blob.h"
#include "tests/unit/support/decoding.h"
#include "tests/unit/support/header_rules.h"
#include "tests/unit/support/seed.h"
#include "umh/core/blob/info.h"
#include "umh/core/blob/listing.h"

#include <cerrno>
#include <random>
#include <set>

namespace bpfilter::test {

namespace {

class Mutation : public ::testing::TestWithParam<ir::Family> {
protected:
    const ir::Family family = GetParam();
    const blob::Layout &layout = **blob::find_layout(family);

    Payload sample() const;

    Result<blob::DecodedTable> decode(const Payload &payload) const
    {
        return blob::decode_replace(payload.bytes, layout);
    }
};

std::string family_name(const ::testing::TestParamInfo<ir::Family> &info)
{
    return info.param == ir::Family::ipv4 ? "IPv4" : "IPv6";
}

INSTANTIATE_TEST_SUITE_P(Layouts, Mutation, ::testing::Values(ir::Family::ipv4, ir::Family::ipv6),
                         family_name);

Payload Mutation::sample() const
{
    const bool ipv4 = family == ir::Family::ipv4;
    Blob blob(family);
    blob.chain("c1").chain("c2");
    blob.rule("INPUT", Rule()
                           .source(ipv4 ? "10.0.0.0/8" : "fd00::/8")
                           .in("eth+")
                           .tcp({.dport = {80, 80}})
                           .accept());
    blob.rule("INPUT", (ipv4 ? Rule().icmp({.type = 8}) : Rule().icmp6({.type = 128})).jump("c1"));
    blob.rule("INPUT", Rule());
    blob.rule("FORWARD", Rule().udp().udp().go_to("c2")).rule("c1", Rule().jump("c2"));
    blob.rule("c2", Rule().protocol(47, true).fragment().drop());
    if (!ipv4)
        for (const Rule &rule : header_rules())
            blob.rule("FORWARD", rule);
    return blob.build();
}

void expect_sound(const blob::DecodedTable &decoded)
{
    const auto &table = decoded.table;
    ASSERT_EQ(decoded.offsets.size(), table.rules.size());
    for (const auto &rule : table.rules) {
        ASSERT_EQ(&rule, &table.rules[rule.id]);
        if (const auto *jump = std::get_if<ir::Jump>(&rule.verdict)) {
            ASSERT_LT(jump->target, table.rules.size());
        }
        if (const auto *jump = std::get_if<ir::Goto>(&rule.verdict)) {
            ASSERT_LT(jump->target, table.rules.size());
        }
    }
    for (const auto &hook : table.hooks) {
        if (hook) {
            ASSERT_LT(std::max(hook->entry, hook->underflow), table.rules.size());
        }
    }
    for (const auto &chain : table.chains) {
        ASSERT_LT(chain.first, table.rules.size());
        ASSERT_LT(chain.last, table.rules.size());
        ASSERT_LE(chain.first, chain.last + 1);
    }
    const std::vector<ir::Counters> counters(table.rules.size());
    EXPECT_EQ(blob::encode_entries(decoded, counters), decoded.entries);
    const auto info = load<ipt_getinfo>(blob::encode_info(decoded), 0);
    EXPECT_EQ(decoded.entries.size(), info.size);
}

// Bytes that matter more often than chance would hit them.
void damage(std::vector<std::byte> &bytes, std::mt19937_64 &random)
{
    static constexpr std::uint32_t interesting[] = {0,      1,      8,      31,         32,
                                                    0x7fff, 0xffff, 0xfff8, 0x7fffffff, 0xffffffff};
    const auto offset = std::uniform_int_distribution<std::size_t>(0, bytes.size() - 4)(random);
    const auto value = interesting[random() % std::size(interesting)];
    switch (random() % 5) {
    case 0:
        bytes[offset] ^= static_cast<std::byte>(1U << random() % 8);
        break;
    case 1:
        bytes[offset] = static_cast<std::byte>(random());
        break;
    case 2:
        store(bytes, offset & ~1UL, static_cast<std::uint16_t>(value));
        break;
    case 3:
        store(bytes, offset & ~3UL, value);
        break;
    default:
        store(bytes, offset & ~1UL,
              static_cast<std::uint16_t>(load<std::uint16_t>(bytes, offset & ~1UL) + 8 -
                                         16 * (random() % 2)));
    }
}

TEST_P(Mutation, DamagedBlobsAreAnswered)
{
    std::mt19937_64 random(seed());
    const Payload valid = sample();
    ASSERT_TRUE(decode(valid));
    // The damage is worth something only if it gets everywhere. ENOMEM comes three times in
    // 8,000 rounds, so in ten times as many it has come.
    const std::set<int> everywhere{0, EINVAL, ENOENT, ELOOP, ENOMEM};
    std::set<int> errors;
    for (int round = 0; round < 8'000 || (errors != everywhere && round < 80'000); ++round) {
        Payload payload = valid;
        for (unsigned times = 1 + random() % 4; times > 0; --times)
            damage(payload.bytes, random);
        if (random() % 16 == 0)
            payload.bytes.resize(random() % payload.bytes.size());
        const auto result = decode(payload);
        errors.insert(result ? 0 : result.error().code);
        if (result)
            expect_sound(*result);
        if (HasFatalFailure())
            FAIL() << "round " << round;
    }
    EXPECT_EQ(errors, everywhere);
}

TEST_P(Mutation, EveryByteAlone)
{
    const Payload valid = sample();
    for (std::size_t offset = 0; offset < valid.bytes.size(); ++offset) {
        for (const int bits : {0x01, 0x80, 0xff}) {
            Payload payload = valid;
            payload.bytes[offset] ^= static_cast<std::byte>(bits);
            if (const auto result = decode(payload))
                expect_sound(*result);
        }
    }
}

} // namespace

} // namespace bpfilter::test
