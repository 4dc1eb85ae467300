// SPDX-License-Identifier: GPL-2.0
#include "umh/stapctl/process.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bpfilter::stapctl {

namespace fs = std::filesystem;

namespace {

bool parse_number(const std::string &text, int &number)
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
}

std::string name_of(const fs::path &process)
{
    std::string name;
    std::getline(std::ifstream(process / "comm"), name);
    return name;
}

// 'R', 'S', ...; 'X' if there is no such thread any more. The name before it may hold anything.
char state_of(const fs::path &thread)
{
    std::ifstream file(thread / "stat");
    std::string text;
    std::getline(file, text, '\0'); // fails without a word if the thread exits meanwhile
    const std::size_t end = text.rfind(") ");
    return end != std::string::npos && end + 2 < text.size() ? text[end + 2] : 'X';
}

// Processes come and go while they are looked at: what is not there any more is left out.
void add_holders(const fs::path &process, int pid, std::multimap<std::uint64_t, Holder> &holders)
{
    // The descriptors of a main thread that has exited cannot be seen; any other has the same.
    fs::path directory = process / "fd";
    if (!is_living(pid, pid)) {
        const auto threads = living_threads(pid);
        if (threads.empty())
            return;
        directory = process / "task" / std::to_string(threads.front()) / "fd";
    }
    std::error_code gone;
    for (fs::directory_iterator entry(directory, gone), end; entry != end; entry.increment(gone)) {
        const std::string target = fs::read_symlink(entry->path(), gone).string();
        unsigned long inode = 0;
        int fd = 0;
        if (std::sscanf(target.c_str(), "socket:[%lu]", &inode) == 1 && // NOLINT(cert-err34-c)
            parse_number(entry->path().filename().string(), fd))
            holders.emplace(inode, Holder{pid, fd, name_of(process)});
    }
}

// Of a thread, not of a process: PIDFD_THREAD, which the headers do not have yet.
constexpr unsigned pidfd_thread = O_EXCL;

UniqueFd open_process(int pid)
{
    if (is_living(pid, pid))
        return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    const auto threads = living_threads(pid);
    if (threads.empty()) {
        errno = ESRCH;
        return UniqueFd();
    }
    UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, threads.front(), pidfd_thread)));
    if (!fd && errno == EINVAL)
        throw std::runtime_error(fmt::format(
            "the main thread of process {} has exited, and this kernel shows no other's "
            "descriptors (6.9 and later do)",
            pid));
    return fd;
}

} // namespace

std::multimap<std::uint64_t, Holder> socket_holders()
{
    std::multimap<std::uint64_t, Holder> holders;
    std::error_code gone;
    for (fs::directory_iterator entry("/proc", gone), end; entry != end; entry.increment(gone)) {
        int pid = 0;
        if (parse_number(entry->path().filename().string(), pid))
            add_holders(entry->path(), pid, holders);
    }
    return holders;
}

std::uint64_t inode_of(int socket)
{
    struct stat status{};
    if (fstat(socket, &status) < 0)
        throw std::system_error(errno, std::generic_category(), "the socket");
    return status.st_ino;
}

std::vector<pid_t> processes_with(std::uint64_t inode)
{
    const auto holders = socket_holders();
    const auto [first, last] = holders.equal_range(inode);
    std::set<pid_t> processes;
    for (auto holder = first; holder != last; ++holder)
        processes.insert(holder->second.pid);
    processes.erase(getpid());
    return {processes.begin(), processes.end()};
}

std::vector<int> living_threads(int pid)
{
    std::vector<int> threads;
    std::error_code gone;
    for (fs::directory_iterator entry(fmt::format("/proc/{}/task", pid), gone), end; entry != end;
         entry.increment(gone)) {
        int thread = 0;
        if (parse_number(entry->path().filename().string(), thread) && is_living(pid, thread))
            threads.push_back(thread);
    }
    return threads;
}

bool is_living(int pid, int thread)
{
    const char state = state_of(fmt::format("/proc/{}/task/{}", pid, thread));
    return state != 'Z' && state != 'X';
}

UniqueFd borrow(int pid, int fd)
{
    const UniqueFd process = open_process(pid);
    if (!process)
        throw std::system_error(errno, std::generic_category(), fmt::format("process {}", pid));
    UniqueFd ours(static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), fd, 0)));
    if (!ours)
        throw std::system_error(errno, std::generic_category(),
                                fmt::format("descriptor {} of process {}", fd, pid));
    return ours;
}

} // namespace bpfilter::stapctl
