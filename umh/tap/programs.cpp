// SPDX-License-Identifier: GPL-2.0
#include "umh/tap/programs.h"

#include "umh/load/program.h"
#include "umh/tap/parser.h"
#include "umh/tap/verdict.h"

#include <algorithm>
#include <bpf/bpf.h>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

namespace bpfilter::tap {

namespace {

template <typename T> void append(std::string &key, const T *values, std::size_t count)
{
    key.append(reinterpret_cast<const char *>(values), count * sizeof(T));
}

std::string key_of(const stap_framing &framing)
{
    std::string key = "parse ";
    append(key, &framing, 1);
    return key;
}

std::string key_of(const Direction &direction)
{
    std::string key = "verdict ";
    append(key, &direction.verdict, 1);
    append(key, direction.rules.data(), direction.rules.size());
    return key;
}

// Ids are not used again until all others have been.
Result<std::uint32_t> id_of(int program)
{
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    if (bpf_obj_get_info_by_fd(program, &info, &size) < 0)
        return fail(errno, std::string("no id of a program: ") + std::strerror(errno));
    return info.id;
}

} // namespace

Result<UniqueFd> Programs::find_or_make(const std::string &key, const Maker &maker)
{
    const auto found = ids_.find(key);
    if (found != ids_.end()) {
        if (UniqueFd fd(bpf_prog_get_fd_by_id(found->second)); fd)
            return fd;
        ids_.erase(found);
    }
    const Result<codegen::Program> program = maker();
    if (!program)
        return std::unexpected(program.error());
    Result<UniqueFd> fd = load_program(*program, ProgramMaps{});
    if (!fd)
        return fd;
    const Result<std::uint32_t> id = id_of(fd->get());
    if (!id)
        return std::unexpected(id.error());
    forget_dead();
    ids_[key] = *id;
    return fd;
}

// Rarely, so that it costs nothing: whenever there are twice as many as there were alive.
void Programs::forget_dead()
{
    if (ids_.size() < limit_)
        return;
    std::erase_if(ids_,
                  [](const auto &item) { return !UniqueFd(bpf_prog_get_fd_by_id(item.second)); });
    limit_ = std::max<std::size_t>(64, 2 * ids_.size());
}

Result<> Programs::make_direction(const Direction &direction, UniqueFd &parse, UniqueFd &verdict)
{
    if (direction.framing.kind != STAP_FRAMING_NONE) {
        auto made = find_or_make(key_of(direction.framing),
                                 [&] { return generate_parser(direction.framing); });
        if (!made)
            return fail(std::move(made.error()));
        parse = std::move(*made);
    }
    auto made = find_or_make(key_of(direction), [&] { return generate_verdict(direction); });
    if (!made)
        return fail(std::move(made.error()));
    verdict = std::move(*made);
    return {};
}

Result<ProgramSet> Programs::make(const Policy &policy)
{
    const std::lock_guard lock(mutex_);
    ProgramSet set;
    if (policy.send)
        if (auto made = make_direction(*policy.send, set[0], set[1]); !made)
            return fail(std::move(made.error()));
    if (policy.recv)
        if (auto made = make_direction(*policy.recv, set[2], set[3]); !made)
            return fail(std::move(made.error()));
    return set;
}

} // namespace bpfilter::tap
