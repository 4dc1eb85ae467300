// SPDX-License-Identifier: GPL-2.0
#include "umh/stapctl/attach.h"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
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

bool set_ulp(int socket, std::span<const std::byte> parameters)
{
    const ulp_config config{.ulp_name = "stap"};
    const auto head = std::as_bytes(std::span(&config, 1));
    std::vector<std::byte> value(head.begin(), head.end());
    value.insert(value.end(), parameters.begin(), parameters.end());
    return setsockopt(socket, SOL_IP, STAP_SO_ULP, value.data(),
                      static_cast<socklen_t>(value.size())) == 0;
}

std::vector<std::byte> parameters_of(std::span<const UniqueFd> programs)
{
    const stap_params parameters{.bpf_send_parse_fd = programs[0].get(),
                                 .bpf_send_verdict_fd = programs[1].get(),
                                 .bpf_recv_parse_fd = programs[2].get(),
                                 .bpf_recv_verdict_fd = programs[3].get()};
    const auto bytes = std::as_bytes(std::span(&parameters, 1));
    return {bytes.begin(), bytes.end()};
}

} // namespace

Tap Tap::of_programs(const ProgramNames &names)
{
    Tap tap;
    std::ranges::transform(names, std::back_inserter(tap.programs_), open_program);
    tap.parameters_ = parameters_of(tap.programs_);
    return tap;
}

Tap Tap::of_policy(std::span<const std::byte> policy)
{
    Tap tap;
    tap.parameters_.assign(policy.begin(), policy.end());
    tap.first_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!tap.first_)
        fail_with_errno("a socket");
    if (!set_ulp(tap.first_.get(), policy)) {
        // In the namespace of the socket that is meant it may be another matter.
        if (errno == EPERM)
            return tap;
        fail_with_errno("cannot tap the socket");
    }
    const stap_info info = info_of(tap.first_.get());
    for (const auto id :
         {info.send.parse_id, info.send.verdict_id, info.recv.parse_id, info.recv.verdict_id}) {
        tap.programs_.emplace_back(id != 0 ? bpf_prog_get_fd_by_id(id) : -1);
        if (id != 0 && !tap.programs_.back())
            return tap;
    }
    tap.parameters_ = parameters_of(tap.programs_);
    return tap;
}

void Tap::attach(int socket) const
{
    if (!set_ulp(socket, parameters_))
        fail_with_errno("cannot tap the socket");
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
