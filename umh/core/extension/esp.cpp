// SPDX-License-Identifier: GPL-2.0
//
// -m esp, and IPv4's -m ah: a range of security parameter indices.
#include "umh/core/extension/list.h"
#include "umh/core/extension/text.h"
#include "umh/core/ir/lower.h"

#include <linux/in.h>
#include <linux/netfilter/xt_esp.h>
#include <linux/netfilter_ipv4/ipt_ah.h>

namespace bpfilter::extension {

namespace {

// What both have.
static_assert(XT_ESP_INV_SPI == IPT_AH_INV_SPI && XT_ESP_INV_MASK == IPT_AH_INV_MASK);

template <typename Info> std::string wrong(const Info &info)
{
    return info.invflags & ~XT_ESP_INV_MASK ? "unknown inversion flags" : "";
}

template <typename Info> void ask(ir::Conditions &to, ir::Field spi, const Info &info)
{
    ask_range(to, spi, info.spis[0], info.spis[1], (info.invflags & XT_ESP_INV_SPI) != 0);
}

template <typename Info> std::string spi_text(const char *option, const Info &info)
{
    const bool invert = (info.invflags & XT_ESP_INV_SPI) != 0;
    if (info.spis[0] == 0 && info.spis[1] == 0xffffffff && !invert)
        return {};
    return range_text(option, info.spis[0], info.spis[1], invert);
}

// Fewer than 8 bytes: the packet is dropped.
ir::Conditions lower_esp(const xt_esp &esp)
{
    ir::Conditions conditions{ir::Require{ir::Field::ports}};
    ask(conditions, ir::Field::word_0, esp);
    return conditions;
}

// Fewer than 12 bytes.
ir::Conditions lower_ah(const ipt_ah &ah)
{
    ir::Conditions conditions{ir::Require{ir::Field::sctp}};
    ask(conditions, ir::Field::word_1, ah);
    return conditions;
}

std::string esp_text(const xt_esp &esp)
{
    return spi_text("--espspi", esp);
}

std::string ah_text(const ipt_ah &ah)
{
    return spi_text("--ahspi", ah);
}

} // namespace

constexpr MatchExtension esp_match{
    {.name = "esp", .size = sizeof(xt_esp), .protocol = IPPROTO_ESP},
    reader<wrong<xt_esp>, lower_esp, esp_text>,
};

constexpr MatchExtension ah_match{
    {.name = "ah", .family = ir::Family::ipv4, .size = sizeof(ipt_ah), .protocol = IPPROTO_AH},
    reader<wrong<ipt_ah>, lower_ah, ah_text>,
};

} // namespace bpfilter::extension
