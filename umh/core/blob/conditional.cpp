// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/conditional.h"

#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <algorithm>
#include <arpa/inet.h>

namespace bpfilter::blob {

namespace {

using Words = std::array<std::uint32_t, 4>;

// Four bytes each, as big-endian numbers.
Words load_words(Bytes ip, std::size_t offset, std::size_t size)
{
    Words words{};
    for (std::size_t i = 0; i < size / 4; ++i)
        words[i] = ntohl(load<std::uint32_t>(ip, offset + 4 * i));
    return words;
}

void ask(ir::Conditions &to, ir::Field first, Words value, const Words &mask, StrayBits stray,
         bool invert)
{
    for (std::size_t i = 0; stray == StrayBits::ignored && i < value.size(); ++i)
        value[i] &= mask[i];
    ask_words(to, first, value, mask, invert);
}

} // namespace

void ask_address(ir::Conditions &to, ir::Field first, Bytes ip, std::size_t value, std::size_t mask,
                 std::size_t size, StrayBits stray, bool invert)
{
    ask(to, first, load_words(ip, value, size), load_words(ip, mask, size), stray, invert);
}

void ask_interface(ir::Conditions &to, ir::Field first, Bytes ip, std::size_t name,
                   std::size_t mask, bool invert)
{
    constexpr std::size_t size = 16; // IFNAMSIZ
    ask(to, first, load_words(ip, name, size), load_words(ip, mask, size), StrayBits::ignored,
        invert);
}

bool never(const ir::Conditions &conditions)
{
    return std::ranges::any_of(conditions, [](const ir::Condition &condition) {
        return std::holds_alternative<ir::Never>(condition);
    });
}

std::string interface_text(const char *option, Bytes ip, std::size_t name_offset,
                           std::size_t mask_offset, bool invert)
{
    const auto name = load<std::array<char, 16>>(ip, name_offset);
    const auto mask = load<std::array<char, 16>>(ip, mask_offset);
    if (mask[0] == 0)
        return {};
    std::string text;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (mask[i] == 0) {
            if (name[i - 1] != 0)
                text += '+';
            break;
        }
        if (name[i] != 0)
            text += name[i];
    }
    return extension::option_text(option, invert, extension::printable(text));
}

} // namespace bpfilter::blob
