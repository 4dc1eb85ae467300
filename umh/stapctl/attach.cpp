// SPDX-License-Identifier: GPL-2.0
#include "umh/stapctl/attach.h"

#include "umh/util/fd.h"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <netinet/in.h>
#include <sys/socket.h>

namespace bpfilter::stapctl {

namespace {

[[noreturn]] void fail_with_errno(const std::string &what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

UniqueFd open_program(const std::string &name)
{
    if (name.empty())
        return UniqueFd();
    const bool is_id = std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
    UniqueFd fd(is_id ? bpf_prog_get_fd_by_id(static_cast<__u32>(std::stoul(name)))
                      : bpf_obj_get(name.c_str()));
    if (!fd)
        fail_with_errno(fmt::format("program {}", name));
    return fd;
}

void attach(int socket, std::span<const std::byte> parameters)
{
    const ulp_config config{.ulp_name = "stap"};
    const auto head = std::as_bytes(std::span(&config, 1));
    std::vector<std::byte> value(head.begin(), head.end());
    value.insert(value.end(), parameters.begin(), parameters.end());
    if (setsockopt(socket, SOL_IP, STAP_SO_ULP, value.data(),
                   static_cast<socklen_t>(value.size())) < 0)
        fail_with_errno("cannot tap the socket");
}

} // namespace

void attach_programs(int socket, const ProgramNames &names)
{
    std::array<UniqueFd, 4> programs;
    std::ranges::transform(names, programs.begin(), open_program);
    const stap_params parameters{.bpf_send_parse_fd = programs[0].get(),
                                 .bpf_send_verdict_fd = programs[1].get(),
                                 .bpf_recv_parse_fd = programs[2].get(),
                                 .bpf_recv_verdict_fd = programs[3].get()};
    attach(socket, std::as_bytes(std::span(&parameters, 1)));
}

void attach_policy(int socket, std::span<const std::byte> policy)
{
    attach(socket, policy);
}

stap_info info_of(int socket)
{
    stap_info info{};
    socklen_t size = sizeof(info);
    if (getsockopt(socket, SOL_STAP, STAP_INFO, &info, &size) < 0)
        fail_with_errno("not a tapped socket");
    return info;
}

} // namespace bpfilter::stapctl
