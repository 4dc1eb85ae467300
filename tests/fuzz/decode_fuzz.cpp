// SPDX-License-Identifier: GPL-2.0
//
// libFuzzer target: any bytes as the payload of a SET_REPLACE, in all four layouts.
//
// What is accepted must come back the same: the listing, sent again with the request's
// header, is accepted and lists as itself.
//
//     decode_fuzz CORPUS_DIR                 fuzz
//     decode_fuzz --seed CORPUS_DIR          only write the seeds, then stop
//     decode_fuzz -runs=100000 CORPUS_DIR    libFuzzer's own options
#include "tests/unit/support/blob.h"
#include "tests/unit/support/compat.h"
#include "tests/unit/support/header_rules.h"
#include "umh/decode/table.h"
#include "umh/encode/entries.h"
#include "umh/encode/info.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace bpfilter;

std::vector<test::Payload> seeds()
{
    using test::Blob;
    using test::Rule;
    std::vector<test::Payload> payloads{Blob().build()};

    Blob matches;
    matches.rule("INPUT", Rule().source("10.0.0.0/8").in("eth+").tcp({.dport = {80, 80}}).accept());
    matches.rule("INPUT", Rule().udp({.sport = {1, 2}, .invert = 1}).icmp().protocol(17).drop());
    matches.rule("OUTPUT", Rule().icmp({.type = 8}).out("lo", true).fragment(true).queue());
    payloads.push_back(matches.build());

    Blob chains;
    chains.chain("c1").chain("c2").policy("FORWARD", test::verdict::drop);
    chains.rule("INPUT", Rule().jump("c1")).rule("INPUT", Rule().go_to("c2")).rule("INPUT", Rule());
    chains.rule("FORWARD", Rule().tcp().jump("c2")).rule("c1", Rule().tcp().jump("c2"));
    chains.rule("c2", Rule().destination("1.2.3.4").returns());
    payloads.push_back(chains.build());

    Blob loop;
    loop.chain("c1").rule("INPUT", Rule().jump("c1")).rule("c1", Rule().jump("c1"));
    payloads.push_back(loop.build());

    Blob ipv6(ir::Family::ipv6);
    ipv6.chain("c1");
    ipv6.rule("INPUT", Rule().source("fd00::/8").in("eth+").tcp({.dport = {80, 80}}).accept());
    ipv6.rule("INPUT", Rule().destination("::1", true).icmp6({.type = 1}).go_to("c1"));
    for (const Rule &rule : test::header_rules())
        ipv6.rule("FORWARD", rule);
    payloads.push_back(ipv6.build());

    for (std::size_t i = 0, native = payloads.size(); i < native; ++i)
        payloads.push_back(test::narrow(payloads[i]));
    return payloads;
}

void write_seeds(const std::filesystem::path &directory)
{
    std::filesystem::create_directories(directory);
    int number = 0;
    for (const auto &payload : seeds()) {
        std::ofstream file(directory / ("seed" + std::to_string(number++)), std::ios::binary);
        file.write(reinterpret_cast<const char *>(payload.bytes.data()),
                   static_cast<std::streamsize>(payload.bytes.size()));
    }
}

void expect(bool condition, const char *what)
{
    if (condition)
        return;
    std::fprintf(stderr, "decode_fuzz: %s\n", what);
    std::abort();
}

void check(Bytes payload, const decode::Layout &layout)
{
    const auto first = decode::decode_replace(payload, layout);
    if (!first)
        return;
    const std::vector<ir::Counters> counters(first->table.rules.size());
    const auto listing = encode::encode_entries(*first, counters, layout);
    expect(encode::encode_info(*first, layout).size() == sizeof(ipt_getinfo), "size of info");

    const auto header = payload.first(layout.replace_size);
    std::vector<std::byte> again(header.begin(), header.end());
    again.insert(again.end(), listing.begin(), listing.end());
    const auto second = decode::decode_replace(again, layout);
    expect(second.has_value(), "listing refused");
    expect(second->entries == first->entries, "listing of a listing differs");
    for (const auto &rule : first->table.rules)
        expect(second->table.rules[rule.id].text == rule.text, "text differs");
}

} // namespace

// The names are libFuzzer's.
extern "C" int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (*argc == 3 && std::strcmp((*argv)[1], "--seed") == 0) {
        write_seeds((*argv)[2]);
        std::exit(0);
    }
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    for (const auto family : {ir::Family::ipv4, ir::Family::ipv6})
        for (const bool compat : {false, true})
            check(std::as_bytes(std::span(data, size)), **decode::find_layout(family, compat));
    return 0;
}
