// SPDX-License-Identifier: GPL-2.0
//
// libFuzzer target: a byte that says which family (bit 1: IPv6) and what the kernel is lax about
// (from bit 2 on), then any bytes as the payload of a SET_REPLACE.
//
// What is accepted must come back the same: the listing, sent again with the header that GET_INFO
// gives, is accepted and is the same table.
//
//     decode_fuzz CORPUS_DIR                 fuzz
//     decode_fuzz --seed CORPUS_DIR          only write the seeds, then stop
//     decode_fuzz -runs=100000 CORPUS_DIR    libFuzzer's own options
//
// make fuzz does the first two.
#include "tests/unit/support/header_rules.h"
#include "umh/core/blob/entry.h"
#include "umh/core/blob/info.h"
#include "umh/core/blob/listing.h"
#include "umh/core/blob/table.h"

#include <bpfilter/pipe.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace bpfilter;

constexpr std::uint8_t ipv6_bit = 2;
constexpr unsigned lax_shift = 2;

std::vector<test::Payload> payloads(ir::Family family)
{
    using test::Blob;
    using test::Rule;
    std::vector<test::Payload> list{Blob(family).build()};

    Blob matches(family);
    const bool ipv4 = family == ir::Family::ipv4;
    const auto icmp = ipv4 ? Rule().icmp({.type = 8}) : Rule().icmp6({.type = 128});
    matches.rule("INPUT", Rule()
                              .source(ipv4 ? "10.0.0.0/8" : "fd00::/8")
                              .in("eth+")
                              .tcp({.dport = {80, 80}})
                              .accept());
    matches.rule("INPUT", Rule().udp({.sport = {1, 2}, .invert = 1}).udp().drop());
    matches.rule("OUTPUT", Rule(icmp).out("lo", true).fragment(true).queue());
    list.push_back(matches.build());

    Blob chains(family);
    chains.chain("c1").chain("c2").policy("FORWARD", test::verdict::drop);
    chains.rule("INPUT", Rule().jump("c1")).rule("INPUT", Rule().go_to("c2")).rule("INPUT", Rule());
    chains.rule("FORWARD", Rule().tcp().jump("c2")).rule("c1", Rule().tcp().jump("c2"));
    chains.rule("c2", Rule().destination(ipv4 ? "1.2.3.4" : "fd00::1").returns());
    list.push_back(chains.build());

    if (!ipv4) {
        Blob unflagged(family);
        for (Rule rule : {Rule().tcp(), Rule().protocol(17, true), Rule().icmp6({.type = 96})}) {
            rule.ip6().flags = 0;
            unflagged.rule("INPUT", rule.accept());
        }
        list.push_back(unflagged.build());

        Blob headers(family);
        for (const Rule &rule : test::header_rules())
            headers.rule("FORWARD", rule);
        list.push_back(headers.build());
    }

    Blob loop(family);
    loop.chain("c1").rule("INPUT", Rule().jump("c1")).rule("c1", Rule().jump("c1"));
    list.push_back(loop.build());
    return list;
}

void write_seed(const std::filesystem::path &path, std::uint8_t layout, Bytes payload)
{
    std::ofstream file(path, std::ios::binary);
    file.put(static_cast<char>(layout));
    file.write(reinterpret_cast<const char *>(payload.data()),
               static_cast<std::streamsize>(payload.size()));
}

void write_seeds(const std::filesystem::path &directory)
{
    std::filesystem::create_directories(directory);
    int number = 0;
    for (const auto family : {ir::Family::ipv4, ir::Family::ipv6}) {
        const std::uint8_t bit = family == ir::Family::ipv6 ? ipv6_bit : 0;
        for (const auto &payload : payloads(family)) {
            const auto name = directory / ("seed" + std::to_string(number++));
            write_seed(name, bit, payload.bytes);
            if (bit != 0)
                write_seed(name.string() + "-lax", bit | BPFILTER_LAX_PROTOCOL << lax_shift,
                           payload.bytes);
        }
    }
}

void expect(bool condition, const char *what)
{
    if (condition)
        return;
    std::fprintf(stderr, "decode_fuzz: %s\n", what);
    std::abort();
}

// What a caller sends who has read the table.
std::vector<std::byte> sent_back(const blob::DecodedTable &table)
{
    const std::vector<ir::Counters> counters(table.offsets.size());
    const auto info = load<ipt_getinfo>(blob::encode_info(table), 0);
    const auto entries = blob::encode_entries(table, counters);
    expect(entries.size() == info.size, "listing is not as long as its info says");

    std::vector<std::byte> payload(table.layout->replace_size);
    store(payload, 0, info.name);
    store(payload, blob::replace_valid_hooks, info.valid_hooks);
    store(payload, blob::replace_num_entries, info.num_entries);
    store(payload, blob::replace_entries_size, info.size);
    store(payload, blob::replace_hook_entry, info.hook_entry);
    store(payload, blob::replace_underflow, info.underflow);
    store(payload, blob::replace_num_counters, info.num_entries);
    payload.insert(payload.end(), entries.begin(), entries.end());
    return payload;
}

void expect_same(const blob::DecodedTable &table)
{
    const auto again = blob::decode_replace(sent_back(table), *table.layout);
    expect(again.has_value(), "listing refused");
    expect(again->entries == table.entries, "entries differ");
    expect(again->hook_entry == table.hook_entry, "hooks differ");
    expect(again->underflow == table.underflow, "underflows differ");
    for (const auto &rule : table.table.rules)
        expect(again->table.rules[rule.id].text == rule.text, "text differs");
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
    if (size == 0)
        return 0;
    const auto family = data[0] & ipv6_bit ? ir::Family::ipv6 : ir::Family::ipv4;
    const std::uint32_t lax = data[0] >> lax_shift;
    const auto layout = blob::find_layout(family, lax);
    if (!layout)
        return 0;
    const auto table = blob::decode_replace(std::as_bytes(std::span(data + 1, size - 1)), **layout);
    if (!table)
        return 0;
    expect_same(*table);
    return 0;
}
