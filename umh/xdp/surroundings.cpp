// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/surroundings.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <linux/netlink.h>
#include <memory>
#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <sched.h>
#include <set>
#include <string_view>

namespace bpfilter::xdp {

namespace {

struct SocketFree {
    void operator()(nl_sock *socket) const { nl_socket_free(socket); }
};
struct CacheFree {
    void operator()(nl_cache *cache) const { nl_cache_free(cache); }
};
using Socket = std::unique_ptr<nl_sock, SocketFree>;
using Cache = std::unique_ptr<nl_cache, CacheFree>;

// A device that has others on it, which get some of its packets without our knowing which.
bool carries_others(std::string_view type)
{
    return type == "vlan" || type == "macvlan" || type == "macvtap" || type == "ipvlan" ||
           type == "ipvtap";
}

template <typename Visit> void each(nl_cache *cache, const Visit &visit)
{
    for (nl_object *object = nl_cache_get_first(cache); object != nullptr;
         object = nl_cache_get_next(object))
        visit(object);
}

rtnl_link *as_link(nl_object *object)
{
    return reinterpret_cast<rtnl_link *>(object); // libnl's way: a link is an object
}

std::vector<Device> devices_of(nl_cache *links)
{
    std::set<int> carriers;
    each(links, [&](nl_object *object) {
        const char *type = rtnl_link_get_type(as_link(object));
        if (type != nullptr && carries_others(type))
            carriers.insert(rtnl_link_get_link(as_link(object)));
    });

    std::vector<Device> devices;
    each(links, [&](nl_object *object) {
        rtnl_link *link = as_link(object);
        const unsigned type = rtnl_link_get_arptype(link);
        const nl_addr *address = rtnl_link_get_addr(link);
        Device device;
        device.index = rtnl_link_get_ifindex(link);
        device.loopback = type == ARPHRD_LOOPBACK;
        if ((type != ARPHRD_ETHER && type != ARPHRD_LOOPBACK) || address == nullptr ||
            nl_addr_get_len(address) != device.address.size() ||
            (rtnl_link_get_flags(link) & IFF_UP) == 0 || rtnl_link_get_master(link) != 0 ||
            carriers.contains(device.index))
            return;
        device.name = rtnl_link_get_name(link);
        std::memcpy(device.address.data(), nl_addr_get_binary_addr(address), device.address.size());
        devices.push_back(std::move(device));
    });
    return devices;
}

// As fib_add_ifaddr makes local routes: the address itself, on loopback all of its prefix.
// Of devices that are up: the routes of others are gone.
std::vector<LocalPrefix> prefixes_of(nl_cache *links, nl_cache *addresses)
{
    std::vector<LocalPrefix> prefixes;
    each(addresses, [&](nl_object *object) {
        auto *entry = reinterpret_cast<rtnl_addr *>(object);
        const nl_addr *address = rtnl_addr_get_local(entry);
        rtnl_link *link = rtnl_link_get(links, rtnl_addr_get_ifindex(entry));
        if (address != nullptr && link != nullptr && nl_addr_get_len(address) == 4 &&
            (rtnl_link_get_flags(link) & IFF_UP) != 0) {
            LocalPrefix prefix;
            std::memcpy(prefix.address.data(), nl_addr_get_binary_addr(address), 4);
            prefixes.push_back(prefix);
            const int length = rtnl_addr_get_prefixlen(entry);
            if ((rtnl_link_get_flags(link) & IFF_LOOPBACK) != 0 && length < 32) {
                prefix.length = static_cast<std::uint32_t>(length);
                for (int bit = length; bit < 32; ++bit)
                    prefix.address[static_cast<std::size_t>(bit / 8)] &=
                        ~static_cast<std::byte>(0x80 >> bit % 8);
                prefixes.push_back(prefix);
            }
        }
        rtnl_link_put(link);
    });
    std::ranges::sort(prefixes);
    prefixes.erase(std::ranges::unique(prefixes).begin(), prefixes.end());
    return prefixes;
}

} // namespace

Result<Surroundings> look_around()
{
    const Socket socket(nl_socket_alloc());
    if (!socket)
        return fail(ENOMEM, "no memory for netlink");
    int error = nl_connect(socket.get(), NETLINK_ROUTE);
    nl_cache *links = nullptr;
    nl_cache *addresses = nullptr;
    if (error >= 0)
        error = rtnl_link_alloc_cache(socket.get(), AF_UNSPEC, &links);
    const Cache links_owner(links);
    if (error >= 0)
        error = rtnl_addr_alloc_cache(socket.get(), &addresses);
    const Cache addresses_owner(addresses);
    if (error < 0)
        return fail(EIO, std::string("cannot list devices and addresses: ") + nl_geterror(error));
    return Surroundings{devices_of(links), prefixes_of(links, addresses)};
}

Result<NetnsVisit> NetnsVisit::enter(int netns_fd)
{
    NetnsVisit visit;
    visit.home_.reset(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (!visit.home_ || setns(netns_fd, CLONE_NEWNET) < 0)
        return fail(EIO, std::string("cannot enter a network namespace: ") + std::strerror(errno));
    visit.away_ = true;
    return visit;
}

NetnsVisit::~NetnsVisit()
{
    // A thread that stays in the wrong namespace would act on the wrong devices.
    if (away_ && setns(home_.get(), CLONE_NEWNET) < 0)
        std::abort();
}

} // namespace bpfilter::xdp
