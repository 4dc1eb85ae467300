// SPDX-License-Identifier: GPL-2.0
#include "umh/stapctl/print.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <string_view>

namespace bpfilter::stapctl {

namespace {

using Json = nlohmann::ordered_json;

bool is_tapped(const stap_direction_info &direction)
{
    return direction.parse_id != 0 || direction.verdict_id != 0;
}

std::string program(std::string_view what, __u32 id)
{
    return id != 0 ? fmt::format(" {} {}", what, id) : fmt::format(" no {}", what);
}

std::string as_text(std::string_view name, const stap_direction_info &direction)
{
    if (!is_tapped(direction))
        return fmt::format("    {}: not tapped\n", name);
    return fmt::format("    {}:{},{}, {} messages, {} bytes, {} dropped\n", name,
                       program("parser", direction.parse_id),
                       program("verdict", direction.verdict_id), direction.messages,
                       direction.bytes, direction.dropped);
}

// A process may call itself anything, and a terminal believes escape sequences.
std::string printable(std::string_view name)
{
    std::string text;
    for (const char c : name) {
        if (c >= 0x20 && c < 0x7f && c != '\\')
            text += c;
        else
            text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
    return text;
}

// Strings of JSON are UTF-8: what is not becomes U+FFFD.
std::string dump(const Json &json)
{
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json to_json(const stap_direction_info &direction)
{
    return Json{{"parse_id", direction.parse_id},
                {"verdict_id", direction.verdict_id},
                {"messages", direction.messages},
                {"bytes", direction.bytes},
                {"dropped", direction.dropped}};
}

Json to_json(const stap_info &info)
{
    return Json{{"send", to_json(info.send)}, {"recv", to_json(info.recv)}};
}

} // namespace

std::string as_text(const stap_info &info)
{
    return as_text("send", info.send) + as_text("recv", info.recv);
}

std::string as_text(const TappedSocket &socket, const std::vector<Holder> &holders)
{
    std::string text = fmt::format("{} {} {}", socket.state, socket.local, socket.peer);
    for (const Holder &holder : holders)
        text += fmt::format(" {}({}) fd {}", printable(holder.name), holder.pid, holder.fd);
    return text + "\n" + as_text(socket.info);
}

std::string as_json(const stap_info &info)
{
    return dump(to_json(info));
}

std::string as_json(const std::vector<TappedSocket> &sockets,
                    const std::multimap<std::uint64_t, Holder> &holders)
{
    Json list = Json::array();
    for (const TappedSocket &socket : sockets) {
        Json item{{"state", socket.state},
                  {"local", socket.local},
                  {"peer", socket.peer},
                  {"inode", socket.inode},
                  {"processes", Json::array()}};
        const auto [first, last] = holders.equal_range(socket.inode);
        for (auto holder = first; socket.inode != 0 && holder != last; ++holder)
            item["processes"].push_back({{"pid", holder->second.pid},
                                         {"fd", holder->second.fd},
                                         {"name", holder->second.name}});
        item.update(to_json(socket.info));
        list.push_back(std::move(item));
    }
    return dump(list);
}

} // namespace bpfilter::stapctl
