// SPDX-License-Identifier: GPL-2.0
#include "tests/unit/support/bpf.h"

#include "bpfilter/context.h"
#include "umh/codegen/codegen.h"
#include "umh/counters/counters.h"
#include "umh/load/map.h"
#include "umh/load/program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <linux/if_ether.h>
#include <stdexcept>

namespace bpfilter::test {

namespace {

constexpr std::array<std::byte, 6> some_device{std::byte{2}};

template <typename T> T need(Result<T> result)
{
    if (!result)
        throw std::runtime_error(result.error().message);
    return std::move(*result);
}

codegen::Backend make_backend()
{
    codegen::Backend backend = codegen::netfilter;
    backend.name = "test_run";
    backend.l3 = 14;
    return backend;
}

} // namespace

const codegen::Backend test_run = make_backend();

std::string why_no_bpf()
{
    if (create_base_map(1))
        return {};
    return std::string("this process may not use BPF here: ") + std::strerror(errno);
}

TestRun run_program(int program, const PacketBytes &frame, std::uint32_t repeat, std::uint32_t mark)
{
    __sk_buff context{};
    context.mark = mark;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(),
                .data_size_in = static_cast<__u32>(frame.size()),
                .repeat = static_cast<int>(repeat));
    if (mark != 0) { // which no program for XDP takes
        options.ctx_in = &context;
        options.ctx_size_in = sizeof(context);
    }
    if (bpf_prog_test_run_opts(program, &options) < 0)
        throw std::runtime_error(std::string("BPF_PROG_TEST_RUN: ") + std::strerror(errno));
    return TestRun{options.retval, options.duration};
}

LoadedHook::LoadedHook(const ir::Table &table, ir::Hook hook)
    : ether_type_(table.family == ir::Family::ipv6 ? ETH_P_IPV6 : ETH_P_IP),
      rules_(static_cast<std::uint32_t>(table.rules.size())),
      context_size_(need(codegen::context_size(table))),
      context_(need(create_context_map(context_size_))),
      counters_(need(create_counters_map(rules_))), base_(need(create_base_map(rules_)))
{
    const codegen::Program program = need(codegen::generate(table, hook, test_run));
    program_ = need(
        load_program(program, ProgramMaps{.context = context_.get(), .counters = counters_.get()}));
}

PacketBytes LoadedHook::frame(const PacketBytes &packet) const
{
    return ethernet(packet, some_device, ether_type_);
}

// For every CPU: the run may be on any.
void LoadedHook::name_devices(const Devices &devices)
{
    if (named_ == devices)
        return;
    bpfilter_context names{};
    std::strncpy(names.in, devices.in.c_str(), sizeof(names.in) - 1);
    std::strncpy(names.out, devices.out.c_str(), sizeof(names.out) - 1);
    names.link = devices.link;
    names.quirks = devices.quirks;
    names.connection = devices.connection;
    const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
    std::vector<std::byte> values(cpus * context_size_);
    for (std::size_t cpu = 0; cpu < cpus; ++cpu)
        std::memcpy(values.data() + cpu * context_size_, &names, sizeof(names));
    const std::uint32_t zero = 0;
    if (bpf_map_update_elem(context_.get(), &zero, values.data(), BPF_ANY) < 0)
        throw std::runtime_error("cannot name the devices");
    named_ = devices;
}

std::uint32_t LoadedHook::run(const PacketBytes &packet, const Devices &devices)
{
    name_devices(devices);
    return run_program(program_.get(), frame(packet), 1, devices.mark).result;
}

std::uint32_t LoadedHook::time(const PacketBytes &packet, std::uint32_t repeat)
{
    return run_program(program_.get(), frame(packet), repeat).nanoseconds;
}

std::vector<ir::Counters> LoadedHook::counters() const
{
    return need(read_counters(counters_.get(), base_.get(), rules_));
}

} // namespace bpfilter::test
