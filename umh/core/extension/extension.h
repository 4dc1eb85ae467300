// SPDX-License-Identifier: GPL-2.0
//
// Extensions: the matches and targets that rules may use, as xt_match and xt_target
// describe them in the kernel. A row says what a use of it must look like; its functions
// say what is wrong with its payload, what it asks (as conditions, umh/core/ir/condition.h), and
// how iptables prints it. A new one is a file with its row, and a line in list.def.
//
// A use is checked in the order of xt_check_match: payload size, table, hooks, protocol
// (each EINVAL), then the extension's own checks (read).
#pragma once

#include "umh/core/extension/view.h"
#include "umh/core/ir/table.h"
#include "umh/util/bytes.h"
#include "umh/util/result.h"

#include <cerrno>
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
    std::span<const std::uint16_t> protocols = {}; // or one of these
    std::uint32_t hooks = 0;     // only reachable from these (bit n: hook n); 0: all
    std::string_view table = {}; // only in this one; empty: all
    bool kernel_checks = false;  // its check has effects: the kernel is to make it as well

    bool serves(ir::Family asked) const { return !family || *family == asked; }
    std::size_t listed_size() const { return user_size ? user_size : size; }
};

// What a payload says.
struct Meaning {
    ir::Conditions conditions;
    std::string text; // as iptables prints it behind "-m NAME": " --dport 80"
};

struct MatchExtension : Extension {
    // EINVAL: it says what the kernel does not accept.
    Result<Meaning> (*read)(Bytes payload) = nullptr;
    // What kernels differ about is left to the one that is there. The payload is of the right size.
    bool (*is_left)(Bytes payload) = nullptr;
};

// Where a target stands.
struct TargetUse {
    Bytes payload;
    ir::RuleId rule = 0;
    bool go_to = false;                     // -g
    std::span<const std::uint32_t> offsets; // of all rules, ascending
};

// What its payload says.
struct TargetMeaning {
    ir::Verdict verdict;
    std::string text = {}; // as iptables prints it behind "-j NAME": " --set-xmark 0x1/0xff"
};

struct TargetExtension : Extension {
    // Offsets of jumps were checked where that matters; one that leads nowhere in a rule
    // that is never reached gives any verdict.
    Result<TargetMeaning> (*read)(const TargetUse &use) = nullptr;
};

// MatchExtension::read, made of what an extension has to say about its structure Info:
//     std::string wrong(const Info &)     why the kernel would refuse it; empty: it would not
//     ir::Conditions lower(const Info &)
//     std::string text(const Info &)
// The functions behind `wrong` are for those that it lets pass.
template <auto wrong, auto lower, auto text> struct Reader;
template <typename Info, std::string (*wrong)(const Info &), ir::Conditions (*lower)(const Info &),
          std::string (*text)(const Info &)>
struct Reader<wrong, lower, text> {
    static Result<Meaning> read(Bytes payload)
    {
        const auto info = load<Info>(payload, 0);
        if (std::string why = wrong(info); !why.empty())
            return fail(EINVAL, std::move(why));
        return Meaning{lower(info), text(info)};
    }
};
template <auto wrong, auto lower, auto text>
inline constexpr auto reader = Reader<wrong, lower, text>::read;

// How a rule uses an extension.
struct ExtensionUse {
    std::size_t payload_size = 0;
    std::string_view table;
    std::uint32_t hooks = 0; // that reach the rule
    std::uint16_t protocol = 0;
    bool protocol_inverted = false;
};

// "match tcp", "target standard", "match set revision 4": for messages.
std::string describe(std::string_view kind, const Extension &extension);

// `kind` is "match" or "target", for the message; `size`: of the payload, aligned.
Result<> check_use(std::string_view kind, const Extension &extension, std::size_t size,
                   const ExtensionUse &use);

// ENOENT if this name in this revision is not in the list: then it is the kernel's, or nobody's.
// Nothing is ever skipped.
Result<const MatchExtension *> find_match(ir::Family family, std::string_view name,
                                          std::uint8_t revision);
Result<const TargetExtension *> find_target(ir::Family family, std::string_view name,
                                            std::uint8_t revision);

// The same for what stands in an entry. EINVAL: its name is not terminated.
Result<const MatchExtension *> find_match(ir::Family family, const ExtensionView &view);
Result<const TargetExtension *> find_target(ir::Family family, const ExtensionView &view);

} // namespace bpfilter::extension
