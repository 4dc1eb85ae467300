// SPDX-License-Identifier: GPL-2.0
//
// Extensions: the matches and targets that rules may use, as xt_match and xt_target
// describe them in the kernel. A row says what a use of it must look like; its functions
// read its payload. A new one is a file with its row, and a line in extension.cpp.
//
// A use is checked in the order of xt_check_match: payload size, table, hooks, protocol
// (each EINVAL), then the extension's own checks (`decode`).
#pragma once

#include "umh/core/extension/view.h"
#include "umh/core/ir/table.h"
#include "umh/util/bytes.h"
#include "umh/util/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bpfilter::extension {

struct Extension {
    std::string_view name;
    std::uint8_t revision = 0;
    std::optional<ir::Family> family = {}; // nothing: both
    std::size_t size = 0;                  // of its structure; the payload is that, aligned
    std::size_t user_size = 0;             // bytes that a listing gives back; 0: all of `size`
    std::uint16_t protocol = 0;            // needs -p this, not inverted; 0: none
    std::uint32_t hooks = 0;               // only reachable from these (bit n: hook n); 0: all
    std::string_view table = {};           // only in this one; empty: all

    // Where 32-bit callers have another structure (a pointer or a long in it): its size, and
    // how to make one of the other. Both are whole and aligned; what is written was zero.
    std::size_t compat_size = 0;
    void (*from_compat)(MutableBytes native, Bytes compat) = nullptr;
    void (*to_compat)(MutableBytes compat, Bytes native) = nullptr;

    bool serves(ir::Family asked) const { return !family || *family == asked; }
    std::size_t listed_size() const { return user_size ? user_size : size; }
};

struct MatchExtension : Extension {
    Result<ir::Match> (*decode)(Bytes payload) = nullptr;
    // As iptables prints it behind "-m NAME": " --dport 80".
    std::string (*text)(Bytes payload) = nullptr;
};

// Where a target stands.
struct TargetUse {
    Bytes payload;
    ir::RuleId rule = 0;
    bool go_to = false;                     // -g
    std::span<const std::uint32_t> offsets; // of all rules, ascending
};

struct TargetExtension : Extension {
    // Offsets of jumps were checked where that matters; one that leads nowhere in a rule
    // that is never reached gives any verdict.
    Result<ir::Verdict> (*decode)(const TargetUse &use) = nullptr;
};

// How a rule uses an extension.
struct ExtensionUse {
    std::size_t payload_size = 0;
    std::string_view table;
    std::uint32_t hooks = 0; // that reach the rule
    std::uint16_t protocol = 0;
    bool protocol_inverted = false;
};

// `kind` is "match" or "target", for the message; `size`: of the payload, aligned.
Result<> check_use(std::string_view kind, const Extension &extension, std::size_t size,
                   const ExtensionUse &use);

// ENOENT if this name in this revision is not there: nothing is ever skipped.
Result<const MatchExtension *> find_match(ir::Family family, std::string_view name,
                                          std::uint8_t revision);
Result<const TargetExtension *> find_target(ir::Family family, std::string_view name,
                                            std::uint8_t revision);

// The same for what stands in an entry. EINVAL: its name is not terminated.
Result<const MatchExtension *> find_match(ir::Family family, const ExtensionView &view);
Result<const TargetExtension *> find_target(ir::Family family, const ExtensionView &view);

// The rows, one per file.
extern const MatchExtension tcp_match;
extern const MatchExtension udp_match;
extern const MatchExtension udplite_match;
extern const MatchExtension icmp_match;
extern const MatchExtension icmp6_match;
extern const MatchExtension mh_match;
extern const MatchExtension hl_match;
extern const MatchExtension ipv6header_match;
extern const MatchExtension frag_match;
extern const MatchExtension ah6_match;
extern const MatchExtension hbh_match;
extern const MatchExtension dst_match;
extern const MatchExtension rt_match;
extern const MatchExtension eui64_match;
extern const TargetExtension standard_target;
extern const TargetExtension error_target;

} // namespace bpfilter::extension
