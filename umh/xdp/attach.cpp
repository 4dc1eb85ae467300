// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/attach.h"

#include "umh/load/map.h"
#include "umh/load/program.h"
#include "umh/util/deadline.h"
#include "umh/xdp/lead.h"
#include "umh/xdp/visit.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iterator>
#include <linux/if_link.h>
#include <utility>
#include <variant>

namespace bpfilter::xdp {

namespace {

// So long programs are made, before others of the namespace have their turn.
constexpr std::chrono::seconds slice(1);
// With the last of them.
constexpr std::chrono::seconds patience(5);

// How many rules' counters are read in a second, for each device, to tell a flood.
constexpr std::size_t flood_rules_max = 4096;

std::uint32_t flags_of(bpfilter_xdp_mode mode)
{
    return mode == BPFILTER_XDP_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
}

Device device_of(const bpfilter_look_device &seen)
{
    Device device;
    device.index = static_cast<int>(seen.index);
    device.name = std::string(seen.name, strnlen(seen.name, sizeof(seen.name)));
    std::memcpy(device.address.data(), seen.address, device.address.size());
    device.loopback = (seen.flags & BPFILTER_DEVICE_LOOPBACK) != 0;
    return device;
}

std::vector<LocalPrefix> prefixes_of(const std::vector<bpfilter_look_address> &addresses)
{
    std::vector<LocalPrefix> prefixes;
    for (const bpfilter_look_address &address : addresses) {
        LocalPrefix prefix{.address = {}, .length = address.length, .local = address.local != 0};
        std::memcpy(prefix.address.data(), address.address, prefix.address.size());
        prefixes.push_back(prefix);
    }
    std::ranges::sort(prefixes);
    prefixes.erase(std::ranges::unique(prefixes).begin(), prefixes.end());
    return prefixes;
}

// 0: none is known, and no map has it.
std::uint32_t id_of(const UniqueFd &map)
{
    bpf_map_info info{};
    __u32 size = sizeof(info);
    return bpf_obj_get_info_by_fd(map.get(), &info, &size) == 0 ? info.id : 0;
}

Result<std::uint64_t> dropped_by(const std::vector<ir::Rule> &lead, const Source &source)
{
    if (lead.back().id >= flood_rules_max)
        return fail(E2BIG, "too many rules to look at for a flood");
    const auto counters = source.counting.read(lead.back().id + 1);
    if (!counters)
        return std::unexpected(counters.error());
    std::uint64_t sum = 0;
    for (const ir::Rule &rule : lead)
        if (std::holds_alternative<ir::Drop>(rule.verdict))
            sum += (*counters)[rule.id].packets;
    return sum;
}

} // namespace

struct Attachments::Round {
    pipe::Kernel &kernel;
    std::uint64_t request;
    const Source &source;
    bpfilter_xdp_mode mode;
    std::uint32_t rate;
    const pipe::Look *look = nullptr; // as soon as there is one
    Deadline::Clock::time_point until = Deadline::Clock::now() + slice;

    // -1: as it is.
    [[nodiscard]] bpfilter_attach attach(std::uint32_t index) const
    {
        bpfilter_attach attach{};
        attach.id = request;
        attach.generation = look->generation;
        attach.index = index;
        attach.link_fd = -1;
        attach.prog_fd = -1;
        attach.guard_fd = -1;
        return attach;
    }
};

bool Attachments::is_served(const Round &round, const bpfilter_look_device &seen,
                            bpfilter_xdp_mode mode) const
{
    const auto known = attachments_.find(seen.index);
    return seen.mode == static_cast<std::uint32_t>(mode) && known != attachments_.end() &&
           known->second.device == device_of(seen) && known->second.serial == round.source.serial;
}

// By itself only where nobody is harmed.
bool Attachments::can_decide(const Round &round, const bpfilter_look_device &seen)
{
    if (round.look->hidden || seen.unfit != BPFILTER_FIT)
        return false;
    return round.mode != BPFILTER_XDP_AUTO || (seen.flags & BPFILTER_DEVICE_GENTLE) != 0;
}

// And only as long as it is of use.
bpfilter_xdp_mode Attachments::wanted(const Round &round, const bpfilter_look_device &seen,
                                      Lead lead)
{
    if (round.mode != BPFILTER_XDP_AUTO && is_served(round, seen, round.mode))
        return round.mode;
    const std::vector<ir::Rule> special = specialise(lead, device_of(seen).name);
    if (special.empty())
        return BPFILTER_XDP_OFF;
    if (round.mode != BPFILTER_XDP_AUTO)
        return round.mode;
    const auto dropped = dropped_by(special, round.source);
    const bool flooded =
        dropped &&
        floods_[seen.index].look(Flood::Clock::now(), round.source.serial, *dropped, round.rate);
    return flooded ? BPFILTER_XDP_NATIVE : BPFILTER_XDP_OFF;
}

// Those of programs that are attached are there, by their ids; or there are new ones, and no
// program is of use that has the old.
Result<> Attachments::open_shared(const pipe::Look &look)
{
    if (local_)
        return {};
    const bool used = std::ranges::any_of(look.links, [this](const bpfilter_look_link &link) {
        const auto known = attachments_.find(link.index);
        return known != attachments_.end() && known->second.serial != 0;
    });
    if (used) {
        context_.reset(bpf_map_get_fd_by_id(context_id_));
        local_.reset(bpf_map_get_fd_by_id(local_id_));
        if (context_ && local_)
            return {};
    }
    attachments_.clear();
    prefixes_.clear();
    Result<UniqueFd> context = create_context_map(context_size());
    Result<UniqueFd> local = create_local_map();
    if (!context || !local)
        return std::unexpected(context ? local.error() : context.error());
    context_ = std::move(*context);
    local_ = std::move(*local);
    context_id_ = id_of(context_);
    local_id_ = id_of(local_);
    return {};
}

// The addresses, where the programs find them. Guards are clear when they have changed.
Result<> Attachments::fill_shared(const pipe::Look &look)
{
    std::vector<LocalPrefix> prefixes = prefixes_of(look.addresses);
    std::vector<LocalPrefix> gone;
    std::vector<LocalPrefix> come;
    std::ranges::set_difference(prefixes_, prefixes, std::back_inserter(gone));
    std::ranges::set_difference(prefixes, prefixes_, std::back_inserter(come));
    for (const LocalPrefix &prefix : gone)
        if (auto done = unset_local(local_.get(), prefix); !done)
            return done;
    for (const LocalPrefix &prefix : come)
        if (auto done = set_local(local_.get(), prefix); !done)
            return done;
    prefixes_ = std::move(prefixes);
    return {};
}

Result<> Attachments::share(const pipe::Look &look)
{
    Result<> done = open_shared(look);
    if (done)
        done = fill_shared(look);
    if (done)
        return done;
    // Nobody knows what is in it.
    context_.reset();
    local_.reset();
    attachments_.clear();
    return done;
}

Result<> Attachments::make(const Round &round, const Device &device, Lead lead,
                           bpfilter_xdp_mode mode, bool has_link)
{
    const Result<codegen::Program> code = generate(specialise(lead, device.name), device);
    if (!code)
        return std::unexpected(code.error());
    const Result<UniqueFd> guard = create_guard_map();
    if (!guard)
        return std::unexpected(guard.error());
    const Deadline deadline(round.until + patience);
    const Result<UniqueFd> program =
        load_program(*code, ProgramMaps{.context = context_.get(),
                                        .counters = round.source.counters,
                                        .local = local_.get(),
                                        .guard = guard->get()});
    if (!program)
        return std::unexpected(program.error());

    bpfilter_attach attach = round.attach(static_cast<std::uint32_t>(device.index));
    attach.guard_fd = guard->get();
    UniqueFd link;
    if (has_link) {
        attach.prog_fd = program->get();
    } else {
        const Result<UniqueFd> netns = round.kernel.netns(round.request);
        if (!netns)
            return std::unexpected(netns.error());
        const Result<NetnsVisit> visit = NetnsVisit::enter(netns->get());
        if (!visit)
            return std::unexpected(visit.error());
        LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags_of(mode));
        link.reset(bpf_link_create(program->get(), device.index, BPF_XDP, &options));
        if (!link)
            return fail(errno, std::string("cannot attach: ") + std::strerror(errno));
        attach.link_fd = link.get();
    }
    const Result<bool> attached = round.kernel.attach(attach);
    if (!attached)
        return std::unexpected(attached.error());
    attachments_[attach.index] = {device, round.source.serial};
    return {};
}

Result<> Attachments::serve(const Round &round, const bpfilter_look_device &seen, Lead lead,
                            bpfilter_xdp_mode mode)
{
    if (auto shared = share(*round.look); !shared)
        return shared;
    const Device device = device_of(seen);
    bool has_link = seen.mode != BPFILTER_XDP_OFF;
    if (has_link && seen.mode != static_cast<std::uint32_t>(mode)) {
        if (auto gone = round.kernel.detach(round.request, seen.index); !gone)
            return gone;
        has_link = false;
    }
    if (is_served(round, seen, mode)) {
        const Result<bool> set = round.kernel.attach(round.attach(seen.index));
        return set ? Result<>() : std::unexpected(set.error());
    }
    attachments_.erase(seen.index);
    return make(round, device, lead, mode, has_link);
}

// To take a program away costs packets: one that passes everything takes its place.
Result<> Attachments::idle(const Round &round, const bpfilter_look_link &link)
{
    const auto known = attachments_.find(link.index);
    if (known != attachments_.end() && known->second.serial == 0)
        return {};
    const Result<codegen::Program> code = generate_idle();
    if (!code)
        return std::unexpected(code.error());
    const Result<UniqueFd> program = load_program(*code, {});
    if (!program)
        return std::unexpected(program.error());
    bpfilter_attach attach = round.attach(link.index);
    attach.prog_fd = program->get();
    if (const Result<bool> done = round.kernel.attach(attach); !done)
        return std::unexpected(done.error());
    attachments_[link.index] = {{}, 0};
    return {};
}

// A link that nothing is to be dropped by. A device that is down may come up as it was.
void Attachments::settle(const Round &round, const bpfilter_look_link &link, bool may_stay)
{
    const bool fits = link.unfit == BPFILTER_FIT || link.unfit == BPFILTER_UNFIT_DOWN;
    if (may_stay && fits && link.mode == round.mode && idle(round, link))
        return;
    attachments_.erase(link.index);
    // It may be gone, with its device.
    (void)round.kernel.detach(round.request, link.index);
}

std::vector<std::string> Attachments::update(pipe::Kernel &kernel, std::uint64_t request,
                                             const Source &source, bpfilter_xdp_mode mode,
                                             std::uint32_t rate)
{
    if (source.serial != said_for_)
        said_.clear();
    said_for_ = source.serial;
    std::vector<std::string> sentences = bring_in_line(
        Round{.kernel = kernel, .request = request, .source = source, .mode = mode, .rate = rate});
    context_.reset();
    local_.reset();
    std::erase_if(sentences, [this](const auto &s) { return !said_.insert(s).second; });
    return sentences;
}

// The devices that may be served, as many as there is time for: those that have not been tried as
// things are, or `again` those that have.
std::vector<std::string> Attachments::serve_all(const Round &round, Lead lead, bool again,
                                                std::set<std::uint32_t> &served)
{
    std::vector<std::string> sentences;
    for (const bpfilter_look_device &seen : round.look->devices) {
        const std::string name = device_of(seen).name;
        const auto now = Deadline::Clock::now();
        const auto turn = retries_.turn(name, now);
        if (!can_decide(round, seen) || turn.fresh == again)
            continue;
        if (!turn.may || now > round.until) {
            finished_ = finished_ && !turn.fresh;
            if (turn.may)
                served.insert(seen.index); // it stays as it is, with its guard clear
            continue;
        }
        const bpfilter_xdp_mode how = wanted(round, seen, lead);
        if (how == BPFILTER_XDP_OFF) {
            if (round.mode != BPFILTER_XDP_AUTO)
                retries_.rule_out(name);
            continue;
        }
        if (const Result<> done = serve(round, seen, lead, how); done) {
            served.insert(seen.index);
            retries_.forget(name);
        } else {
            retries_.put_off(name, now, Deadline::Clock::now());
            sentences.push_back("xdp: " + name + " is left to netfilter: " + done.error().message);
        }
    }
    return sentences;
}

// Links that nothing is to be dropped by.
void Attachments::settle_all(const Round &round, const std::set<std::uint32_t> &served)
{
    const bool may_stay = !round.look->hidden &&
                          (round.mode == BPFILTER_XDP_NATIVE || round.mode == BPFILTER_XDP_GENERIC);
    for (const bpfilter_look_link &link : round.look->links) {
        if (served.contains(link.index))
            continue;
        if (Deadline::Clock::now() > round.until)
            finished_ = false;
        else
            settle(round, link, may_stay);
    }
}

std::vector<std::string> Attachments::bring_in_line(const Round &asked)
{
    std::vector<std::string> sentences;
    finished_ = true;
    const auto lead = leading_rules(asked.source.table, ir::Hook::local_in);
    std::vector<std::string> names;
    if (asked.mode != BPFILTER_XDP_OFF) {
        names = lead_devices(lead);
        retries_.begin(asked.source.serial, asked.mode);
    }
    if (names.size() > BPFILTER_LINKS_MAX) {
        sentences.emplace_back("xdp: more devices than can have links: some are left to netfilter");
        names.resize(BPFILTER_LINKS_MAX);
    }
    const Result<pipe::Look> look = asked.kernel.look(asked.request, names);
    if (!look) {
        // What goes by: others change or keep what is looked at, or memory is short.
        finished_ = look.error().code != EBUSY && look.error().code != ENOMEM;
        sentences.push_back("xdp: all is left to netfilter: " + look.error().message);
        return sentences;
    }
    if (look->hidden && !names.empty())
        sentences.emplace_back("xdp: all is left to netfilter: something comes before INPUT");
    Round round = asked;
    round.look = &*look;
    std::erase_if(floods_, [&look](const auto &item) {
        return std::ranges::find(look->devices, item.first, &bpfilter_look_device::index) ==
               look->devices.end();
    });

    retries_.see(look->generation);
    std::set<std::uint32_t> served;
    std::ranges::move(serve_all(round, lead, false, served), std::back_inserter(sentences));
    settle_all(round, served);
    std::ranges::move(serve_all(round, lead, true, served), std::back_inserter(sentences));
    std::erase_if(attachments_, [&](const auto &item) {
        return !served.contains(item.first) &&
               std::ranges::find(look->links, item.first, &bpfilter_look_link::index) ==
                   look->links.end();
    });
    return sentences;
}

} // namespace bpfilter::xdp
