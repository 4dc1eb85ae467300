// SPDX-License-Identifier: GPL-2.0
//
// What the tests of matches say again and again: packets that a match must and must not
// match, with the answers stated by hand. They are those of programs at every hook, and of the
// naive interpreter; the reference is not asked.
#pragma once

#include "tests/unit/support/bpf.h"
#include "tests/unit/support/key.h"
#include "tests/unit/support/table.h"
#include "umh/core/ir/evaluate.h"

#include "bpfilter/context.h"

#include <gtest/gtest.h>
#include <initializer_list>
#include <string>
#include <vector>

namespace bpfilter::test {

enum class Expected { yes, no, hotdrop };

// T: Packet or Packet6.
template <typename T> struct Ask {
    T packet;
    Expected answer;
    Devices devices = {};
    std::size_t cut = 0; // bytes taken off the end
};

inline ir::Decision decision_of(Expected answer)
{
    return answer == Expected::yes  ? ir::Decision::queue
           : answer == Expected::no ? ir::Decision::accept
                                    : ir::Decision::drop;
}

inline std::uint32_t verdict_of(Expected answer)
{
    return answer == Expected::yes  ? BPFILTER_QUEUE
           : answer == Expected::no ? BPFILTER_ACCEPT
                                    : BPFILTER_DROP;
}

// The rule queues, the policy accepts; a packet dropped on the spot is counted nowhere.
template <typename T>
void check(ir::Family family, const Matches &matches, const std::vector<Ask<T>> &asks, int line)
{
    for (const ir::Hook hook : {ir::Hook::local_in, ir::Hook::forward, ir::Hook::local_out}) {
        TableBuilder builder;
        builder.family(family).chain("C", hook, ir::Accept{}).rule(matches, ir::Queue{});
        const BuiltTable table = builder.build();
        LoadedHook loaded(table, hook);
        std::vector<ir::Counters> expected(3);
        for (std::size_t i = 0; i < asks.size(); ++i) {
            PacketBytes bytes = asks[i].packet.bytes();
            bytes.resize(bytes.size() - asks[i].cut);
            const Expected answer = asks[i].answer;
            if (answer != Expected::hotdrop)
                expected[answer == Expected::yes ? 0 : 1] += {1, bytes.size()};
            const ir::Key key = key_of(family, bytes, asks[i].devices);
            EXPECT_EQ(ir::evaluate(table, hook, key).decision, decision_of(answer))
                << "line " << line << ", packet " << i << ", interpreter";
            EXPECT_EQ(loaded.run(bytes, asks[i].devices), verdict_of(answer))
                << "line " << line << ", packet " << i << ", hook " << static_cast<int>(hook);
        }
        EXPECT_TRUE(loaded.counters() == expected) << "line " << line;
    }
}

class NeedsBpf : public testing::Test {
protected:
    void SetUp() override
    {
        if (const std::string why = why_no_bpf(); !why.empty())
            GTEST_SKIP() << why;
    }
};

inline constexpr auto yes = Expected::yes;
inline constexpr auto no = Expected::no;
inline constexpr auto hotdrop = Expected::hotdrop;

inline PacketBytes bytes_of(std::initializer_list<int> values)
{
    PacketBytes result;
    for (const int value : values)
        result.push_back(static_cast<std::byte>(value));
    return result;
}

} // namespace bpfilter::test
