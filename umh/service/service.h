// SPDX-License-Identifier: GPL-2.0
//
// Service: every opcode of the pipe, and who answers it.
#pragma once

#include "umh/load/arena.h"
#include "umh/pipe/kernel.h"
#include "umh/pipe/message.h"
#include "umh/service/namespace.h"
#include "umh/service/settings.h"
#include "umh/tap/programs.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace bpfilter::service {

class Service {
public:
    // `threads`: how many requests may come at a time.
    Service(pipe::Kernel &kernel, unsigned threads) : kernel_(kernel), threads_(threads) {}

    // Thread-safe, if requests of one namespace come one after the other.
    pipe::Outcome handle(pipe::Request &request);

private:
    struct Row;
    static const Row rows[];

    pipe::Outcome carry_out(const Row &row, pipe::Request &request);
    pipe::Outcome init(const pipe::Request &request);
    pipe::Outcome change_settings(const pipe::Request &request);
    pipe::Outcome netns_gone(const pipe::Request &request);
    pipe::Outcome tap(const pipe::Request &request);

    void take(const bpfilter_settings &settings);
    std::shared_ptr<Namespace> find_namespace(std::uint64_t netns);

    pipe::Kernel &kernel_;
    unsigned threads_;
    Settings settings_;
    tap::Programs tap_programs_;
    Arenas arenas_;    // which all that is in namespaces_ may be in
    std::mutex mutex_; // of namespaces_ itself, not of what is in it
    std::map<std::uint64_t, std::shared_ptr<Namespace>> namespaces_;
};

} // namespace bpfilter::service
