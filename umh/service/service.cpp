// SPDX-License-Identifier: GPL-2.0
#include "umh/service/service.h"

#include "umh/load/limit.h"
#include "umh/tap/policy.h"
#include "umh/util/deadline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <span>
#include <tuple>

namespace bpfilter::service {

using pipe::Outcome;
using pipe::Request;

// One row per opcode: answered by the service, or by the namespace the request is about.
struct Service::Row {
    bpfilter_opcode opcode;
    const char *name;
    Outcome (Service::*service)(const Request &);
    Outcome (Namespace::*netns)(Request &);
};

const Service::Row Service::rows[] = {
    {BPFILTER_OP_INIT, "INIT", &Service::init, nullptr},
    {BPFILTER_OP_SETTINGS, "SETTINGS", &Service::change_settings, nullptr},
    {BPFILTER_OP_GET_INFO, "GET_INFO", nullptr, &Namespace::get_info},
    {BPFILTER_OP_GET_ENTRIES, "GET_ENTRIES", nullptr, &Namespace::get_entries},
    {BPFILTER_OP_REPLACE, "REPLACE", nullptr, &Namespace::replace},
    {BPFILTER_OP_OLD_COUNTERS, "OLD_COUNTERS", nullptr, &Namespace::old_counters},
    {BPFILTER_OP_ADD_COUNTERS, "ADD_COUNTERS", nullptr, &Namespace::add_counters},
    {BPFILTER_OP_REPLAY, "REPLAY", nullptr, &Namespace::replay},
    {BPFILTER_OP_NETNS_GONE, "NETNS_GONE", &Service::netns_gone, nullptr},
    {BPFILTER_OP_DEVICES, "DEVICES", nullptr, &Namespace::devices},
    {BPFILTER_OP_TAP, "TAP", &Service::tap, nullptr},
};

// From now on. Half of the time that the module gives for all of the request, and that its caller
// has patience for: if that is not enough it is the caller's loss, and nobody else's. A table that
// is in force already must not be unknown to the helper: there the module's patience counts.
static Deadline::Clock::time_point end_of_work(const Request &request)
{
    if (request.header.opcode == BPFILTER_OP_REPLAY)
        return Deadline::Clock::time_point::max();
    const auto seconds = request.header.seconds != 0 ? request.header.seconds : 60;
    return Deadline::Clock::now() + std::chrono::milliseconds(seconds * 500UL);
}

Outcome Service::handle(Request &request)
{
    const Deadline deadline(end_of_work(request));
    const auto row = std::ranges::find(rows, request.header.opcode,
                                       [](const Row &r) { return unsigned(r.opcode); });
    if (row == std::end(rows))
        return fail(EINVAL, fmt::format("opcode {} is not known", request.header.opcode));
    if (!row->service && request.header.netns == 0)
        return fail(EINVAL, fmt::format("{} without a namespace", row->name));
    try {
        return carry_out(*row, request);
    } catch (const TimeIsUp &up) {
        return fail(ENOMEM, fmt::format("{}: {}", row->name, up.what()));
    }
}

Outcome Service::carry_out(const Row &row, Request &request)
{
    const LoadsForUser whose((request.header.flags & BPFILTER_REQUEST_USER) != 0);
    if (row.service)
        return (this->*row.service)(request);
    const auto netns = find_namespace(request.header.netns);
    return ((*netns).*row.netns)(request);
}

std::shared_ptr<Namespace> Service::find_namespace(std::uint64_t netns)
{
    const std::lock_guard lock(mutex_);
    auto &slot = namespaces_[netns];
    if (!slot)
        slot = std::make_shared<Namespace>(kernel_, settings_, arenas_);
    return slot;
}

// Of an older module it is shorter, and what is not there is 0.
static Result<bpfilter_init> read_init(std::span<const std::byte> payload)
{
    std::array<std::byte, sizeof(bpfilter_init)> whole{};
    if (payload.size() < offsetof(bpfilter_init, lax))
        return fail(EPROTO, "an INIT that is too short");
    std::ranges::copy(payload.first(std::min(payload.size(), whole.size())), whole.begin());
    return pipe::payload_as<bpfilter_init>(whole);
}

Outcome Service::init(const Request &request)
{
    const auto in = read_init(request.payload());
    if (!in)
        return fail(in.error());
    if (in->major != BPFILTER_PIPE_MAJOR)
        return fail(EPROTO, fmt::format("the module speaks version {} of the pipe, the helper {}",
                                        in->major, BPFILTER_PIPE_MAJOR));
    take(in->settings);
    settings_.lax = in->lax;
    bpfilter_init out{};
    out.major = BPFILTER_PIPE_MAJOR;
    out.minor = std::min<__u32>(in->minor, BPFILTER_PIPE_MINOR);
    out.threads = threads_;
    return pipe::bytes_of(out);
}

Outcome Service::change_settings(const Request &request)
{
    const auto in = pipe::payload_as<bpfilter_settings>(request.payload());
    if (!in)
        return fail(in.error());
    take(*in);
    return pipe::Buffer();
}

void Service::take(const bpfilter_settings &settings)
{
    settings_.xdp = static_cast<bpfilter_xdp_mode>(settings.xdp);
    settings_.rate = settings.rate;
    settings_.form = static_cast<bpfilter_form>(settings.form);
}

Outcome Service::netns_gone(const Request &request)
{
    decltype(namespaces_)::node_type gone;
    {
        const std::lock_guard lock(mutex_);
        gone = namespaces_.extract(request.header.netns);
    }
    // Large tables take their time to go, and others wait for the mutex.
    gone = {};
    arenas_.tidy();
    return pipe::Buffer();
}

Outcome Service::tap(const Request &request)
{
    const auto policy = tap::decode_policy(request.payload());
    if (!policy)
        return fail(policy.error());
    const auto programs = tap_programs_.make(*policy);
    if (!programs)
        return fail(programs.error());
    std::array<int, std::tuple_size_v<tap::ProgramSet>> fds{};
    std::ranges::transform(*programs, fds.begin(), [](const UniqueFd &fd) { return fd.get(); });
    if (const auto given = kernel_.give(request.header.id, fds); !given)
        return fail(given.error());
    return pipe::Buffer();
}

} // namespace bpfilter::service
