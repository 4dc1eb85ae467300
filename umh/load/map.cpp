// SPDX-License-Identifier: GPL-2.0
#include "umh/load/map.h"

#include "bpfilter/xdp.h"
#include "umh/core/ir/counters.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <cerrno>
#include <cstring>
#include <string>

namespace bpfilter {

namespace {

Result<UniqueFd> create(bpf_map_type type, const char *name, std::uint32_t key_size,
                        std::uint32_t value_size, std::uint32_t entries, std::uint32_t flags = 0)
{
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
    UniqueFd fd(bpf_map_create(type, name, key_size, value_size, entries, &options));
    if (!fd) {
        const int error = errno;
        return fail(error == EPERM ? EPERM : ENOMEM, std::string("cannot create map ") + name +
                                                         " with " + std::to_string(entries) +
                                                         " elements: " + std::strerror(error));
    }
    return fd;
}

} // namespace

Result<std::uint32_t> map_id(int fd)
{
    bpf_map_info info{};
    __u32 size = sizeof(info);
    if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
        return fail(EIO, std::string("cannot learn the number of a map: ") + std::strerror(errno));
    return info.id;
}

Result<UniqueFd> open_map(std::uint32_t id)
{
    UniqueFd fd(bpf_map_get_fd_by_id(id));
    if (!fd) {
        const int error = errno;
        const bool short_of = error == ENOMEM || error == EMFILE || error == ENFILE;
        return fail(short_of ? ENOMEM : EIO,
                    "cannot open map " + std::to_string(id) + ": " + std::strerror(error));
    }
    return fd;
}

Result<UniqueFd> create_context_map(std::uint32_t value_size)
{
    return create(BPF_MAP_TYPE_PERCPU_ARRAY, "bf_context", sizeof(std::uint32_t), value_size, 1);
}

Result<UniqueFd> create_counters_map(std::uint32_t rules)
{
    return create(BPF_MAP_TYPE_PERCPU_ARRAY, "bf_counters", sizeof(std::uint32_t),
                  sizeof(ir::Counters), std::max(rules, 1U));
}

Result<UniqueFd> create_base_map(std::uint32_t rules)
{
    return create(BPF_MAP_TYPE_ARRAY, "bf_base", sizeof(std::uint32_t), sizeof(ir::Counters),
                  std::max(rules, 1U));
}

Result<UniqueFd> create_memory_map(const char *name, std::uint32_t size)
{
    return create(BPF_MAP_TYPE_ARRAY, name, sizeof(std::uint32_t), size, 1, BPF_F_MMAPABLE);
}

namespace {

struct LocalKey {
    std::uint32_t length;
    std::array<std::byte, 4> address;
};

Error cannot_fill()
{
    return Error{ENOMEM, std::string("cannot fill map bf_local: ") + std::strerror(errno)};
}

} // namespace

Result<UniqueFd> create_local_map()
{
    return create(BPF_MAP_TYPE_LPM_TRIE, "bf_local", sizeof(LocalKey), 1, BPFILTER_ADDRESSES_MAX,
                  BPF_F_NO_PREALLOC);
}

Result<> set_local(int map, const LocalPrefix &prefix)
{
    const LocalKey key{prefix.length, prefix.address};
    const std::uint8_t value = prefix.local ? 1 : 0;
    if (bpf_map_update_elem(map, &key, &value, BPF_ANY) < 0)
        return std::unexpected(cannot_fill());
    return {};
}

Result<> unset_local(int map, const LocalPrefix &prefix)
{
    const LocalKey key{prefix.length, prefix.address};
    if (bpf_map_delete_elem(map, &key) < 0 && errno != ENOENT)
        return std::unexpected(cannot_fill());
    return {};
}

Result<UniqueFd> create_guard_map()
{
    return create(BPF_MAP_TYPE_ARRAY, "bf_guard", sizeof(std::uint32_t), sizeof(std::uint64_t), 1);
}

} // namespace bpfilter
