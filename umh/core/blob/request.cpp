// SPDX-License-Identifier: GPL-2.0
#include "umh/core/blob/request.h"

#include <fmt/format.h>

#include <cerrno>
#include <climits>

namespace bpfilter::blob {

namespace {

constexpr std::uint32_t max_counters = INT_MAX / counters_size;

std::string table_name(Bytes payload)
{
    // The last byte is taken for a NUL, whatever it is.
    return std::string(load_string(slice(payload, 0, table_name_size - 1)));
}

} // namespace

Result<Request> read_request(Bytes payload, const Layout &layout)
{
    if (payload.size() < layout.replace_size)
        return fail(EINVAL, fmt::format("request of {} bytes, shorter than its header of {}",
                                        payload.size(), layout.replace_size));

    const auto size = load<std::uint32_t>(payload, replace_entries_size);
    Request request{
        .table = table_name(payload),
        .valid_hooks = load<std::uint32_t>(payload, replace_valid_hooks),
        .num_entries = load<std::uint32_t>(payload, replace_num_entries),
        .num_counters = load<std::uint32_t>(payload, replace_num_counters),
        .hook_entry = load<HookOffsets>(payload, replace_hook_entry),
        .underflow = load<HookOffsets>(payload, replace_underflow),
        .entries = {},
    };
    if (request.num_counters >= max_counters)
        return fail(ENOMEM, fmt::format("too many counters: {}", request.num_counters));
    if (request.num_counters == 0)
        return fail(EINVAL, "request without counters");
    if (payload.size() - layout.replace_size < size)
        return fail(EINVAL, fmt::format("request has {} bytes of entries, not {}",
                                        payload.size() - layout.replace_size, size));
    if (size + layout.table_overhead >= max_table_size)
        return fail(ENOMEM, fmt::format("table too large: {} bytes", size));
    request.entries = slice(payload, layout.replace_size, size);
    return request;
}

} // namespace bpfilter::blob
