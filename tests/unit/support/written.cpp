// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/written.h"

#include "bpfilter/context.h"
#include "umh/bpf/element.h"
#include "umh/bpf/record.h"

#include <algorithm>
#include <array>
#include <bpf/bpf.h>
#include <cerrno>
#include <cstring>
#include <linux/if_ether.h>
#include <stdexcept>
#include <string>

namespace bpfilter::test {

namespace {

constexpr std::array<std::byte, 6> some_device{std::byte{2}};

template <typename T> T need(Result<T> result)
{
    if (!result)
        throw std::runtime_error(result.error().message);
    return std::move(*result);
}

std::uint32_t run_once(int program, const PacketBytes &frame, std::uint32_t element)
{
    __sk_buff context{};
    context.cb[0] = element;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(),
                .data_size_in = static_cast<__u32>(frame.size()), .ctx_in = &context,
                .ctx_size_in = sizeof(context), .repeat = 1);
    if (bpf_prog_test_run_opts(program, &options) < 0)
        throw std::runtime_error(std::string("BPF_PROG_TEST_RUN: ") + std::strerror(errno));
    return options.retval;
}

} // namespace

Written::Written(Arenas &arenas, const ir::Table &table)
    : rules_(table.rules.size()),
      ether_type_(table.family == ir::Family::ipv6 ? ETH_P_IPV6 : ETH_P_IP),
      written_(need(write_table(arenas, table))),
      elements_(
          need(Mapping::of(arenas.elements(), 0, std::size_t{element_size} * written_.cpus, true)))
{
}

std::span<std::byte> Written::element(std::uint32_t cpu) const
{
    return elements_.bytes().subspan(std::size_t{element_size} * cpu, element_size);
}

std::uint32_t Written::run(ir::Hook hook, const PacketBytes &packet, const ir::Surroundings &around,
                           std::uint32_t cpu)
{
    const WrittenHook &place = written_.hooks.at(static_cast<std::size_t>(hook));
    bpfilter_context context{};
    std::ranges::copy(around.in, context.in);
    std::ranges::copy(around.out, context.out);
    context.link = around.link;
    context.quirks = around.quirks;
    context.root = place.root;
    std::memcpy(element(cpu).data(), &context, sizeof(context));
    const PacketBytes frame = ethernet(packet, some_device, ether_type_);
    std::uint32_t verdict = BPFILTER_AGAIN;
    for (unsigned n = 0; n < runs_max && verdict == BPFILTER_AGAIN; ++n, ++runs_)
        verdict = run_once(place.program, frame, cpu);
    return verdict;
}

std::vector<std::uint32_t> Written::key(std::uint32_t cpu) const
{
    std::vector<std::uint32_t> words(ir::key_words);
    std::memcpy(words.data(), element(cpu).data() + element_key, words.size() * sizeof(words[0]));
    return words;
}

std::vector<ir::Counters> Written::counters() const
{
    std::vector<ir::Counters> sums(rules_);
    const auto bytes = written_.block.bytes();
    for (std::uint32_t cpu = 0; cpu < written_.cpus; ++cpu) {
        std::vector<ir::Counters> one(rules_);
        std::memcpy(one.data(), bytes.data() + std::size_t{cpu} * written_.counting.stride,
                    rules_ * sizeof(ir::Counters));
        for (std::size_t i = 0; i < rules_; ++i)
            sums[i] += one[i];
    }
    return sums;
}

} // namespace bpfilter::test
