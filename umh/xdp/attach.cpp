// SPDX-License-Identifier: GPL-2.0
#include "umh/xdp/attach.h"

#include "umh/load/program.h"
#include "umh/xdp/lead.h"

#include <algorithm>
#include <atomic>
#include <bpf/bpf.h>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <linux/if_link.h>
#include <set>
#include <utility>

namespace bpfilter::xdp {

namespace {

// Nobody is to wait longer than this for what devices may do for him; the others go without.
constexpr std::chrono::seconds time_for_all(5);
// Of one namespace, and of all: each is a descriptor of the helper.
constexpr std::size_t devices_max = 64;
constexpr std::size_t links_max = 1024;

// What to try, in this order.
std::vector<std::uint32_t> attach_flags(bpfilter_xdp_mode mode)
{
    switch (mode) {
    case BPFILTER_XDP_AUTO:
        return {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE};
    case BPFILTER_XDP_GENERIC:
        return {XDP_FLAGS_SKB_MODE};
    case BPFILTER_XDP_NATIVE:
        return {XDP_FLAGS_DRV_MODE};
    case BPFILTER_XDP_OFF:
        break;
    }
    return {};
}

// The maps that all devices of a namespace share, and their programs.
class Workshop {
public:
    static Result<Workshop> open(const std::vector<LocalPrefix> &prefixes, int counters_fd)
    {
        Result<UniqueFd> context = create_context_map(context_size());
        if (!context)
            return std::unexpected(context.error());
        Result<UniqueFd> local = create_local_map(prefixes);
        if (!local)
            return std::unexpected(local.error());
        return Workshop(std::move(*context), std::move(*local), counters_fd);
    }

    [[nodiscard]] Result<UniqueFd> make(const std::vector<ir::Rule> &lead,
                                        const Device &device) const
    {
        const Result<codegen::Program> program = generate(lead, device);
        if (!program)
            return std::unexpected(program.error());
        return load_program(
            *program,
            ProgramMaps{.context = context_.get(), .counters = counters_, .local = local_.get()},
            deadline_);
    }

    [[nodiscard]] bool is_late() const { return std::chrono::steady_clock::now() >= deadline_; }

private:
    Workshop(UniqueFd context, UniqueFd local, int counters)
        : context_(std::move(context)), local_(std::move(local)), counters_(counters)
    {
    }

    UniqueFd context_;
    UniqueFd local_;
    int counters_;
    LoadDeadline deadline_ = std::chrono::steady_clock::now() + time_for_all;
};

std::string sentence(const std::string &device, const Error &error)
{
    return "xdp: " + device + " is left to netfilter: " + error.message;
}

} // namespace

namespace {

std::atomic<std::size_t> links; // of all namespaces

} // namespace

LinkPlace::LinkPlace() : held_(links.fetch_add(1) < links_max)
{
    if (!held_)
        --links;
}

LinkPlace::~LinkPlace()
{
    if (held_)
        --links;
}

// Attaches, or has the link that is there run the new program.
Result<> Attachments::serve(const Device &device, int program, bpfilter_xdp_mode mode)
{
    const std::vector<std::uint32_t> choices = attach_flags(mode);
    if (const auto found = attachments_.find(device.index); found != attachments_.end()) {
        Attachment &attachment = found->second;
        attachment.device = device.name;
        // A link made under another setting may be the second choice of this one.
        if (attachment.mode == mode &&
            bpf_link_update(attachment.link.get(), program, nullptr) == 0)
            return {};
        attachments_.erase(found);
    }
    LinkPlace place;
    if (!place)
        return fail(EMFILE, "there are as many links as there may be");
    int error = EOPNOTSUPP;
    for (const std::uint32_t flags : choices) {
        LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
        UniqueFd link(bpf_link_create(program, device.index, BPF_XDP, &options));
        if (link) {
            attachments_[device.index] =
                Attachment{std::move(link), std::move(place), device.name, mode};
            return {};
        }
        error = errno;
    }
    return fail(error, std::string("cannot attach: ") + std::strerror(error));
}

std::vector<std::string> Attachments::update(int netns_fd, const ir::Table &table, ir::Hook hook,
                                             bpfilter_xdp_mode mode, int counters_fd)
{
    std::vector<std::string> sentences;
    const std::vector<ir::Rule> lead = find_lead(table, hook);
    const std::vector<std::string> names = lead_devices(lead);
    const auto give_up = [&](const Error &error) {
        clear();
        sentences.push_back("xdp: all is left to netfilter: " + error.message);
        return sentences;
    };
    if (mode == BPFILTER_XDP_OFF || names.empty()) {
        clear();
        return sentences;
    }

    const Result<NetnsVisit> visit = NetnsVisit::enter(netns_fd);
    if (!visit)
        return give_up(visit.error());
    const Result<Surroundings> around = look_around();
    if (!around)
        return give_up(around.error());
    const Result<Workshop> workshop = Workshop::open(around->prefixes, counters_fd);
    if (!workshop)
        return give_up(workshop.error());

    std::set<int> served;
    for (const Device &device : around->devices) {
        if (!std::ranges::binary_search(names, device.name))
            continue;
        if (served.size() == devices_max || workshop->is_late()) {
            sentences.emplace_back(
                "xdp: some devices are left to netfilter: it would take too much");
            break;
        }
        const std::vector<ir::Rule> special = specialise(lead, device.name);
        if (special.empty())
            continue;
        const Result<UniqueFd> program = workshop->make(special, device);
        const Result<> done = program ? serve(device, program->get(), mode)
                                      : Result<>(std::unexpected(program.error()));
        if (done)
            served.insert(device.index);
        else
            sentences.push_back(sentence(device.name, done.error()));
    }
    std::erase_if(attachments_, [&](const auto &item) { return !served.contains(item.first); });
    return sentences;
}

void Attachments::clear()
{
    attachments_.clear();
}

std::vector<std::string> Attachments::devices() const
{
    std::vector<std::string> names;
    names.reserve(attachments_.size());
    for (const auto &[index, attachment] : attachments_)
        names.push_back(attachment.device);
    return names;
}

} // namespace bpfilter::xdp
