// SPDX-License-Identifier: GPL-2.0
//
// Blobs for tests: the payload of a SET_REPLACE, native layout, from a few words.
//
//     Blob blob;                                   // filter: INPUT, FORWARD, OUTPUT, ACCEPT
//     blob.policy("INPUT", verdict::drop);
//     blob.rule("INPUT", Rule().source("10.0.0.0/8").tcp({.dport = {80, 80}}).accept());
//     blob.rule("INPUT", Rule().in("eth+").jump("c1"));
//     blob.chain("c1");
//     blob.rule("c1", Rule().udp({}).drop());
//     Payload payload = blob.build();              // payload.bytes
//
// The same rules are good for Blob(ir::Family::ipv6), with its addresses in source() and
// destination(), and icmp6().
//
// The order is libiptc's: built-in chains in the order of hooks, user chains as they were
// named, the end. build() gives what the rules say and checks nothing: a chain that is
// jumped to must exist, all else may be wrong on purpose. What cannot be said can be
// patched into the payload afterwards.
#pragma once

#include "umh/core/ir/table.h"
#include "umh/util/bytes.h"

#include <netinet/in.h> // the kernel's headers give way to it, if it comes first

#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bpfilter::test {

namespace verdict {
inline constexpr std::int32_t drop = -1;
inline constexpr std::int32_t accept = -2;
inline constexpr std::int32_t queue = -4;
inline constexpr std::int32_t returns = -5;
} // namespace verdict

using Ports = std::pair<std::uint16_t, std::uint16_t>; // lowest and highest

struct TcpOptions {
    Ports sport{0, 0xffff};
    Ports dport{0, 0xffff};
    std::uint8_t option = 0;
    std::uint8_t flags_mask = 0;
    std::uint8_t flags = 0;
    std::uint8_t invert = 0; // XT_TCP_INV_*
};

struct UdpOptions {
    Ports sport{0, 0xffff};
    Ports dport{0, 0xffff};
    std::uint8_t invert = 0; // XT_UDP_INV_*
};

struct IcmpOptions {
    std::uint8_t type = 0xff;
    Ports codes{0, 0xff};
    std::uint8_t invert = 0; // IPT_ICMP_INV, IP6T_ICMP_INV
};

// One rule. Without a verdict: a rule without target, which goes on to the next.
class Rule {
public:
    // "10.0.0.0/8", "10.0.0.0/255.0.255.0", "10.0.0.1", and the same for IPv6: what holds a
    // colon is for its conditional part only.
    Rule &source(std::string_view address, bool invert = false);
    Rule &destination(std::string_view address, bool invert = false);
    // "eth0", "eth+"
    Rule &in(std::string_view name, bool invert = false);
    Rule &out(std::string_view name, bool invert = false);
    Rule &protocol(std::uint16_t number, bool invert = false);
    Rule &fragment(bool invert = false);

    // -p and -m together.
    Rule &tcp(const TcpOptions &options = {});
    Rule &udp(const UdpOptions &options = {});
    Rule &icmp(const IcmpOptions &options = {});
    Rule &icmp6(const IcmpOptions &options = {});
    // Any match. The payload is padded to alignment.
    Rule &match(std::string_view name, std::uint8_t revision, Bytes payload);

    Rule &accept() { return standard(verdict::accept); }
    Rule &drop() { return standard(verdict::drop); }
    Rule &queue() { return standard(verdict::queue); }
    Rule &returns() { return standard(verdict::returns); }
    Rule &standard(std::int32_t number); // as it is
    Rule &jump(std::string_view chain);
    Rule &go_to(std::string_view chain);
    // Any target. The payload is padded to alignment.
    Rule &target(std::string_view name, std::uint8_t revision, Bytes payload);

    // The conditional part, for what iptables cannot say.
    ipt_ip &ip() { return ip_; }
    ip6t_ip6 &ip6() { return ip6_; }

private:
    friend class Blob;

    std::vector<std::byte> bytes(ir::Family family, std::uint32_t offset,
                                 std::int32_t number) const;
    // Behind the fixed part of an entry.
    std::vector<std::byte> extensions(std::size_t entry_size, std::uint32_t offset,
                                      std::int32_t number) const;

    ipt_ip ip_{};
    ip6t_ip6 ip6_{};
    std::vector<std::byte> matches_;
    std::vector<std::byte> target_; // empty: standard
    std::optional<std::int32_t> verdict_;
    std::optional<std::string> chain_; // jumped to
};

struct Payload {
    std::vector<std::byte> bytes;
    std::vector<std::uint32_t> offsets; // of each entry, from the first
    ir::Family family = ir::Family::ipv4;
    std::size_t header = sizeof(ipt_replace);

    // Fields of struct ipt_replace, and of an entry, to read and to patch.
    template <typename T> void put(std::size_t offset, T value) { store(bytes, offset, value); }
    template <typename T> void put_entry(std::size_t entry, std::size_t offset, T value)
    {
        store(bytes, header + offsets.at(entry) + offset, value);
    }
    template <typename T> T get(std::size_t offset) const { return load<T>(bytes, offset); }
    template <typename T> T get_entry(std::size_t entry, std::size_t offset) const
    {
        return load<T>(bytes, header + offsets.at(entry) + offset);
    }
};

class Blob {
public:
    explicit Blob(std::string table = "filter", std::uint32_t valid_hooks = 0x0e,
                  ir::Family family = ir::Family::ipv4);
    explicit Blob(ir::Family family) : Blob("filter", 0x0e, family) {}

    // A user chain: its head, and a RETURN at its foot unless told otherwise. A name may be
    // used twice; rules go to the last.
    Blob &chain(std::string_view name, bool foot = true);
    Blob &policy(std::string_view chain, std::int32_t number);
    Blob &rule(std::string_view chain, const Rule &rule);
    // No target ERROR at the end.
    Blob &without_end();

    // num_counters is the number of entries unless given.
    Payload build(std::optional<std::uint32_t> num_counters = {}) const;

private:
    struct Chain {
        std::string name;
        std::optional<ir::Hook> hook;
        std::optional<std::int32_t> foot;
        std::vector<Rule> rules;
        std::size_t entries() const { return !hook + rules.size() + foot.has_value(); }
    };

    Chain &find(std::string_view name);
    std::vector<Rule> all_entries() const;
    std::vector<std::byte> header(const std::vector<std::uint32_t> &offsets, std::uint32_t size,
                                  std::optional<std::uint32_t> num_counters) const;
    std::map<std::string, std::size_t> first_entries() const;

    std::string table_;
    std::uint32_t valid_hooks_;
    ir::Family family_;
    std::vector<Chain> chains_;
    bool end_ = true;
};

// Bytes of a structure.
template <typename T> std::vector<std::byte> bytes_of(const T &value)
{
    const auto *first = reinterpret_cast<const std::byte *>(&value);
    return {first, first + sizeof(value)};
}

} // namespace bpfilter::test
