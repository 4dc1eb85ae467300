// SPDX-License-Identifier: GPL-2.0
//
// What it takes to look at a request: all that is allocated at a time, the request itself included,
// in the worst of its time. The module reckons with this (kmod/request/queue.c).
#include "tests/unit/support/blob.h"
#include "umh/core/blob/table.h"

#include <linux/netfilter/xt_iprange.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter_ipv6/ip6t_opts.h>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <malloc.h>
#include <new>
#include <span>

namespace {

std::atomic<std::size_t> in_use;
std::atomic<std::size_t> most;

} // namespace

// With what malloc() itself needs of it.
[[gnu::noinline]] void *operator new(std::size_t size)
{
    void *memory = std::malloc(size);
    if (memory == nullptr)
        throw std::bad_alloc();
    most = std::max<std::size_t>(most, in_use += malloc_usable_size(memory) + sizeof(std::size_t));
    return memory;
}

[[gnu::noinline]] void operator delete(void *memory) noexcept
{
    if (memory != nullptr)
        in_use -= malloc_usable_size(memory) + sizeof(std::size_t);
    std::free(memory);
}

[[gnu::noinline]] void operator delete(void *memory, std::size_t /*size*/) noexcept
{
    operator delete(memory);
}

namespace bpfilter::blob {
namespace {

using test::Blob;
using test::Rule;

constexpr std::size_t usual = 4;
constexpr std::size_t factor = 5; // HELPER_FACTOR of kmod/request/queue.c
constexpr std::size_t worst = 7;  // times, which the half that is left has room for
constexpr int rules = 2000;

// How many times its own size a request takes; in hundredths.
std::size_t hundredths(const Blob &blob, ir::Family family)
{
    std::vector<std::byte> bytes = blob.build().bytes;
    const std::size_t size = bytes.size();
    const std::size_t before = in_use - size;
    most = in_use.load();
    std::vector<KernelEntry> checks;
    const auto decoded = decode_replace(std::move(bytes), 0, **find_layout(family), checks);
    EXPECT_TRUE(decoded) << decoded.error().message;
    const std::size_t result = 100 * (most - before) / size;
    std::cout << "[ factor   ] " << result << " / 100\n";
    return result;
}

TEST(Memory, OfAddresses)
{
    Blob blob;
    for (int i = 0; i < rules; ++i)
        blob.rule("INPUT", Rule().source("10.1.2.3").drop());
    EXPECT_LE(hundredths(blob, ir::Family::ipv4), 100 * usual);
}

TEST(Memory, OfAllThatAnEntryAsks)
{
    Blob blob;
    for (int i = 0; i < rules; ++i)
        blob.rule("INPUT", Rule()
                               .source("10.1.2.3", true)
                               .destination("10.1.2.4", true)
                               .in("averylongname0", true)
                               .out("averylongname1", true)
                               .protocol(200)
                               .fragment()
                               .drop());
    EXPECT_LE(hundredths(blob, ir::Family::ipv4), 100 * factor);
}

TEST(Memory, OfPorts)
{
    Blob blob;
    for (int i = 0; i < rules; ++i)
        blob.rule("INPUT", Rule().source("10.1.2.3").udp({.dport = {1, 2}}).drop());
    EXPECT_LE(hundredths(blob, ir::Family::ipv4), 100 * usual);
}

TEST(Memory, OfAThousandMatches)
{
    ip6t_opts opts{};
    opts.hdrlen = 8;
    opts.flags = IP6T_OPTS_LEN | IP6T_OPTS_OPTS;
    opts.optsnr = IP6T_OPTS_OPTSNR;
    std::ranges::fill(opts.opts, std::uint16_t{0x0102});
    Rule rule;
    for (int i = 0; i < 800; ++i)
        rule.match("hbh", 0, std::as_bytes(std::span(&opts, 1)));
    Blob blob(ir::Family::ipv6);
    for (int i = 0; i < 20; ++i)
        blob.rule("INPUT", Rule(rule).drop());
    EXPECT_LE(hundredths(blob, ir::Family::ipv6), 100 * usual);
}

// Of all that are, those that come to the most conditions for their size.
TEST(Memory, OfRangesOfAddresses)
{
    xt_iprange_mtinfo info{};
    info.flags = IPRANGE_SRC | IPRANGE_DST;
    for (auto *low : {&info.src_min, &info.dst_min})
        std::ranges::fill(low->all, 0x10000000U);
    for (auto *high : {&info.src_max, &info.dst_max})
        std::ranges::fill(high->all, 0x80000000U);
    for (const int inverted : {0, IPRANGE_SRC_INV | IPRANGE_DST_INV}) {
        info.flags = static_cast<std::uint8_t>(info.flags | inverted);
        Rule rule;
        for (int i = 0; i < 600; ++i)
            rule.match("iprange", 1, std::as_bytes(std::span(&info, 1)));
        Blob blob(ir::Family::ipv6);
        for (int i = 0; i < 20; ++i)
            blob.rule("INPUT", Rule(rule).drop());
        EXPECT_LE(hundredths(blob, ir::Family::ipv6), 100 * worst);
    }
}

TEST(Memory, OfManyPorts)
{
    xt_multiport_v1 info{};
    info.flags = XT_MULTIPORT_EITHER;
    info.count = XT_MULTI_PORTS;
    for (std::size_t i = 0; i < XT_MULTI_PORTS; ++i)
        info.ports[i] = static_cast<std::uint16_t>(10 * i);
    for (const int inverted : {0, 1}) {
        info.invert = static_cast<std::uint8_t>(inverted);
        Rule rule = Rule().protocol(IPPROTO_UDP);
        for (int i = 0; i < 700; ++i)
            rule.match("multiport", 1, std::as_bytes(std::span(&info, 1)));
        Blob blob;
        for (int i = 0; i < 20; ++i)
            blob.rule("INPUT", Rule(rule).drop());
        EXPECT_LE(hundredths(blob, ir::Family::ipv4), 100 * worst);
    }
}

TEST(Memory, OfTheShortestMatches)
{
    Rule rule;
    const std::uint16_t hop = 0x4000;
    for (int i = 0; i < 1000; ++i)
        rule.match("hl", 0, std::as_bytes(std::span(&hop, 1)));
    Blob blob(ir::Family::ipv6);
    for (int i = 0; i < 20; ++i)
        blob.rule("INPUT", Rule(rule).drop());
    EXPECT_LE(hundredths(blob, ir::Family::ipv6), 100 * usual);
}

} // namespace
} // namespace bpfilter::blob
