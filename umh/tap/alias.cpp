// SPDX-License-Identifier: GPL-2.0
#include "umh/tap/alias.h"

#include "umh/codegen/assembler.h"
#include "umh/load/program.h"
#include "umh/tap/loadable.h"

#include <bpf/bpf.h>
#include <spdlog/spdlog.h>
#include <stap.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <mntent.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace bpfilter::tap {

namespace {

using namespace codegen; // NOLINT(google-build-using-namespace): its instructions, all over

// The number that SO_ULP had in the RFC.
constexpr std::uint32_t rfc_so_ulp = 60;

// The answer of getsockopt(), and what else lies in the program's stack.
constexpr std::int32_t name_size = sizeof(ulp_config);
constexpr std::int32_t answer_size = name_size + sizeof(stap_info);
constexpr std::int32_t place_socket = 8;
constexpr std::int32_t place_word = 16;
constexpr std::int32_t place_answer = place_word + answer_size;

void load_context(Assembler &code, Register to, std::size_t field)
{
    code.emit(load(BPF_W, to, r6, field));
}

// r6 = the context, r2 = the option, if it is one of SOL_SOCKET.
void load_option(Assembler &code, Label other)
{
    code.emit(move(r6, r1));
    load_context(code, r2, offsetof(bpf_sockopt, level));
    code.jump_if(BPF_JNE, r2, SOL_SOCKET, other);
    load_context(code, r2, offsetof(bpf_sockopt, optname));
}

void allow(Assembler &code, Label label)
{
    code.bind(label);
    code.emit(move(r0, 1));
    code.emit(exit_insn());
}

// r3 = the socket, if it is one of TCP. Clobbers r2.
void load_tcp_socket(Assembler &code, Label other)
{
    code.emit(load(BPF_DW, r3, r6, offsetof(bpf_sockopt, sk)));
    code.emit(load(BPF_W, r2, r3, offsetof(bpf_sock, type)));
    code.jump_if(BPF_JNE, r2, SOCK_STREAM, other);
    code.emit(load(BPF_W, r2, r3, offsetof(bpf_sock, protocol)));
    code.jump_if(BPF_JNE, r2, IPPROTO_TCP, other);
}

// 60 is SO_ZEROCOPY's, whose value is an int, 0 or 1; a name begins with neither.
void write_rfc_check(Assembler &code, Label other)
{
    load_context(code, r3, offsetof(bpf_sockopt, optlen));
    code.jump_if32(BPF_JSLT, r3, name_size, other);
    code.emit(load(BPF_DW, r3, r6, offsetof(bpf_sockopt, optval)));
    code.emit(load(BPF_DW, r4, r6, offsetof(bpf_sockopt, optval_end)));
    code.emit(move(r5, r3));
    code.emit(alu(BPF_ADD, r5, sizeof(int)));
    code.jump_if(BPF_JGT, r5, r4, other);
    code.emit(load(BPF_W, r3, r3, 0));
    code.jump_if(BPF_JLE, r3, 1, other);
}

void write_rewrite(Assembler &code)
{
    const auto set = [&](std::size_t field, std::uint32_t value) {
        code.emit(move32(r2, value));
        code.emit(store(BPF_W, r6, static_cast<std::int32_t>(field), r2));
    };
    set(offsetof(bpf_sockopt, level), SOL_IP);
    set(offsetof(bpf_sockopt, optname), STAP_SO_ULP);
    // The value is the caller's own, not what the program was shown of it.
    set(offsetof(bpf_sockopt, optlen), 0);
}

Result<Program> finish(Assembler code, const char *name, bpf_attach_type attach)
{
    Result<Program> program =
        loadable(std::move(code).finish(), {name, BPF_PROG_TYPE_CGROUP_SOCKOPT, "SO_ULP"});
    if (program)
        program->attach = attach;
    return program;
}

// Puts so many bytes of the kernel's memory at r10 - place: those at r1 + offset. Clobbers.
void read_kernel(Assembler &code, Register base, std::uint32_t offset, std::int32_t place,
                 std::int32_t size, Label failed)
{
    code.emit(move(r3, base));
    code.emit(alu(BPF_ADD, r3, static_cast<std::int32_t>(offset)));
    code.emit(move(r1, r10));
    code.emit(alu(BPF_ADD, r1, -place));
    code.emit(move(r2, size));
    code.emit(call_helper(BPF_FUNC_probe_read_kernel));
    code.jump_if(BPF_JNE, r0, 0, failed);
}

// to = the pointer at base + offset.
void read_pointer(Assembler &code, Register to, Register base, std::uint32_t offset, Label failed)
{
    read_kernel(code, base, offset, place_word, sizeof(void *), failed);
    code.emit(insn(BPF_LDX | BPF_MEM | BPF_DW, to, r10, -place_word, 0));
}

// r7 = the socket's address as a number, which a pointer of the verifier's is not.
void write_address(Assembler &code, Label failed)
{
    code.emit(store(BPF_DW, r10, -place_socket, r3));
    code.emit(move(r3, r10));
    read_pointer(code, r7, r3, static_cast<std::uint32_t>(-place_socket), failed);
}

void write_direction(Assembler &code, const bpfilter_so_ulp &places, std::size_t direction,
                     Label failed)
{
    const auto to = static_cast<std::int32_t>(place_answer - name_size -
                                              direction * sizeof(stap_direction_info));
    const std::size_t ids[] = {offsetof(stap_direction_info, parse_id),
                               offsetof(stap_direction_info, verdict_id)};
    for (std::size_t i = 0; i < 2; ++i) {
        const Label none = code.label();
        read_pointer(code, r9, r8, places.direction[direction] + places.program[i], failed);
        code.jump_if(BPF_JEQ, r9, 0, none);
        read_pointer(code, r9, r9, places.program_aux, failed);
        read_kernel(code, r9, places.program_id, to - static_cast<std::int32_t>(ids[i]),
                    sizeof(__u32), failed);
        code.bind(none);
    }
    read_kernel(code, r8, places.direction[direction] + places.counts,
                to - static_cast<std::int32_t>(offsetof(stap_direction_info, messages)),
                3 * sizeof(__u64), failed);
}

// The name, and what is attached if it is ours; r7 = the length of that.
void write_answer(Assembler &code, const bpfilter_so_ulp &places, Label failed)
{
    const Label only_name = code.label();
    const Label done = code.label();
    __u64 stap = 0;
    std::memcpy(&stap, "stap", 4);

    for (std::int32_t i = 0; i < answer_size; i += 8)
        code.emit(store(BPF_DW, r10, i - place_answer, 0));
    write_address(code, failed);
    read_pointer(code, r8, r7, places.ulp_ops, failed);
    code.jump_if(BPF_JEQ, r8, 0, only_name);
    read_kernel(code, r8, places.ulp_name, place_answer, name_size, failed);
    code.emit(insn(BPF_LDX | BPF_MEM | BPF_DW, r1, r10, -place_answer, 0));
    code.load_number(r2, stap);
    code.jump_if(BPF_JNE, r1, r2, only_name);
    read_pointer(code, r8, r7, places.ulp_data, failed);
    code.jump_if(BPF_JEQ, r8, 0, only_name);
    write_direction(code, places, 0, failed);
    write_direction(code, places, 1, failed);
    code.emit(move(r7, answer_size));
    code.jump(done);
    code.bind(only_name);
    code.emit(move(r7, name_size));
    code.bind(done);
}

// As much of it as there is room for, in words; r8 = how much that is.
void write_copy(Assembler &code)
{
    const Label fits = code.label();
    const Label full = code.label();
    load_context(code, r1, offsetof(bpf_sockopt, optlen));
    code.jump_if(BPF_JGE, r1, r7, fits);
    code.emit(move(r7, r1));
    code.bind(fits);
    code.emit(load(BPF_DW, r2, r6, offsetof(bpf_sockopt, optval)));
    code.emit(load(BPF_DW, r3, r6, offsetof(bpf_sockopt, optval_end)));
    code.emit(move(r8, 0));
    for (std::int32_t i = 0; i < answer_size; i += 8) {
        code.jump_if(BPF_JLT, r7, i + 8, full);
        code.emit(move(r4, r2));
        code.emit(alu(BPF_ADD, r4, i + 8));
        code.jump_if(BPF_JGT, r4, r3, full);
        code.emit(insn(BPF_LDX | BPF_MEM | BPF_DW, r1, r10, i - place_answer, 0));
        code.emit(store(BPF_DW, r2, i, r1));
        code.emit(move(r8, i + 8));
    }
    code.bind(full);
}

// Where the root of the control groups is mounted, if it is. To mount it once more would set
// the options of all of its mounts anew.
UniqueFd mounted_root()
{
    const std::unique_ptr<FILE, int (*)(FILE *)> mounts(setmntent("/proc/self/mounts", "re"),
                                                        endmntent);
    const mntent *entry = nullptr;
    while (mounts && (entry = getmntent(mounts.get())) != nullptr) {
        if (std::string_view(entry->mnt_type) != "cgroup2")
            continue;
        UniqueFd fd(open(entry->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        struct stat status{};
        constexpr ino_t root = 1; // of kernfs
        if (fd && fstat(fd.get(), &status) == 0 && status.st_ino == root)
            return fd;
    }
    return UniqueFd();
}

// Nobody uses them: a mount of our own, which is nowhere in the file system.
UniqueFd unmounted_root()
{
    const UniqueFd context(fsopen("cgroup2", FSOPEN_CLOEXEC));
    if (!context || fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
        return UniqueFd();
    return UniqueFd(fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
}

Result<UniqueFd> attach(Result<Program> program, int cgroup)
{
    if (!program)
        return fail(std::move(program.error()));
    const Result<UniqueFd> loaded = load_program(*program, ProgramMaps{});
    if (!loaded)
        return std::unexpected(loaded.error());
    UniqueFd link(bpf_link_create(loaded->get(), cgroup, program->attach, nullptr));
    if (!link)
        return fail(errno, std::string("cannot attach ") + program->name +
                               " to the root of the control groups: " + std::strerror(errno));
    return link;
}

} // namespace

Result<Program> generate_set_alias()
{
    Assembler code;
    const Label other = code.label();
    const Label ours = code.label();
    code.function(code.label(), Function{.name = "stap_set"});
    load_option(code, other);
    code.jump_if(BPF_JEQ, r2, STAP_SO_ULP, ours);
    code.jump_if(BPF_JNE, r2, rfc_so_ulp, other);
    write_rfc_check(code, other);
    code.bind(ours);
    load_tcp_socket(code, other);
    write_rewrite(code);
    allow(code, other);
    return finish(std::move(code), "stap_set", BPF_CGROUP_SETSOCKOPT);
}

Result<Program> generate_get_alias(const bpfilter_so_ulp &places)
{
    Assembler code;
    const Label other = code.label();
    code.function(code.label(), Function{.name = "stap_get"});
    load_option(code, other);
    code.jump_if(BPF_JNE, r2, STAP_SO_ULP, other);
    load_context(code, r2, offsetof(bpf_sockopt, retval));
    code.jump_if32(BPF_JNE, r2, static_cast<std::uint32_t>(-ENOPROTOOPT), other);
    load_tcp_socket(code, other);
    write_answer(code, places, other);
    write_copy(code);
    code.emit(store(BPF_W, r6, offsetof(bpf_sockopt, optlen), r8));
    code.emit(move(r2, 0));
    code.emit(store(BPF_W, r6, offsetof(bpf_sockopt, retval), r2));
    allow(code, other);
    return finish(std::move(code), "stap_get", BPF_CGROUP_GETSOCKOPT);
}

Result<Alias> attach_alias(const bpfilter_so_ulp &places)
{
    UniqueFd cgroup = mounted_root();
    if (!cgroup)
        cgroup = unmounted_root();
    if (!cgroup)
        return fail(errno, std::string("no root of the control groups: ") + std::strerror(errno));
    Result<UniqueFd> set = attach(generate_set_alias(), cgroup.get());
    if (!set)
        return fail(std::move(set.error()));
    Result<UniqueFd> get = attach(generate_get_alias(places), cgroup.get());
    if (!get)
        spdlog::warn("getsockopt() does not know SO_ULP: {}", get.error().message);
    return Alias{std::move(*set), get ? std::move(*get) : UniqueFd()};
}

} // namespace bpfilter::tap
