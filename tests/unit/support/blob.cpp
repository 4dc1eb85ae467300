// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/blob.h"

#include "umh/ir/names.h"

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
    std::tie(ip_.src, ip_.smsk) = address_and_mask(address);
    ip_.src.s_addr &= ip_.smsk.s_addr;
    set_flag(ip_.invflags, IPT_INV_SRCIP, invert);
    return *this;
}

Rule &Rule::destination(std::string_view address, bool invert)
{
    std::tie(ip_.dst, ip_.dmsk) = address_and_mask(address);
    ip_.dst.s_addr &= ip_.dmsk.s_addr;
    set_flag(ip_.invflags, IPT_INV_DSTIP, invert);
    return *this;
}

Rule &Rule::in(std::string_view name, bool invert)
{
    set_interface(name, ip_.iniface, ip_.iniface_mask);
    set_flag(ip_.invflags, IPT_INV_VIA_IN, invert);
    return *this;
}

Rule &Rule::out(std::string_view name, bool invert)
{
    set_interface(name, ip_.outiface, ip_.outiface_mask);
    set_flag(ip_.invflags, IPT_INV_VIA_OUT, invert);
    return *this;
}

Rule &Rule::protocol(std::uint16_t number, bool invert)
{
    ip_.proto = number;
    set_flag(ip_.invflags, IPT_INV_PROTO, invert);
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
    return jump(chain);
}

Rule &Rule::target(std::string_view name, std::uint8_t revision, Bytes payload)
{
    target_ = extension(name, revision, payload);
    return *this;
}

std::vector<std::byte> Rule::bytes(std::uint32_t offset, std::int32_t number) const
{
    const auto target_offset = sizeof(ipt_entry) + matches_.size();
    auto target = target_.empty() ? extension("", 0, bytes_of(number)) : target_;
    const auto size = target_offset + target.size();
    if (target_.empty() && !chain_ && !verdict_)
        store(target, header_size, static_cast<std::int32_t>(offset + size));

    std::vector<std::byte> bytes(size);
    store(bytes, 0, ip_);
    store(bytes, offsetof(ipt_entry, target_offset), static_cast<std::uint16_t>(target_offset));
    store(bytes, offsetof(ipt_entry, next_offset), static_cast<std::uint16_t>(size));
    store_bytes(bytes, sizeof(ipt_entry), matches_);
    store_bytes(bytes, target_offset, target);
    return bytes;
}

Blob::Blob(std::string table, std::uint32_t valid_hooks)
    : table_(std::move(table)), valid_hooks_(valid_hooks)
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
    Payload payload;
    std::vector<std::byte> blob;
    for (const auto &entry : entries) {
        payload.offsets.push_back(static_cast<std::uint32_t>(blob.size()));
        const auto bytes = entry.bytes(payload.offsets.back(), entry.verdict_.value_or(0));
        blob.insert(blob.end(), bytes.begin(), bytes.end());
    }
    for (std::size_t id = 0; id < entries.size(); ++id) {
        if (!entries[id].chain_)
            continue;
        const auto target = payload.offsets.at(first.at(*entries[id].chain_));
        store(blob,
              payload.offsets[id] + sizeof(ipt_entry) + entries[id].matches_.size() + header_size,
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
