// SPDX-License-Identifier: GPL-2.0
#include "umh/tap/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>
#include <string>
#include <utility>

namespace bpfilter::tap {

namespace {

constexpr std::uint32_t length_max = std::numeric_limits<std::int32_t>::max();

// Why it makes no sense; empty if it does.
using Complaint = std::string;

bool is_verdict(std::uint32_t verdict)
{
    return verdict == STAP_OK || verdict == STAP_DROP || verdict == STAP_DISCONNECT;
}

Complaint check_length_field(const stap_framing &framing)
{
    if (framing.width != 1 && framing.width != 2 && framing.width != 4 && framing.width != 8)
        return fmt::format("a length field of {} bytes", framing.width);
    if (framing.order > STAP_LITTLE_ENDIAN)
        return fmt::format("byte order {}", framing.order);
    if (framing.whole > 1)
        return fmt::format("{} for whether a length counts the header", framing.whole);
    const std::uint64_t end = std::uint64_t{framing.offset} + framing.width;
    const std::uint64_t header = framing.size != 0 ? framing.size : end;
    if (header < end)
        return fmt::format("a header of {} bytes whose length field ends at {}", header, end);
    if (header > (framing.maximum != 0 ? framing.maximum : length_max))
        return fmt::format("a header of {} bytes, longer than any message", header);
    return {};
}

Complaint check_delimiter(const stap_framing &framing)
{
    if (framing.width < 1 || framing.width > sizeof(framing.delimiter))
        return fmt::format("a delimiter of {} bytes", framing.width);
    if (!all_zero(std::as_bytes(std::span(framing.delimiter)).subspan(framing.width)))
        return "bytes behind the delimiter";
    if (framing.maximum != 0 && framing.maximum < framing.width)
        return "a delimiter longer than any message";
    return {};
}

// What must be zero is what the kind has no use for.
Complaint check_unused(const stap_framing &framing)
{
    const std::uint32_t kind = framing.kind;
    const bool length = kind == STAP_FRAMING_LENGTH;
    const bool delimiter = kind == STAP_FRAMING_DELIMITER;
    const bool used =
        (framing.maximum != 0 && !length && !delimiter) ||
        (framing.size != 0 && !length && kind != STAP_FRAMING_FIXED) ||
        (framing.width != 0 && !length && !delimiter) ||
        ((framing.offset != 0 || framing.order != 0 || framing.whole != 0) && !length) ||
        (!all_zero(std::as_bytes(std::span(framing.delimiter))) && !delimiter) ||
        framing.reserved != 0;
    return used ? fmt::format("a field that framing {} has no use for", kind) : Complaint();
}

Complaint check_framing(const stap_framing &framing)
{
    if (framing.kind > STAP_FRAMING_FIXED)
        return fmt::format("framing {}", framing.kind);
    if (framing.maximum > length_max)
        return fmt::format("messages of {} bytes", framing.maximum);
    if (Complaint complaint = check_unused(framing); !complaint.empty())
        return complaint;
    if (framing.kind == STAP_FRAMING_LENGTH)
        return check_length_field(framing);
    if (framing.kind == STAP_FRAMING_DELIMITER)
        return check_delimiter(framing);
    if (framing.kind == STAP_FRAMING_FIXED && (framing.size < 1 || framing.size > length_max))
        return fmt::format("messages of {} bytes", framing.size);
    return {};
}

Complaint check_rule(const stap_rule &rule)
{
    if (rule.width < 1 || rule.width > STAP_RULE_WIDTH)
        return fmt::format("a comparison of {} bytes", rule.width);
    if (rule.offset > length_max - STAP_RULE_WIDTH)
        return fmt::format("offset {}", rule.offset);
    if (!is_verdict(rule.verdict))
        return fmt::format("verdict {}", rule.verdict);
    for (std::size_t i = 0; i < STAP_RULE_WIDTH; ++i) {
        if ((rule.value[i] & ~rule.mask[i]) != 0)
            return "a value that its mask hides";
        if (i >= rule.width && rule.mask[i] != 0)
            return "a mask that is wider than the comparison";
    }
    return rule.reserved != 0 ? "a reserved field that is not 0" : Complaint();
}

// Reads the rules of one direction, which begin at `offset`, and moves it behind them.
Result<std::optional<Direction>> decode_direction(Bytes bytes, const stap_policy_direction &in,
                                                  std::size_t &offset, std::string_view which)
{
    const auto refuse = [&](const Complaint &complaint) {
        return fail(EINVAL, fmt::format("tap policy, {}: {}", which, complaint));
    };
    if (const Complaint complaint = check_framing(in.framing); !complaint.empty())
        return refuse(complaint);
    if (!is_verdict(in.verdict))
        return refuse(fmt::format("verdict {}", in.verdict));
    if (in.rules > STAP_RULES_MAX)
        return refuse(fmt::format("{} rules, more than {}", in.rules, STAP_RULES_MAX));
    if (in.rules > (bytes.size() - offset) / sizeof(stap_rule))
        return refuse(fmt::format("{} rules, of which some are not there", in.rules));
    if (in.framing.kind == STAP_UNTAPPED) {
        if (in.rules != 0 || in.verdict != STAP_OK)
            return refuse("verdicts for what is not tapped");
        return std::nullopt;
    }
    Direction out{.framing = in.framing, .verdict = in.verdict, .rules = {}};
    for (std::uint32_t i = 0; i < in.rules; ++i, offset += sizeof(stap_rule)) {
        out.rules.push_back(load<stap_rule>(bytes, offset));
        if (const Complaint complaint = check_rule(out.rules.back()); !complaint.empty())
            return refuse(fmt::format("rule {}: {}", i + 1, complaint));
    }
    return out;
}

} // namespace

Result<Policy> decode_policy(Bytes bytes)
{
    if (bytes.size() < sizeof(stap_policy))
        return fail(EINVAL, "tap policy: it is shorter than its header");
    const auto head = load<stap_policy>(bytes, 0);
    std::size_t offset = sizeof(head);

    auto send = decode_direction(bytes, head.send, offset, "sending");
    if (!send)
        return fail(std::move(send.error()));
    auto recv = decode_direction(bytes, head.recv, offset, "receiving");
    if (!recv)
        return fail(std::move(recv.error()));
    if (!*send && !*recv)
        return fail(EINVAL, "tap policy: it taps neither direction");
    if (offset != bytes.size())
        return fail(EINVAL, fmt::format("tap policy: {} bytes behind its last rule",
                                        bytes.size() - offset));
    return Policy{.send = std::move(*send), .recv = std::move(*recv)};
}

} // namespace bpfilter::tap
