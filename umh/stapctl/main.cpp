// SPDX-License-Identifier: GPL-2.0
//
// stapctl: socket taps from a shell.
#include "umh/stapctl/attach.h"
#include "umh/stapctl/frozen.h"
#include "umh/stapctl/policy_file.h"
#include "umh/stapctl/print.h"
#include "umh/stapctl/process.h"
#include "umh/stapctl/sockets.h"
#include "umh/tap/policy.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

namespace {

using namespace bpfilter::stapctl;

void print(const std::string &text)
{
    std::fputs(text.c_str(), stdout);
}

void list(bool json)
{
    const std::vector<TappedSocket> sockets = tapped_sockets();
    const auto holders = socket_holders();
    if (json)
        return print(as_json(sockets, holders));
    for (const TappedSocket &socket : sockets) {
        std::vector<Holder> its;
        const auto [first, last] = holders.equal_range(socket.inode);
        for (auto holder = first; socket.inode != 0 && holder != last; ++holder)
            its.push_back(holder->second);
        print(as_text(socket, its));
    }
}

struct Target {
    int pid = 0;
    int fd = -1;

    void add_to(CLI::App &command)
    {
        command.add_option("PID", pid, "the process")->required();
        command.add_option("FD", fd, "the number of its descriptor")->required();
    }
};

void show(const Target &target, bool json)
{
    const stap_info info = info_of(borrow(target.pid, target.fd).get());
    print(json ? as_json(info) : as_text(info));
}

void attach(const Target &target, const std::string &policy, const ProgramNames &programs,
            unsigned seconds)
{
    const bool any = std::ranges::any_of(programs, [](const auto &name) { return !name.empty(); });
    if (any == !policy.empty())
        throw std::runtime_error("either a policy file or programs, please");
    const auto socket = borrow(target.pid, target.fd);
    const auto tap = any ? Tap::of_programs(programs) : Tap::of_policy(read_policy(policy));
    const auto inode = inode_of(socket.get());
    const Frozen frozen([&] { return processes_with(inode); }, std::chrono::seconds(seconds));
    tap.attach(socket.get());
}

void check(const std::string &policy)
{
    if (const auto decoded = bpfilter::tap::decode_policy(read_policy(policy)); !decoded)
        throw std::runtime_error(decoded.error().message);
}

} // namespace

int main(int argc, char **argv)
{
    CLI::App app("Socket taps: BPF programs on what a TCP socket sends and receives.");
    app.require_subcommand(1);
    bool json = false;
    Target target;
    std::string policy;
    ProgramNames programs;
    unsigned seconds = 5;

    auto *lister = app.add_subcommand("list", "The tapped sockets of this network namespace.");
    lister->add_flag("--json", json, "for programs");

    auto *shower = app.add_subcommand("show", "What a tapped socket of a process has seen.");
    target.add_to(*shower);
    shower->add_flag("--json", json, "for programs");

    auto *attacher = app.add_subcommand("attach", "Tap a socket of a process, for ever.");
    target.add_to(*attacher);
    attacher->add_option("--policy", policy, "a policy in JSON: programs are made of it");
    const char *const names[] = {"--send-parse", "--send-verdict", "--recv-parse",
                                 "--recv-verdict"};
    for (std::size_t i = 0; i < programs.size(); ++i)
        attacher->add_option(names[i], programs[i], "a program: where it is pinned, or its id");

    attacher
        ->add_option("--limit", seconds,
                     "give up if a thread of who has it cannot be held still for so long, seconds")
        ->capture_default_str();

    auto *checker = app.add_subcommand("check", "Whether a file is a policy.");
    checker->add_option("FILE", policy)->required();

    CLI11_PARSE(app, argc, argv);
    try {
        if (*lister)
            list(json);
        else if (*shower)
            show(target, json);
        else if (*attacher)
            attach(target, policy, programs, seconds);
        else
            check(policy);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "stapctl: %s\n", error.what());
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
