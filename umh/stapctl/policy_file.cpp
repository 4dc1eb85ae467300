// SPDX-License-Identifier: GPL-2.0
#include "umh/stapctl/policy_file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace bpfilter::stapctl {

namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(const std::string &where, const std::string &what)
{
    throw std::runtime_error(fmt::format("{}: {}", where, what));
}

void expect_keys(const Json &object, const std::string &where,
                 std::initializer_list<std::string_view> known)
{
    if (!object.is_object())
        refuse(where, "not an object");
    for (const auto &[key, value] : object.items())
        if (std::ranges::find(known, key) == known.end())
            refuse(where, fmt::format("\"{}\" means nothing here", key));
}

std::uint64_t number(const Json &object, const std::string &where, const char *key,
                     std::uint64_t maximum, std::uint64_t missing)
{
    const auto found = object.find(key);
    if (found == object.end())
        return missing;
    if (!found->is_number_unsigned() || found->get<std::uint64_t>() > maximum)
        refuse(where, fmt::format("\"{}\" is not a number up to {}", key, maximum));
    return found->get<std::uint64_t>();
}

std::string text(const Json &object, const std::string &where, const char *key,
                 const std::string &missing = {})
{
    const auto found = object.find(key);
    if (found == object.end())
        return missing;
    if (!found->is_string())
        refuse(where, fmt::format("\"{}\" is not a text", key));
    return found->get<std::string>();
}

std::string hex(const Json &object, const std::string &where, const char *key)
{
    const std::string digits = text(object, where, key);
    std::string bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
        const std::string pair = digits.substr(i, 2);
        std::size_t used = 0;
        if (std::isxdigit(static_cast<unsigned char>(pair[0])) != 0 &&
            std::isxdigit(static_cast<unsigned char>(pair[1])) != 0)
            bytes.push_back(static_cast<char>(std::stoul(pair, &used, 16)));
        if (used != 2)
            refuse(where, fmt::format("\"{}\": {} is not hexadecimal", key, pair));
    }
    if (digits.size() % 2 != 0)
        refuse(where, fmt::format("\"{}\" has half a byte", key));
    return bytes;
}

bool is_little(const Json &object, const std::string &where)
{
    const std::string order = text(object, where, "order", "big");
    if (order != "big" && order != "little")
        refuse(where, "\"order\" is neither \"big\" nor \"little\"");
    return order == "little";
}

stap_verdict verdict(const std::string &name, const std::string &where)
{
    if (name == "ok")
        return STAP_OK;
    if (name == "drop")
        return STAP_DROP;
    if (name == "disconnect")
        return STAP_DISCONNECT;
    refuse(where, fmt::format("\"{}\" is none of ok, drop, disconnect", name));
}

void parse_length(const Json &json, const std::string &where, stap_framing &framing)
{
    expect_keys(json, where, {"offset", "width", "order", "header", "counts"});
    const std::string counts = text(json, where, "counts", "payload");
    if (counts != "payload" && counts != "message")
        refuse(where, "\"counts\" is neither \"payload\" nor \"message\"");
    framing.kind = STAP_FRAMING_LENGTH;
    framing.offset = static_cast<__u32>(number(json, where, "offset", UINT32_MAX, 0));
    framing.width = static_cast<__u8>(number(json, where, "width", 8, 4));
    framing.order = is_little(json, where) ? STAP_LITTLE_ENDIAN : STAP_BIG_ENDIAN;
    framing.size = static_cast<__u32>(number(json, where, "header", UINT32_MAX, 0));
    framing.whole = counts == "message";
}

void set_delimiter(const std::string &bytes, const std::string &where, stap_framing &framing)
{
    if (bytes.empty() || bytes.size() > sizeof(framing.delimiter))
        refuse(where, "a delimiter has 1 to 4 bytes");
    framing.kind = STAP_FRAMING_DELIMITER;
    framing.width = static_cast<__u8>(bytes.size());
    std::ranges::copy(bytes, framing.delimiter);
}

stap_framing parse_framing(const Json &json, const std::string &where)
{
    stap_framing framing{};
    if (json == "none") {
        framing.kind = STAP_FRAMING_NONE;
        return framing;
    }
    expect_keys(json, where, {"fixed", "delimiter", "delimiter_hex", "length", "maximum"});
    if (json.size() != (json.contains("maximum") ? 2U : 1U))
        refuse(where, "one of \"fixed\", \"delimiter\", \"delimiter_hex\", \"length\"");
    if (json.contains("fixed")) {
        framing.kind = STAP_FRAMING_FIXED;
        framing.size = static_cast<__u32>(number(json, where, "fixed", UINT32_MAX, 0));
    } else if (json.contains("length")) {
        parse_length(json["length"], where + ".length", framing);
    } else if (json.contains("delimiter")) {
        set_delimiter(text(json, where, "delimiter"), where, framing);
    } else {
        set_delimiter(hex(json, where, "delimiter_hex"), where, framing);
    }
    framing.maximum = static_cast<__u32>(number(json, where, "maximum", UINT32_MAX, 0));
    return framing;
}

// So many bytes of a number, as they stand in a message.
std::string bytes_of(std::uint64_t value, std::uint64_t width, bool little)
{
    std::string bytes(width, '\0');
    for (std::size_t i = 0; i < width; ++i, value >>= 8)
        bytes[little ? i : width - 1 - i] = static_cast<char>(value & 0xff);
    return bytes;
}

struct Comparison {
    std::string value;
    std::string mask;
};

Comparison parse_number(const Json &json, const std::string &where)
{
    const std::uint64_t width = number(json, where, "width", 8, 0);
    if (width != 1 && width != 2 && width != 4 && width != 8)
        refuse(where, "\"width\" of a number is 1, 2, 4 or 8");
    const std::uint64_t maximum = UINT64_MAX >> (64 - 8 * width);
    const bool little = is_little(json, where);
    const std::uint64_t mask = number(json, where, "mask", maximum, maximum);
    return {bytes_of(number(json, where, "value", maximum, 0), width, little),
            bytes_of(mask, width, little)};
}

Comparison parse_comparison(const Json &json, const std::string &where)
{
    const auto ways = {"prefix", "text", "hex", "value"};
    if (std::ranges::count_if(ways, [&](const char *way) { return json.contains(way); }) != 1)
        refuse(where, "one of \"prefix\", \"text\", \"hex\", \"value\"");
    if (json.contains("value"))
        return parse_number(json, where);
    if (json.contains("width") || json.contains("order"))
        refuse(where, "\"width\" and \"order\" are for a number");
    if (json.contains("prefix") && json.contains("offset"))
        refuse(where, "a \"prefix\" has no \"offset\"");
    Comparison comparison{json.contains("hex")      ? hex(json, where, "hex")
                          : json.contains("prefix") ? text(json, where, "prefix")
                                                    : text(json, where, "text"),
                          {}};
    comparison.mask = json.contains("mask") ? hex(json, where, "mask")
                                            : std::string(comparison.value.size(), '\xff');
    return comparison;
}

stap_rule parse_rule(const Json &json, const std::string &where)
{
    expect_keys(json, where,
                {"prefix", "text", "hex", "value", "offset", "width", "order", "mask", "verdict"});
    const Comparison comparison = parse_comparison(json, where);
    if (comparison.value.empty() || comparison.value.size() > STAP_RULE_WIDTH)
        refuse(where, fmt::format("1 to {} bytes can be compared", STAP_RULE_WIDTH));
    if (comparison.mask.size() != comparison.value.size())
        refuse(where, "the mask is not as long as the value");
    stap_rule rule{};
    rule.offset = static_cast<__u32>(number(json, where, "offset", UINT32_MAX, 0));
    rule.width = static_cast<__u8>(comparison.value.size());
    rule.verdict = static_cast<__u8>(verdict(text(json, where, "verdict"), where));
    std::ranges::copy(comparison.value, rule.value);
    std::ranges::copy(comparison.mask, rule.mask);
    return rule;
}

stap_policy_direction parse_direction(const Json &policy, const char *name,
                                      std::vector<stap_rule> &rules)
{
    stap_policy_direction direction{};
    const auto found = policy.find(name);
    if (found == policy.end())
        return direction;
    expect_keys(*found, name, {"framing", "rules", "default"});
    direction.framing =
        parse_framing(found->value("framing", Json("none")), std::string(name) + ".framing");
    direction.verdict = verdict(text(*found, name, "default", "ok"), name);
    const Json list = found->value("rules", Json::array());
    if (!list.is_array())
        refuse(name, "\"rules\" is not an array");
    for (const Json &rule : list)
        rules.push_back(parse_rule(rule, fmt::format("{}.rules[{}]", name, direction.rules++)));
    return direction;
}

template <typename T> void append(std::vector<std::byte> &bytes, std::span<const T> values)
{
    const auto more = std::as_bytes(values);
    bytes.insert(bytes.end(), more.begin(), more.end());
}

} // namespace

std::vector<std::byte> parse_policy(const std::string &text)
{
    const Json json = Json::parse(text); // its errors say where
    expect_keys(json, "policy", {"send", "recv"});
    std::vector<stap_rule> rules;
    stap_policy policy{};
    policy.send = parse_direction(json, "send", rules);
    policy.recv = parse_direction(json, "recv", rules);
    std::vector<std::byte> bytes;
    append(bytes, std::span<const stap_policy>(&policy, 1));
    append(bytes, std::span<const stap_rule>(rules));
    return bytes;
}

std::vector<std::byte> read_policy(const std::string &path)
{
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error(fmt::format("{}: {}", path, std::strerror(errno)));
    std::ostringstream text;
    text << file.rdbuf();
    try {
        return parse_policy(text.str());
    } catch (const std::exception &error) {
        throw std::runtime_error(fmt::format("{}: {}", path, error.what()));
    }
}

} // namespace bpfilter::stapctl
