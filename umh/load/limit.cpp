// SPDX-License-Identifier: GPL-2.0
#include "umh/load/limit.h"

#include "umh/util/fd.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bpfilter {

namespace {

constexpr std::chrono::milliseconds period(50);
constexpr int interrupting_signal = SIGUSR2;
// One that is smaller than this is not what memory is short for.
constexpr std::size_t large = 2'000;

thread_local bool for_user = false;

// To do nothing is enough: the call that it comes into ends.
void interrupt(int /*signal*/) {}

void be_interruptible()
{
    struct sigaction action{};
    action.sa_handler = interrupt;
    sigaction(interrupting_signal, &action, nullptr);
}

// A line of /proc/meminfo, in bytes; nothing if it is not there.
std::size_t line_of(std::string_view text, std::string_view name)
{
    const auto at = text.find(name);
    if (at == std::string_view::npos)
        return 0;
    const auto digits = text.find_first_of("0123456789", at);
    std::size_t kib = 0;
    if (digits != std::string_view::npos)
        std::from_chars(text.data() + digits, text.data() + text.size(), kib);
    return kib * 1024;
}

} // namespace

// Takes no memory: there may be none.
bool leaves_memory(std::size_t bytes)
{
    std::array<char, 512> text{}; // what is asked for stands at its beginning
    const UniqueFd file(open("/proc/meminfo", O_RDONLY | O_CLOEXEC));
    const ssize_t size = file ? read(file.get(), text.data(), text.size()) : -1;
    if (size < 0)
        return true;
    const std::string_view beginning(text.data(), static_cast<std::size_t>(size));
    const std::size_t available = line_of(beginning, "MemAvailable:");
    return available == 0 || available >= bytes + memory_reserve(line_of(beginning, "MemTotal:"));
}

// The one who watches, from the first program on.
class LoadWatcher {
public:
    static LoadWatcher &get()
    {
        // Never destroyed: its thread ends with the process.
        static auto *watcher = new LoadWatcher;
        return *watcher;
    }

    void add(LoadWatch *watch)
    {
        const std::lock_guard lock(mutex_);
        sizes_.reserve(watched_.size() + 1); // now, when there may be memory
        watched_.push_back(watch);
        some_.notify_one();
    }

    void remove(LoadWatch *watch)
    {
        const std::lock_guard lock(mutex_);
        std::erase(watched_, watch);
    }

    Interruption interruption(const LoadWatch *watch)
    {
        const std::lock_guard lock(mutex_);
        return watch->interruption_;
    }

private:
    LoadWatcher()
    {
        be_interruptible();
        std::thread([this] { run(); }).detach();
    }

    void run()
    {
        std::unique_lock lock(mutex_);
        for (;;) {
            some_.wait(lock, [this] { return !watched_.empty(); });
            lock.unlock();
            std::this_thread::sleep_for(period);
            const bool is_short = !leaves_memory(0);
            lock.lock();
            look(is_short);
        }
    }

    void look(bool is_short)
    {
        const auto now = Deadline::Clock::now();
        for (LoadWatch *watch : watched_)
            if (watch->interruption_ == Interruption::none && now >= watch->until_)
                watch->interruption_ = Interruption::time;
        const bool gives_back = std::ranges::any_of(watched_, is_interrupted);
        if (is_short && !gives_back)
            give_up_one();
        // Again each time: the first may have come before the call that it is meant for.
        for (const LoadWatch *watch : watched_)
            if (is_interrupted(watch))
                syscall(SYS_tgkill, getpid(), watch->thread_, interrupting_signal);
    }

    void give_up_one()
    {
        sizes_.clear();
        for (const LoadWatch *watch : watched_)
            sizes_.push_back(watch->size_);
        if (const auto one = one_to_give_up(sizes_))
            watched_[*one]->interruption_ = Interruption::memory;
    }

    static bool is_interrupted(const LoadWatch *watch)
    {
        return watch->interruption_ != Interruption::none;
    }

    std::mutex mutex_;
    std::condition_variable some_;
    std::vector<LoadWatch *> watched_;
    std::vector<LoadSize> sizes_; // of these, when it is asked which is to go
};

std::size_t memory_reserve(std::size_t total)
{
    return total / 16;
}

LoadsForUser::LoadsForUser(bool is_user)
{
    for_user = is_user;
}

LoadsForUser::~LoadsForUser()
{
    for_user = false;
}

std::optional<std::size_t> one_to_give_up(std::span<const LoadSize> loads)
{
    std::optional<std::size_t> found;
    for (std::size_t i = 0; i < loads.size(); ++i) {
        if (loads[i].insns < large)
            continue;
        const auto weight = [](const LoadSize &load) {
            return std::pair(load.for_user, load.insns);
        };
        if (!found || weight(loads[i]) > weight(loads[*found]))
            found = i;
    }
    return found;
}

LoadWatch::LoadWatch(std::size_t insns)
    : thread_(static_cast<pid_t>(syscall(SYS_gettid))), size_{insns, for_user}
{
    LoadWatcher::get().add(this);
}

LoadWatch::~LoadWatch()
{
    LoadWatcher::get().remove(this);
}

Interruption LoadWatch::interruption() const
{
    return LoadWatcher::get().interruption(this);
}

} // namespace bpfilter
