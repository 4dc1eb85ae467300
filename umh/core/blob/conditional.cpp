// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/conditional.h"

#include "umh/core/extension/text.h"

namespace bpfilter::blob {

std::string interface_text(const char *option, Bytes ip, std::size_t name_offset,
                           std::size_t mask_offset, bool invert)
{
    const auto name = load<ir::InterfaceName>(ip, name_offset);
    const auto mask = load<ir::InterfaceName>(ip, mask_offset);
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
