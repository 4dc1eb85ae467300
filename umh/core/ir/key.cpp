// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/key.h"

namespace bpfilter::ir {

namespace {

std::size_t place_of(const ListRow &list, std::size_t n)
{
    return list.place + n * list.item;
}

} // namespace

Listed::Item Key::item(List list, std::size_t n) const
{
    Listed::Item item{};
    for (std::size_t i = 0; i < item.size(); ++i)
        item[i] = words_.at(place_of(row(list), n) + i);
    return item;
}

void Key::set_item(List list, std::size_t n, const Listed::Item &item)
{
    for (std::size_t i = 0; i < item.size(); ++i)
        words_.at(place_of(row(list), n) + i) = item[i];
}

} // namespace bpfilter::ir
