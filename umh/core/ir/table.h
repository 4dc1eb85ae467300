// SPDX-License-Identifier: GPL-2.0
//
// IR: a table as values. Made by decode, read by everything behind it, changed by nobody.
//
// A table is a list of rules in blob order. Everything that iptables calls an entry is a
// rule here: policies, the RETURN at the foot of a user chain, the ERROR node at its head.
// A rule's id is its place in that list; it is also the index of its counter. Chains are
// ranges of that list, for names and for listings. Control flow is by rule id alone:
// behind a rule that does not decide comes the next in the list.
#pragma once

#include "umh/core/ir/conditions.h"
#include "umh/core/ir/verdict.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bpfilter::ir {

enum class Family : std::uint8_t { ipv4 = 2, ipv6 = 10 }; // NFPROTO_*

enum class Hook : std::uint8_t { pre_routing, local_in, forward, local_out, post_routing };
inline constexpr std::size_t hook_count = 5;

struct Rule {
    RuleId id = 0;
    Conditions conditions;
    Verdict verdict;
    std::string text; // as `iptables -S` would say it, for people: "-A INPUT -i lo -j DROP"
};

struct Chain {
    std::string name;
    RuleId first = 0; // first rule; for a user chain the one behind its ERROR node
    RuleId last = 0;  // policy, or RETURN at the foot: included
    std::optional<Hook> hook;
};

struct HookEntry {
    RuleId entry = 0;     // first rule
    RuleId underflow = 0; // the policy
    std::int32_t priority = 0;
    bool nat = false;     // called by the nat core, for the first packet of a connection
    bool reroute = false; // a packet that was changed here is routed anew
    bool operator==(const HookEntry &) const = default;
};

struct Table {
    std::string name;
    Family family = Family::ipv4;
    std::array<std::optional<HookEntry>, hook_count> hooks;
    std::vector<Chain> chains;
    std::vector<Rule> rules;
    std::uint32_t stack_depth = 0; // how many places to come back to a packet may have
};

// The parts of the key that the rules of a table ask for, complete (part.h).
Parts parts_of(const Table &table);

// A rule a line: its id, its conditions, its verdict; entries and underflows of hooks.
//     filter ipv4 depth 1
//     INPUT 0 policy 1
//     0: source in 0xa000000..0xaffffff, require tcp -> jump 3
std::string text(const Table &table);

} // namespace bpfilter::ir
