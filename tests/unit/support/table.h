// SPDX-License-Identifier: GPL-2.0
//
// Tables for tests, without iptables: chains by name, in the order they are begun.
//
//     TableBuilder t;
//     t.chain("INPUT", ir::Hook::local_in, ir::Accept{})
//         .rule({tcp_to(80)}, ir::Drop{})
//         .jump({}, "web");
//     t.chain("web").rule({}, ir::Return{});
//     const BuiltTable table = t.build();
#pragma once

#include "tests/unit/support/match.h"
#include "umh/core/ir/table.h"

#include <optional>
#include <string>
#include <vector>

namespace bpfilter::test {

using Matches = std::vector<Match>;

// A table, and what its rules ask as it was said: for the reference.
struct BuiltTable : ir::Table {
    std::vector<Matches> matches; // of each rule
};

class ChainBuilder {
public:
    ChainBuilder &rule(Matches matches, ir::Verdict verdict);
    // Without a target: goes on with the next.
    ChainBuilder &count(Matches matches);
    ChainBuilder &jump(Matches matches, const std::string &chain);
    ChainBuilder &go(Matches matches, const std::string &chain);

private:
    friend class TableBuilder;
    enum class Kind { verdict, next, jump, go };
    struct Draft {
        Matches matches;
        Kind kind = Kind::verdict;
        ir::Verdict verdict;
        std::string chain;
    };
    std::string name_;
    std::optional<ir::Hook> hook_;
    ir::Verdict policy_;
    std::vector<Draft> rules_;
};

class TableBuilder {
public:
    ChainBuilder &chain(const std::string &name, ir::Hook hook, ir::Verdict policy);
    ChainBuilder &chain(const std::string &name); // a user chain
    TableBuilder &family(ir::Family family);
    [[nodiscard]] BuiltTable build() const;

private:
    std::vector<ChainBuilder> chains_;
    ir::Family family_ = ir::Family::ipv4;

public:
    TableBuilder()
    {
        chains_.reserve(65536); // references to chains stay good
    }
};

// Matches by what people write. Without a prefix: all of the address.
inline constexpr unsigned whole = 128;
Match from(const std::string &address, unsigned prefix = whole, bool invert = false);
Match to(const std::string &address, unsigned prefix = whole, bool invert = false);
Match in(const std::string &device, bool invert = false); // "eth+" is a wildcard
Match out(const std::string &device, bool invert = false);
Match protocol(std::uint16_t value, bool invert = false);

} // namespace bpfilter::test
