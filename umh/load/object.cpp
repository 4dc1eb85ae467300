// SPDX-License-Identifier: GPL-2.0
#include "umh/load/object.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <cerrno>
#include <cstring>
#include <vector>

namespace bpfilter {

namespace {

constexpr std::size_t log_size = 1 << 16;
constexpr std::size_t log_shown = 160; // bytes of it that go into a message

std::vector<bpf_insn> insns_of(const Object &object)
{
    static_assert(sizeof(bpf_insn) == sizeof(std::uint64_t));
    std::vector<bpf_insn> insns(object.insns.size());
    std::memcpy(insns.data(), object.insns.data(), object.insns.size_bytes());
    return insns;
}

Result<std::vector<bpf_insn>> link(const Object &object, std::span<const SymbolValue> values)
{
    std::vector<bpf_insn> insns = insns_of(object);
    for (const Object::Symbol &symbol : object.symbols) {
        const auto value = std::ranges::find(values, symbol.name, &SymbolValue::name);
        if (value == values.end())
            return fail(EINVAL, "nothing is known of " + std::string(symbol.name));
        if (value->kind == SymbolValue::Kind::map)
            insns[symbol.insn].src_reg = BPF_PSEUDO_MAP_VALUE;
        insns[symbol.insn].imm = static_cast<std::int32_t>(value->value);
    }
    return insns;
}

// The last line of the verifier's log that is not statistics.
std::string complaint(const std::vector<char> &log)
{
    std::string text(log.data());
    if (const std::size_t statistics = text.rfind("\nprocessed "); statistics != std::string::npos)
        text.resize(statistics);
    if (text.size() > log_shown)
        text.erase(0, text.size() - log_shown);
    std::ranges::replace(text, '\n', ';');
    return text;
}

bool is_want(int code)
{
    return code == ENOMEM || code == EMFILE || code == ENFILE;
}

Error interrupted(const std::string &name, Interruption why)
{
    return Error{ENOMEM, "to verify " + name + " takes too " +
                             (why == Interruption::time ? "long" : "much memory")};
}

} // namespace

Result<UniqueFd> load_object(const Object &object, const std::string &name,
                             std::span<const SymbolValue> values)
{
    const auto insns = link(object, values);
    if (!insns)
        return std::unexpected(insns.error());
    const LoadWatch watch(insns->size());
    const UniqueFd btf(bpf_btf_load(object.btf.data(), object.btf.size(), nullptr));
    if (!btf) {
        const int code = errno;
        return fail(code == EPERM ? EPERM : (is_want(code) ? ENOMEM : EIO),
                    "cannot load BTF for " + name + ": " + std::strerror(code));
    }
    // EAGAIN is for us: it was interrupted.
    LIBBPF_OPTS(bpf_prog_load_opts, options, .attempts = 1,
                .prog_btf_fd = static_cast<__u32>(btf.get()), .func_info = object.functions.data(),
                .func_info_cnt = static_cast<__u32>(object.functions.size()),
                .func_info_rec_size = sizeof(bpf_func_info), .line_info = object.lines.data(),
                .line_info_cnt = static_cast<__u32>(object.lines.size()),
                .line_info_rec_size = sizeof(bpf_line_info));
    UniqueFd fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name.c_str(), "GPL", insns->data(),
                              insns->size(), &options));
    if (fd)
        return fd;
    if (const int code = errno; code == EPERM || is_want(code))
        return fail(code == EPERM ? EPERM : ENOMEM,
                    "cannot load " + name + ": " + std::strerror(code));
    if (watch.interruption() != Interruption::none)
        return fail(interrupted(name, watch.interruption()));

    constexpr std::uint32_t log_stats = 4;
    std::vector<char> log(log_size);
    options.log_level = log_stats;
    options.log_size = static_cast<__u32>(log.size());
    options.log_buf = log.data();
    fd.reset(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name.c_str(), "GPL", insns->data(),
                           insns->size(), &options));
    if (fd)
        return fd;
    if (watch.interruption() != Interruption::none)
        return fail(interrupted(name, watch.interruption()));
    return fail(EIO, "the verifier refused " + name + ": " + std::strerror(errno) + ": " +
                         complaint(log));
}

} // namespace bpfilter
