// SPDX-License-Identifier: GPL-2.0
//
// What the tests of decode say again and again.
#pragma once

#include "tests/unit/support/blob.h"
#include "umh/core/blob/table.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

namespace bpfilter::test {

inline const blob::Layout &native(ir::Family family)
{
    return **blob::find_layout(family);
}

inline const blob::Layout &native_ipv4()
{
    return native(ir::Family::ipv4);
}

inline Result<blob::DecodedTable> decode_payload(const Payload &payload)
{
    return blob::decode_replace(payload.bytes, native(payload.family));
}

// With what is left to the kernel to check, and what is wrong behind that.
struct Checked {
    std::vector<blob::KernelEntry> entries;
    int error = 0;
};

inline Checked checked(const Payload &payload)
{
    Checked checked;
    const auto decoded =
        blob::decode_replace(payload.bytes, 0, native(payload.family), checked.entries);
    checked.error = decoded ? 0 : decoded.error().code;
    return checked;
}

// The errno, 0 if all is well; ENOENT: there is something that we do not have, so that it is left
// to the kernel whether it has that.
inline int error_of(const Payload &payload)
{
    const Checked all = checked(payload);
    return all.error == 0 && !all.entries.empty() ? ENOENT : all.error;
}

inline std::string message_of(const Payload &payload)
{
    const auto decoded = decode_payload(payload);
    return decoded ? "" : decoded.error().message;
}

// Must be good.
inline blob::DecodedTable decoded(const Payload &payload)
{
    auto result = decode_payload(payload);
    if (!result)
        throw std::runtime_error("refused: " + result.error().message);
    return std::move(*result);
}

// The first rule of INPUT of a table that has only this one.
inline ir::Rule rule_of(const Rule &rule, ir::Family family = ir::Family::ipv4)
{
    return decoded(Blob(family).rule("INPUT", rule).build()).table.rules.at(0);
}

// What a rule asks.
inline std::string asked(Rule rule, ir::Family family = ir::Family::ipv4)
{
    return ir::text(rule_of(rule.accept(), family).conditions);
}

inline int error_of(const Rule &rule, ir::Family family = ir::Family::ipv4)
{
    return error_of(Blob(family).rule("INPUT", rule).build());
}

// Rules of IPv6 with one match, by its structure: what they ask, what error they are, and what is
// printed of the match.
inline constexpr auto family6 = ir::Family::ipv6;

template <typename T> Rule rule_with(std::string_view name, const T &info)
{
    return Rule().match(name, 0, bytes_of(info));
}

template <typename T> std::string asked_with(std::string_view name, const T &info)
{
    return asked(rule_with(name, info), family6);
}

template <typename T> int error_with(std::string_view name, const T &info)
{
    return error_of(rule_with(name, info), family6);
}

template <typename T> std::string text_with(std::string_view name, const T &info)
{
    const auto text = rule_of(rule_with(name, info).accept(), family6).text;
    constexpr std::string_view before = "-A INPUT -m ";
    constexpr std::string_view behind = " -j ACCEPT";
    return text.substr(before.size(), text.size() - before.size() - behind.size());
}

// Where things are in an entry.
inline constexpr std::size_t target_at = sizeof(ipt_entry); // without matches
inline constexpr std::size_t verdict_at = target_at + sizeof(xt_entry_target);

} // namespace bpfilter::test
