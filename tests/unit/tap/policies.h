// SPDX-License-Identifier: GPL-2.0
//
// Policies for tests, and what they mean in plain C++.
#pragma once

#include "tests/unit/support/packet.h"
#include "umh/tap/policy.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace bpfilter::test {

inline stap_framing length_framing(std::uint32_t offset, std::uint8_t width)
{
    stap_framing framing{};
    framing.kind = STAP_FRAMING_LENGTH;
    framing.offset = offset;
    framing.width = width;
    return framing;
}

inline stap_framing delimiter_framing(std::string_view delimiter)
{
    stap_framing framing{};
    framing.kind = STAP_FRAMING_DELIMITER;
    framing.width = static_cast<__u8>(delimiter.size());
    std::ranges::copy(delimiter, framing.delimiter);
    return framing;
}

inline stap_framing fixed_framing(std::uint32_t size)
{
    stap_framing framing{};
    framing.kind = STAP_FRAMING_FIXED;
    framing.size = size;
    return framing;
}

inline stap_rule prefix_rule(std::uint32_t offset, std::string_view value, stap_verdict verdict)
{
    stap_rule rule{};
    rule.offset = offset;
    rule.width = static_cast<__u8>(value.size());
    rule.verdict = static_cast<__u8>(verdict);
    std::ranges::copy(value, rule.value);
    std::fill_n(rule.mask, value.size(), 0xff);
    return rule;
}

inline PacketBytes bytes_of_text(std::string_view text)
{
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

inline std::uint64_t number_in(const PacketBytes &message, const stap_framing &framing)
{
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < framing.width; ++i) {
        const std::size_t place = framing.order == STAP_BIG_ENDIAN ? i : framing.width - 1 - i;
        number = number << 8 | std::to_integer<std::uint64_t>(message[framing.offset + place]);
    }
    return number;
}

// What a parser is to return.
inline std::int64_t expected_length(const stap_framing &framing, const PacketBytes &message)
{
    const std::uint64_t maximum =
        framing.maximum != 0 ? framing.maximum : std::numeric_limits<std::int32_t>::max();
    if (framing.kind == STAP_FRAMING_FIXED)
        return framing.size;
    if (framing.kind == STAP_FRAMING_DELIMITER) {
        const auto *begin = reinterpret_cast<const std::byte *>(framing.delimiter);
        const auto found =
            std::search(message.begin(), message.end(), begin, begin + framing.width);
        if (found == message.end())
            return message.size() >= maximum ? -EMSGSIZE : 0;
        const auto length = static_cast<std::uint64_t>(found - message.begin()) + framing.width;
        return length > maximum ? -EMSGSIZE : static_cast<std::int64_t>(length);
    }
    const std::uint64_t end = framing.offset + framing.width;
    const std::uint64_t header = framing.size != 0 ? framing.size : end;
    if (message.size() < end)
        return 0;
    const std::uint64_t number = number_in(message, framing);
    if (number > maximum)
        return -EMSGSIZE;
    const std::uint64_t length = framing.whole != 0 ? number : number + header;
    if (length < header)
        return -EPROTO;
    return length > maximum ? -EMSGSIZE : static_cast<std::int64_t>(length);
}

inline bool matches(const stap_rule &rule, const PacketBytes &message)
{
    if (message.size() < rule.offset + rule.width)
        return false;
    for (std::size_t i = 0; i < rule.width; ++i) {
        const auto byte = std::to_integer<unsigned>(message[rule.offset + i]);
        if ((byte & rule.mask[i]) != rule.value[i])
            return false;
    }
    return true;
}

inline std::uint32_t expected_verdict(const tap::Direction &direction, const PacketBytes &message)
{
    for (const stap_rule &rule : direction.rules)
        if (matches(rule, message))
            return rule.verdict;
    return direction.verdict;
}

} // namespace bpfilter::test
