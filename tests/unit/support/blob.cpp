// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/blob.h"

#include "umh/core/ir/names.h"

#include <arpa/inet.h>

#include <algorithm>
#include <stdexcept>
#include <tuple>

namespace bpfilter::test {

namespace {

constexpr std::size_t header_size = sizeof(xt_entry_target);

in_addr dotted(std::string_view text)
{
    in_addr address{};
    if (inet_pton(AF_INET, std::string(text).c_str(), &address) != 1)
        throw std::invalid_argument("no address: " + std::string(text));
    return address;
}

std::pair<in_addr, in_addr> address_and_mask(std::string_view text)
{
    const auto slash = text.find('/');
    const in_addr address = dotted(text.substr(0, slash));
    if (slash == text.npos)
        return {address, {0xffffffff}};
    const auto mask = text.substr(slash + 1);
    if (mask.find('.') != mask.npos)
        return {address, dotted(mask)};
    const int bits = std::stoi(std::string(mask));
    return {address, {bits ? htonl(0xffffffffU << (32 - bits)) : 0}};
}

bool is_ipv6(std::string_view text)
{
    return text.find(':') != text.npos;
}

in6_addr colons(std::string_view text)
{
    in6_addr address{};
    if (inet_pton(AF_INET6, std::string(text).c_str(), &address) != 1)
        throw std::invalid_argument("no address: " + std::string(text));
    return address;
}

void set_address(std::string_view text, in6_addr &address, in6_addr &mask)
{
    const auto slash = text.find('/');
    const auto rest = slash == text.npos ? "128" : text.substr(slash + 1);
    if (is_ipv6(rest)) {
        mask = colons(rest);
    } else {
        const auto bits = std::stoul(std::string(rest));
        mask = {};
        for (unsigned i = 0; i < bits; ++i)
            mask.s6_addr[i / 8] |= static_cast<std::uint8_t>(0x80U >> i % 8);
    }
    address = colons(text.substr(0, slash));
    for (std::size_t i = 0; i < sizeof(address); ++i)
        address.s6_addr[i] &= mask.s6_addr[i];
}

std::size_t entry_size(ir::Family family)
{
    return family == ir::Family::ipv6 ? sizeof(ip6t_entry) : sizeof(ipt_entry);
}

void set_interface(std::string_view text, char (&name)[IFNAMSIZ], unsigned char (&mask)[IFNAMSIZ])
{
    const bool prefix = text.ends_with('+');
    const auto length = text.size() - prefix;
    std::copy_n(text.begin(), length, name);
    std::fill_n(mask, prefix ? length : length + 1, 0xff);
}

void set_flag(std::uint8_t &flags, unsigned flag, bool on)
{
    flags = static_cast<std::uint8_t>(on ? flags | flag : flags & ~flag);
}

// struct xt_entry_match or xt_entry_target with its payload.
std::vector<std::byte> extension(std::string_view name, std::uint8_t revision, Bytes payload)
{
    std::vector<std::byte> bytes(header_size + XT_ALIGN(payload.size()));
    store(bytes, 0, static_cast<std::uint16_t>(bytes.size()));
    store_bytes(bytes, 2, std::as_bytes(std::span(name)));
    store(bytes, 31, revision);
    store_bytes(bytes, header_size, payload);
    return bytes;
}

std::vector<std::byte> error_target(std::string_view name)
{
    std::vector<std::byte> payload(XT_FUNCTION_MAXNAMELEN);
    store_bytes(payload, 0, std::as_bytes(std::span(name)));
    return payload;
}

Rule error_rule(std::string_view name)
{
    return Rule().target("ERROR", 0, error_target(name));
}

} // namespace

Rule &Rule::source(std::string_view address, bool invert)
{
    if (is_ipv6(address)) {
        set_address(address, ip6_.src, ip6_.smsk);
        set_flag(ip6_.invflags, IP6T_INV_SRCIP, invert);
        return *this;
    }
    std::tie(ip_.src, ip_.smsk) = address_and_mask(address);
    ip_.src.s_addr &= ip_.smsk.s_addr;
    set_flag(ip_.invflags, IPT_INV_SRCIP, invert);
    return *this;
}

Rule &Rule::destination(std::string_view address, bool invert)
{
    if (is_ipv6(address)) {
        set_address(address, ip6_.dst, ip6_.dmsk);
        set_flag(ip6_.invflags, IP6T_INV_DSTIP, invert);
        return *this;
    }
    std::tie(ip_.dst, ip_.dmsk) = address_and_mask(address);
    ip_.dst.s_addr &= ip_.dmsk.s_addr;
    set_flag(ip_.invflags, IPT_INV_DSTIP, invert);
    return *this;
}

Rule &Rule::in(std::string_view name, bool invert)
{
    set_interface(name, ip_.iniface, ip_.iniface_mask);
    set_interface(name, ip6_.iniface, ip6_.iniface_mask);
    set_flag(ip_.invflags, IPT_INV_VIA_IN, invert);
    set_flag(ip6_.invflags, IP6T_INV_VIA_IN, invert);
    return *this;
}

Rule &Rule::out(std::string_view name, bool invert)
{
    set_interface(name, ip_.outiface, ip_.outiface_mask);
    set_interface(name, ip6_.outiface, ip6_.outiface_mask);
    set_flag(ip_.invflags, IPT_INV_VIA_OUT, invert);
    set_flag(ip6_.invflags, IP6T_INV_VIA_OUT, invert);
    return *this;
}

Rule &Rule::protocol(std::uint16_t number, bool invert)
{
    ip_.proto = ip6_.proto = number;
    ip6_.flags |= IP6T_F_PROTO;
    set_flag(ip_.invflags, IPT_INV_PROTO, invert);
    set_flag(ip6_.invflags, IP6T_INV_PROTO, invert);
    return *this;
}

Rule &Rule::fragment(bool invert)
{
    ip_.flags |= IPT_F_FRAG;
    set_flag(ip_.invflags, IPT_INV_FRAG, invert);
    return *this;
}

Rule &Rule::tcp(const TcpOptions &options)
{
    const xt_tcp tcp{
        .spts = {options.sport.first, options.sport.second},
        .dpts = {options.dport.first, options.dport.second},
        .option = options.option,
        .flg_mask = options.flags_mask,
        .flg_cmp = options.flags,
        .invflags = options.invert,
    };
    return protocol(IPPROTO_TCP).match("tcp", 0, bytes_of(tcp));
}

Rule &Rule::udp(const UdpOptions &options)
{
    const xt_udp udp{
        .spts = {options.sport.first, options.sport.second},
        .dpts = {options.dport.first, options.dport.second},
        .invflags = options.invert,
    };
    return protocol(IPPROTO_UDP).match("udp", 0, bytes_of(udp));
}

Rule &Rule::icmp(const IcmpOptions &options)
{
    const ipt_icmp icmp{
        .type = options.type,
        .code = {static_cast<std::uint8_t>(options.codes.first),
                 static_cast<std::uint8_t>(options.codes.second)},
        .invflags = options.invert,
    };
    return protocol(IPPROTO_ICMP).match("icmp", 0, bytes_of(icmp));
}

Rule &Rule::icmp6(const IcmpOptions &options)
{
    const ip6t_icmp icmp{
        .type = options.type,
        .code = {static_cast<std::uint8_t>(options.codes.first),
                 static_cast<std::uint8_t>(options.codes.second)},
        .invflags = options.invert,
    };
    return protocol(IPPROTO_ICMPV6).match("icmp6", 0, bytes_of(icmp));
}

Rule &Rule::match(std::string_view name, std::uint8_t revision, Bytes payload)
{
    const auto bytes = extension(name, revision, payload);
    matches_.insert(matches_.end(), bytes.begin(), bytes.end());
    return *this;
}

Rule &Rule::standard(std::int32_t number)
{
    verdict_ = number;
    return *this;
}

Rule &Rule::jump(std::string_view chain)
{
    chain_ = chain;
    return *this;
}

Rule &Rule::go_to(std::string_view chain)
{
    ip_.flags |= IPT_F_GOTO;
    ip6_.flags |= IP6T_F_GOTO;
    return jump(chain);
}

Rule &Rule::target(std::string_view name, std::uint8_t revision, Bytes payload)
{
    target_ = extension(name, revision, payload);
    return *this;
}

std::vector<std::byte> Rule::extensions(std::size_t entry_size, std::uint32_t offset,
                                        std::int32_t number) const
{
    auto target = target_.empty() ? extension("", 0, bytes_of(number)) : target_;
    const auto size = entry_size + matches_.size() + target.size();
    if (target_.empty() && !chain_ && !verdict_)
        store(target, header_size, static_cast<std::int32_t>(offset + size));
    auto bytes = matches_;
    bytes.insert(bytes.end(), target.begin(), target.end());
    return bytes;
}

std::vector<std::byte> Rule::bytes(ir::Family family, std::uint32_t offset,
                                   std::int32_t number) const
{
    const auto start = entry_size(family);
    const auto rest = extensions(start, offset, number);
    const auto target = static_cast<std::uint16_t>(start + matches_.size());
    std::vector<std::byte> bytes(start + rest.size());
    const auto next = static_cast<std::uint16_t>(bytes.size());
    if (family == ir::Family::ipv6) {
        store(bytes, 0, ip6_);
        store(bytes, offsetof(ip6t_entry, target_offset), target);
        store(bytes, offsetof(ip6t_entry, next_offset), next);
    } else {
        store(bytes, 0, ip_);
        store(bytes, offsetof(ipt_entry, target_offset), target);
        store(bytes, offsetof(ipt_entry, next_offset), next);
    }
    store_bytes(bytes, start, rest);
    return bytes;
}

Blob::Blob(std::string table, std::uint32_t valid_hooks, ir::Family family)
    : table_(std::move(table)), valid_hooks_(valid_hooks), family_(family)
{
    for (std::size_t hook = 0; hook < ir::hook_count; ++hook) {
        const auto which = static_cast<ir::Hook>(hook);
        if (valid_hooks & (1U << hook))
            chains_.push_back({std::string(ir::chain_name(which)), which, verdict::accept, {}});
    }
}

Blob &Blob::chain(std::string_view name, bool foot)
{
    chains_.push_back({std::string(name), {}, {}, {}});
    if (foot)
        chains_.back().foot = verdict::returns;
    return *this;
}

Blob &Blob::policy(std::string_view chain, std::int32_t number)
{
    find(chain).foot = number;
    return *this;
}

Blob &Blob::rule(std::string_view chain, const Rule &rule)
{
    find(chain).rules.push_back(rule);
    return *this;
}

Blob &Blob::without_end()
{
    end_ = false;
    return *this;
}

Blob::Chain &Blob::find(std::string_view name)
{
    const auto found = std::find_if(chains_.rbegin(), chains_.rend(),
                                    [name](const Chain &chain) { return chain.name == name; });
    if (found == chains_.rend())
        throw std::invalid_argument("no chain " + std::string(name));
    return *found;
}

std::vector<Rule> Blob::all_entries() const
{
    std::vector<Rule> entries;
    for (const auto &chain : chains_) {
        if (!chain.hook)
            entries.push_back(error_rule(chain.name));
        entries.insert(entries.end(), chain.rules.begin(), chain.rules.end());
        if (chain.foot)
            entries.push_back(Rule().standard(*chain.foot));
    }
    if (end_)
        entries.push_back(error_rule("ERROR"));
    return entries;
}

std::map<std::string, std::size_t> Blob::first_entries() const
{
    std::map<std::string, std::size_t> first;
    std::size_t entry = 0;
    for (const auto &chain : chains_) {
        first[chain.name] = entry + !chain.hook;
        entry += chain.entries();
    }
    return first;
}

Payload Blob::build(std::optional<std::uint32_t> num_counters) const
{
    const auto entries = all_entries();
    const auto first = first_entries();
    Payload payload{.bytes = {}, .offsets = {}, .family = family_};
    std::vector<std::byte> blob;
    for (const auto &entry : entries) {
        payload.offsets.push_back(static_cast<std::uint32_t>(blob.size()));
        const auto bytes = entry.bytes(family_, payload.offsets.back(), entry.verdict_.value_or(0));
        blob.insert(blob.end(), bytes.begin(), bytes.end());
    }
    for (std::size_t id = 0; id < entries.size(); ++id) {
        if (!entries[id].chain_)
            continue;
        const auto target = payload.offsets.at(first.at(*entries[id].chain_));
        store(blob,
              payload.offsets[id] + entry_size(family_) + entries[id].matches_.size() + header_size,
              static_cast<std::int32_t>(target));
    }
    payload.bytes = header(payload.offsets, static_cast<std::uint32_t>(blob.size()), num_counters);
    payload.bytes.insert(payload.bytes.end(), blob.begin(), blob.end());
    return payload;
}

std::vector<std::byte> Blob::header(const std::vector<std::uint32_t> &offsets, std::uint32_t size,
                                    std::optional<std::uint32_t> num_counters) const
{
    ipt_replace replace{};
    std::copy_n(table_.begin(), std::min(table_.size(), sizeof(replace.name)), replace.name);
    replace.valid_hooks = valid_hooks_;
    replace.num_entries = static_cast<std::uint32_t>(offsets.size());
    replace.size = size;
    replace.num_counters = num_counters.value_or(replace.num_entries);
    std::size_t first = 0;
    for (const auto &chain : chains_) {
        if (chain.hook) {
            const auto hook = static_cast<std::size_t>(*chain.hook);
            replace.hook_entry[hook] = offsets[first];
            replace.underflow[hook] = offsets[first + chain.rules.size()];
        }
        first += chain.entries();
    }
    return bytes_of(replace);
}

} // namespace bpfilter::test
