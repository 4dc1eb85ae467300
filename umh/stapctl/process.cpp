// SPDX-License-Identifier: GPL-2.0
#include "umh/stapctl/process.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>

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

// Processes come and go while they are looked at: what is not there any more is left out.
void add_holders(const fs::path &process, int pid, std::multimap<std::uint64_t, Holder> &holders)
{
    std::error_code gone;
    for (fs::directory_iterator entry(process / "fd", gone), end; entry != end;
         entry.increment(gone)) {
        const std::string target = fs::read_symlink(entry->path(), gone).string();
        unsigned long inode = 0;
        int fd = 0;
        if (std::sscanf(target.c_str(), "socket:[%lu]", &inode) == 1 && // NOLINT(cert-err34-c)
            parse_number(entry->path().filename().string(), fd))
            holders.emplace(inode, Holder{pid, fd, name_of(process)});
    }
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

UniqueFd borrow(int pid, int fd)
{
    const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!process)
        throw std::system_error(errno, std::generic_category(), fmt::format("process {}", pid));
    UniqueFd ours(static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), fd, 0)));
    if (!ours)
        throw std::system_error(errno, std::generic_category(),
                                fmt::format("descriptor {} of process {}", fd, pid));
    return ours;
}

} // namespace bpfilter::stapctl
