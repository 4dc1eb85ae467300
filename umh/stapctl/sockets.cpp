// SPDX-License-Identifier: GPL-2.0
#include "umh/stapctl/sockets.h"

#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <array>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace bpfilter::stapctl {

namespace {

// By the numbers of tcp_states.h, which user space has no header for.
constexpr std::array state_names = {
    "",       "ESTAB",      "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2",  "TIME-WAIT",
    "UNCONN", "CLOSE-WAIT", "LAST-ACK", "LISTEN",   "CLOSING",    "NEW-SYN-RECV"};

void check(int error)
{
    if (error < 0)
        throw std::runtime_error(fmt::format("sock_diag: {}", nl_geterror(error)));
}

std::string endpoint(int family, const __be32 *address, __be16 port)
{
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family, address, text.data(), text.size());
    const std::string_view format = family == AF_INET6 ? "[{}]:{}" : "{}:{}";
    return fmt::format(fmt::runtime(format), text.data(), ntohs(port));
}

// Of a message about a socket with our tap: its numbers.
const stap_info *find_info(nlmsghdr *header)
{
    std::array<nlattr *, INET_DIAG_MAX + 1> attributes{};
    std::array<nlattr *, STAP_DIAG_INFO + 1> nested{};
    if (nlmsg_parse(header, sizeof(inet_diag_msg), attributes.data(), INET_DIAG_MAX, nullptr) < 0 ||
        attributes[INET_DIAG_ULP_INFO] == nullptr ||
        nla_parse_nested(nested.data(), STAP_DIAG_INFO, attributes[INET_DIAG_ULP_INFO], nullptr) <
            0)
        return nullptr;
    const nlattr *name = nested[INET_ULP_INFO_NAME];
    const nlattr *info = nested[STAP_DIAG_INFO];
    if (name == nullptr || info == nullptr || std::string_view(nla_get_string(name)) != "stap" ||
        nla_len(info) < static_cast<int>(sizeof(stap_info)))
        return nullptr;
    return static_cast<const stap_info *>(nla_data(info));
}

int add_socket(nl_msg *message, void *argument)
{
    nlmsghdr *header = nlmsg_hdr(message);
    const stap_info *info = find_info(header);
    if (info == nullptr)
        return NL_OK;
    const auto *about = static_cast<const inet_diag_msg *>(nlmsg_data(header));
    TappedSocket socket;
    socket.state = about->idiag_state < state_names.size() ? state_names[about->idiag_state] : "?";
    socket.local = endpoint(about->idiag_family, about->id.idiag_src, about->id.idiag_sport);
    socket.peer = endpoint(about->idiag_family, about->id.idiag_dst, about->id.idiag_dport);
    socket.inode = about->idiag_inode;
    std::memcpy(&socket.info, info, sizeof(socket.info));
    static_cast<std::vector<TappedSocket> *>(argument)->push_back(std::move(socket));
    return NL_OK;
}

void dump(nl_sock *diag, std::uint8_t family)
{
    inet_diag_req_v2 request{};
    request.sdiag_family = family;
    request.sdiag_protocol = IPPROTO_TCP;
    request.idiag_ext = 1 << (INET_DIAG_INFO - 1);
    request.idiag_states = ~0U;
    check(nl_send_simple(diag, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &request, sizeof(request)));
    check(nl_recvmsgs_default(diag));
}

} // namespace

std::vector<TappedSocket> tapped_sockets()
{
    const std::unique_ptr<nl_sock, void (*)(nl_sock *)> diag(nl_socket_alloc(), nl_socket_free);
    if (!diag)
        throw std::bad_alloc();
    std::vector<TappedSocket> sockets;
    check(nl_connect(diag.get(), NETLINK_SOCK_DIAG));
    check(nl_socket_modify_cb(diag.get(), NL_CB_VALID, NL_CB_CUSTOM, add_socket, &sockets));
    dump(diag.get(), AF_INET);
    dump(diag.get(), AF_INET6);
    return sockets;
}

} // namespace bpfilter::stapctl
