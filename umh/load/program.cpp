// SPDX-License-Identifier: GPL-2.0
#include "umh/load/program.h"

#include "umh/load/btf.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace bpfilter {

namespace {

constexpr std::size_t log_size = 1 << 16;
constexpr std::size_t log_shown = 160; // bytes of it that go into a message

int map_fd(const ProgramMaps &maps, codegen::MapSlot slot)
{
    switch (slot) {
    case codegen::MapSlot::context:
        return maps.context;
    case codegen::MapSlot::counters:
        return maps.counters;
    case codegen::MapSlot::local:
        return maps.local;
    case codegen::MapSlot::guard:
        return maps.guard;
    }
    return -1;
}

std::vector<bpf_insn> link(const codegen::Program &program, const ProgramMaps &maps)
{
    std::vector<bpf_insn> insns = program.insns;
    for (const codegen::MapReference &reference : program.maps)
        insns[reference.insn].imm = map_fd(maps, reference.map);
    return insns;
}

// What the verifier says when a program is larger than it will look at.
bool says_too_large(std::string_view log)
{
    return log.contains("BPF program is too large") || log.contains("sequence of") ||
           log.contains("is too complex") || log.contains("too many subprograms");
}

// The last lines, without the statistics behind them, on one line.
std::string log_end(std::string_view log)
{
    const std::size_t statistics = log.rfind("\nprocessed ");
    if (statistics != std::string_view::npos)
        log = log.substr(0, statistics);
    while (log.ends_with('\n'))
        log.remove_suffix(1);
    if (log.size() > log_shown)
        log = log.substr(log.size() - log_shown);
    std::string text(log);
    std::ranges::replace(text, '\n', ';');
    return text;
}

Error interrupted(const codegen::Program &program, Interruption why)
{
    return Error{ENOMEM, "too many rules: to verify " + program.name + ", of " +
                             std::to_string(program.insns.size()) + " instructions, takes too " +
                             (why == Interruption::time ? "long" : "much memory")};
}

Error refused(const codegen::Program &program, int code, std::string_view log)
{
    if (code == EMFILE || code == ENFILE)
        return Error{ENOMEM, "no descriptor is left for " + program.name};
    if (code == E2BIG || code == ENOMEM || says_too_large(log))
        return Error{ENOMEM, "too many rules: " + program.name + " has " +
                                 std::to_string(program.insns.size()) +
                                 " instructions, more than the kernel's verifier takes"};
    if (code == EPERM && log.empty())
        return Error{EPERM, "no permission to load " + program.name};
    return Error{EIO, "the verifier refused " + program.name + ": " + std::strerror(code) + ": " +
                          log_end(log)};
}

} // namespace

Result<UniqueFd> load_program(const codegen::Program &program, const ProgramMaps &maps)
{
    const LoadWatch watch(program.insns.size());
    Result<ProgramBtf> btf = load_btf(program);
    if (!btf)
        return std::unexpected(btf.error());

    const std::vector<bpf_insn> insns = link(program, maps);
    // EAGAIN is for us: it was interrupted.
    LIBBPF_OPTS(bpf_prog_load_opts, options, .attempts = 1, .expected_attach_type = program.attach,
                .prog_btf_fd = static_cast<__u32>(btf->fd.get()), .prog_flags = program.flags,
                .func_info = btf->functions.data(),
                .func_info_cnt = static_cast<__u32>(btf->functions.size()),
                .func_info_rec_size = sizeof(bpf_func_info), .line_info = btf->lines.data(),
                .line_info_cnt = static_cast<__u32>(btf->lines.size()),
                .line_info_rec_size = sizeof(bpf_line_info));
    UniqueFd fd(bpf_prog_load(program.type, program.name.c_str(), "GPL", insns.data(), insns.size(),
                              &options));
    if (fd)
        return fd;
    if (const int code = errno; code == E2BIG || code == ENOMEM || code == EMFILE || code == ENFILE)
        return std::unexpected(refused(program, code, {}));
    if (const Interruption why = watch.interruption(); why != Interruption::none)
        return std::unexpected(interrupted(program, why));

    // Again, for its reasons. With statistics only, the log holds the complaint without the
    // instructions before it, which on 6.1 would not leave room for it.
    constexpr std::uint32_t log_stats = 4;
    std::vector<char> log(log_size);
    options.log_level = log_stats;
    options.log_size = static_cast<__u32>(log.size());
    options.log_buf = log.data();
    fd.reset(bpf_prog_load(program.type, program.name.c_str(), "GPL", insns.data(), insns.size(),
                           &options));
    if (fd)
        return fd;
    const int code = errno;
    if (const Interruption why = watch.interruption(); why != Interruption::none)
        return std::unexpected(interrupted(program, why));
    return std::unexpected(refused(program, code, log.data()));
}

} // namespace bpfilter
