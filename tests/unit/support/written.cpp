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
#include <linux/if_packet.h>
#include <stdexcept>
#include <string>

namespace bpfilter::test {

namespace {

// Where a frame goes to, for the test run to find this type of it: it is the loopback device that
// has it, whose address is zero, and which has no broadcast.
std::array<std::byte, 6> destination_of(std::uint32_t packet_type)
{
    std::array<std::byte, 6> address{};
    switch (packet_type) {
    case PACKET_HOST:
        break;
    case PACKET_MULTICAST:
        address[0] = std::byte{1};
        break;
    case PACKET_OTHERHOST:
        address[0] = std::byte{2};
        break;
    default:
        throw std::runtime_error("a type that no test run gives a packet");
    }
    return address;
}

template <typename T> T need(Result<T> result)
{
    if (!result)
        throw std::runtime_error(result.error().message);
    return std::move(*result);
}

} // namespace

Written::Written(Arenas &arenas, const ir::Table &table)
    : rules_(table.rules.size()),
      ether_type_(table.family == ir::Family::ipv6 ? ETH_P_IPV6 : ETH_P_IP),
      written_(need(write_table(arenas, table, need(plan_table(table))))),
      elements_(
          need(Mapping::of(arenas.elements(), 0,
                           std::size_t{element_size} * BPFILTER_NESTING * written_.cpus, true)))
{
}

std::span<std::byte> Written::element(std::uint32_t number) const
{
    return elements_.bytes().subspan(std::size_t{element_size} * number, element_size);
}

std::uint32_t Written::run_once(int program, std::uint32_t element, CalledPacket &packet)
{
    const PacketBytes frame =
        ethernet(packet.bytes, destination_of(packet.packet_type), ether_type_);
    __sk_buff context{};
    context.cb[0] = element;
    context.mark = packet.mark;
    __sk_buff behind{};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(),
                .data_size_in = static_cast<__u32>(frame.size()), .ctx_in = &context,
                .ctx_out = &behind, .ctx_size_in = sizeof(context), .ctx_size_out = sizeof(behind),
                .repeat = 1);
    if (bpf_prog_test_run_opts(program, &options) < 0)
        throw std::runtime_error(std::string("BPF_PROG_TEST_RUN: ") + std::strerror(errno));
    mark_ = packet.mark = behind.mark;
    ++runs_;
    return options.retval;
}

std::uint32_t Written::run(ir::Hook hook, const PacketBytes &packet, const ir::Surroundings &around,
                           std::uint32_t cpu, Module *module, std::uint32_t depth)
{
    const WrittenHook &place = written_.hooks.at(static_cast<std::size_t>(hook));
    const std::uint32_t number = cpu * BPFILTER_NESTING + depth;
    auto *context = reinterpret_cast<bpfilter_context *>(element(number).data());
    *context = {};
    std::ranges::copy(around.in, context->in);
    std::ranges::copy(around.out, context->out);
    context->link = around.link;
    context->quirks = around.quirks;
    context->connection = around.connection;
    context->root = place.root;
    CalledPacket called{packet, around.mark, around.packet_type};
    for (unsigned n = 0; n < runs_max; ++n) {
        const std::uint32_t result = run_once(place.program, number, called);
        if (result != BPFILTER_AGAIN && result != BPFILTER_CALL)
            return result;
        if (result == BPFILTER_AGAIN)
            continue;
        if (module == nullptr || context->again == 0)
            throw std::runtime_error("an instance is called that should not be");
        const Module::Answer answer = module->call(context->call, called);
        if (answer.verdict)
            return *answer.verdict;
        context->answer = answer.matches ? 1 : 0;
    }
    return BPFILTER_AGAIN;
}

std::vector<std::uint32_t> Written::key(std::uint32_t cpu, std::uint32_t depth) const
{
    std::vector<std::uint32_t> words(ir::key_words);
    const auto bytes = element(cpu * BPFILTER_NESTING + depth);
    std::memcpy(words.data(), bytes.data() + element_key, words.size() * sizeof(words[0]));
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
