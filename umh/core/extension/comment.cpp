// SPDX-License-Identifier: GPL-2.0
//
// -m comment: xt_comment, which asks nothing.
#include "umh/core/extension/list.h"

#include "umh/core/extension/text.h"

#include <linux/netfilter/xt_comment.h>

#include <string>
#include <string_view>

namespace bpfilter::extension {

namespace {

std::string wrong(const xt_comment_info & /*info*/)
{
    return {};
}

ir::Conditions lower(const xt_comment_info & /*info*/)
{
    return {};
}

// Its last byte is taken for a NUL.
std::string text(const xt_comment_info &info)
{
    const auto bytes = std::as_bytes(std::span(info.comment)).first(sizeof(info.comment) - 1);
    return " --comment " + quoted(load_string(bytes));
}

} // namespace

constexpr MatchExtension comment_match{
    {.name = "comment", .size = sizeof(xt_comment_info)},
    reader<wrong, lower, text>,
};

} // namespace bpfilter::extension
