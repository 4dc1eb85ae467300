// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/compat.h"

namespace bpfilter::test {

namespace {

// Offsets in struct ipt_entry and ip6t_entry. Counters are the last 16 bytes of the fixed part.
struct Sizes {
    std::size_t native_entry;
    std::size_t compat_entry;
    std::size_t target_offset;
    std::size_t next_offset;
};

constexpr Sizes ipv4_sizes{112, 112, 88, 90};
constexpr Sizes ipv6_sizes{168, 164, 140, 142};

// What a payload of 64 bits has behind it that one of 32 bits does not.
std::size_t surplus(std::string_view name)
{
    static const std::map<std::string_view, std::size_t> sizes{
        {"", 4},      {"tcp", 4}, {"udp", 4}, {"udplite", 4}, {"icmp", 4},
        {"icmp6", 4}, {"hl", 4},  {"mh", 4},  {"eui64", 4},   {"ipv6header", 4}};
    const auto found = sizes.find(name);
    return found == sizes.end() ? 0 : found->second;
}

using ByteList = std::vector<std::byte>;

void append(ByteList &to, Bytes what)
{
    to.insert(to.end(), what.begin(), what.end());
}

// struct xt_entry_match or xt_entry_target: its size natively.
std::size_t append_extension(ByteList &to, Bytes native)
{
    const auto size = load<std::uint16_t>(native, 0);
    const auto shorter = size - surplus(load_string(native.subspan(2, 29)));
    const auto at = to.size();
    append(to, native.first(shorter));
    store(to, at, static_cast<std::uint16_t>(shorter));
    return size;
}

ByteList narrow_entry(Bytes native, const Sizes &sizes)
{
    ByteList bytes;
    append(bytes, native.first(sizes.compat_entry - 16));
    append(bytes, native.subspan(sizes.native_entry - 16, 16));
    const auto target = load<std::uint16_t>(native, sizes.target_offset);
    std::size_t at = sizes.native_entry;
    while (at < target)
        at += append_extension(bytes, native.subspan(at));
    store(bytes, sizes.target_offset, static_cast<std::uint16_t>(bytes.size()));
    append_extension(bytes, native.subspan(at));
    store(bytes, sizes.next_offset, static_cast<std::uint16_t>(bytes.size()));
    return bytes;
}

} // namespace

Payload narrow(const Payload &native)
{
    const Sizes &sizes = native.family == ir::Family::ipv4 ? ipv4_sizes : ipv6_sizes;
    const auto entries = Bytes(native.bytes).subspan(native.header);
    Payload compat{
        .bytes = {}, .offsets = {}, .family = native.family, .header = compat_replace_size};
    append(compat.bytes, Bytes(native.bytes).first(compat_replace_size));

    std::map<std::uint32_t, std::uint32_t> moved;
    for (const auto offset : native.offsets) {
        compat.offsets.push_back(static_cast<std::uint32_t>(compat.bytes.size() - compat.header));
        moved[offset] = compat.offsets.back();
        append(compat.bytes, narrow_entry(entries.subspan(offset), sizes));
    }
    const auto move = [&](std::size_t at) {
        const auto found = moved.find(load<std::uint32_t>(compat.bytes, at));
        if (found != moved.end())
            store(compat.bytes, at, found->second);
    };
    for (std::size_t slot = 0; slot < 2 * ir::hook_count; ++slot)
        move(offsetof(ipt_replace, hook_entry) + 4 * slot);
    for (std::size_t id = 0; id < compat.offsets.size(); ++id) {
        const auto target = compat.get_entry<std::uint16_t>(id, sizes.target_offset);
        if (compat.get_entry<char>(id, target + 2) == 0)
            move(compat.header + compat.offsets[id] + target + 32);
    }
    compat.put(offsetof(ipt_replace, size),
               static_cast<std::uint32_t>(compat.bytes.size() - compat.header));
    return compat;
}

} // namespace bpfilter::test
