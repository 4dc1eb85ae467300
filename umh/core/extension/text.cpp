// SPDX-License-Identifier: GPL-2.0
#include "umh/core/extension/text.h"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <array>

namespace bpfilter::extension {

namespace {

constexpr std::size_t max_printable = 64;

} // namespace

std::string printable(std::string_view bytes)
{
    std::string text;
    for (const char c : bytes) {
        if (text.size() >= max_printable)
            return text + "...";
        if (c >= ' ' && c <= '~')
            text += c;
        else
            text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    return text;
}

std::string quoted(std::string_view bytes)
{
    constexpr std::string_view plain = "_-0123456789abcdefghijklmnopqrstuvwxyz"
                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (!bytes.empty() && bytes.find_first_not_of(plain) == std::string_view::npos)
        return printable(bytes);
    std::string escaped;
    for (const char c : bytes) {
        if (c == '"' || c == '\\' || c == '\'')
            escaped += '\\';
        escaped += c;
    }
    return '"' + printable(escaped) + '"';
}

std::string option_text(std::string_view option, bool invert, std::string_view value)
{
    return fmt::format("{} {} {}", invert ? " !" : "", option, value);
}

std::string ports_text(std::string_view option, std::uint16_t min, std::uint16_t max, bool invert)
{
    if (min == 0 && max == 0xffff && !invert)
        return {};
    return range_text(option, min, max, invert);
}

std::string range_text(std::string_view option, std::uint32_t min, std::uint32_t max, bool invert)
{
    if (min == max)
        return option_text(option, invert, std::to_string(min));
    return option_text(option, invert, fmt::format("{}:{}", min, max));
}

std::string ipv6_address_text(const in6_addr &address)
{
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(AF_INET6, &address, text.data(), text.size());
    return text.data();
}

} // namespace bpfilter::extension
