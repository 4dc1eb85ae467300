// SPDX-License-Identifier: GPL-2.0
//
// -m iprange: xt_iprange. Addresses from one to another, which may be none.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <netinet/in.h> // the kernel's headers give way to it, if it comes first

#include <linux/netfilter/xt_iprange.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <string>
#include <vector>

namespace bpfilter::extension {

namespace {

using Words = std::array<std::uint32_t, 4>; // the most significant first

constexpr std::uint32_t most = 0xffffffff;

// What one half of the structure asks.
struct Half {
    const char *option;
    ir::Field field;
    const nf_inet_addr &min;
    const nf_inet_addr &max;
    bool inverted;
};

template <typename F> void each_half(const xt_iprange_mtinfo &info, F f)
{
    if (info.flags & IPRANGE_SRC)
        f(Half{"--src-range", ir::Field::source, info.src_min, info.src_max,
               (info.flags & IPRANGE_SRC_INV) != 0});
    if (info.flags & IPRANGE_DST)
        f(Half{"--dst-range", ir::Field::destination, info.dst_min, info.dst_max,
               (info.flags & IPRANGE_DST_INV) != 0});
}

Words words_of(const nf_inet_addr &address)
{
    Words words;
    std::ranges::transform(address.all, words.begin(), [](auto word) { return ntohl(word); });
    return words;
}

// The words before this one are the same, and this one is in the range; none if that is empty.
std::vector<ir::Test> group(ir::Field field, const Words &same, std::size_t word,
                            std::uint32_t first, std::uint32_t last)
{
    std::vector<ir::Test> tests;
    tests.reserve(word + 1);
    for (std::size_t i = 0; i < word; ++i)
        tests.emplace_back(ir::Range{at(field, i), same[i], 0});
    tests.emplace_back(ir::Range{at(field, word), first, last - first});
    return tests;
}

// Up to `word`, min and max are the same. Behind that an address is in between if it is larger than
// the one at the first word, or as large and larger at the next, and so on; and the other way
// around.
ir::AnyOf between(ir::Field field, const Words &min, const Words &max)
{
    const auto differ = static_cast<std::size_t>(std::ranges::mismatch(min, max).in1 - min.begin());
    constexpr std::size_t last = 3; // of which min and max themselves are in between
    ir::AnyOf any;
    if (differ >= last) {
        any.groups.push_back(group(field, min, last, min[last], max[last]));
        return any;
    }
    if (max[differ] - min[differ] > 1)
        any.groups.push_back(group(field, min, differ, min[differ] + 1, max[differ] - 1));
    for (std::size_t i = differ + 1; i < last; ++i) {
        if (min[i] < most)
            any.groups.push_back(group(field, min, i, min[i] + 1, most));
        if (max[i] > 0)
            any.groups.push_back(group(field, max, i, 0, max[i] - 1));
    }
    any.groups.push_back(group(field, min, last, min[last], most));
    any.groups.push_back(group(field, max, last, 0, max[last]));
    return any;
}

std::string wrong(const xt_iprange_mtinfo & /*info*/)
{
    return {};
}

ir::Conditions lower4(const xt_iprange_mtinfo &info)
{
    ir::Conditions conditions;
    each_half(info, [&](const Half &half) {
        ask_range(conditions, half.field, words_of(half.min)[0], words_of(half.max)[0],
                  half.inverted);
    });
    return conditions;
}

// Not any of these groups: not one of them, and not the next, and so on.
ir::Conditions lower6(const xt_iprange_mtinfo &info)
{
    ir::Conditions conditions;
    each_half(info, [&](const Half &half) {
        const Words min = words_of(half.min);
        const Words max = words_of(half.max);
        if (max < min) {
            if (!half.inverted)
                conditions.emplace_back(ir::Never{});
            return;
        }
        ir::AnyOf any = between(half.field, min, max);
        if (!half.inverted) {
            conditions.emplace_back(any);
            return;
        }
        for (auto &tests : any.groups)
            conditions.emplace_back(ir::Not{std::move(tests)});
    });
    return conditions;
}

std::string text4(const xt_iprange_mtinfo &info)
{
    const auto dotted = [](const nf_inet_addr &address) {
        std::array<unsigned char, 4> bytes;
        std::memcpy(bytes.data(), &address.ip, bytes.size());
        return fmt::format("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3]);
    };
    std::string text;
    each_half(info, [&](const Half &half) {
        text += option_text(half.option, half.inverted, dotted(half.min) + "-" + dotted(half.max));
    });
    return text;
}

std::string text6(const xt_iprange_mtinfo &info)
{
    std::string text;
    each_half(info, [&](const Half &half) {
        text +=
            option_text(half.option, half.inverted,
                        ipv6_address_text(half.min.in6) + "-" + ipv6_address_text(half.max.in6));
    });
    return text;
}

} // namespace

constexpr MatchExtension iprange_match{
    {.name = "iprange",
     .revision = 1,
     .family = ir::Family::ipv4,
     .size = sizeof(xt_iprange_mtinfo)},
    reader<wrong, lower4, text4>,
};

constexpr MatchExtension iprange6_match{
    {.name = "iprange",
     .revision = 1,
     .family = ir::Family::ipv6,
     .size = sizeof(xt_iprange_mtinfo)},
    reader<wrong, lower6, text6>,
};

} // namespace bpfilter::extension
