// SPDX-License-Identifier: GPL-2.0
#include "umh/util/log.h"

#include "umh/util/fd.h"

#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include <fcntl.h>

namespace bpfilter {

namespace {

// printk's levels, which /dev/kmsg takes as a prefix.
int kernel_level(spdlog::level::level_enum level)
{
    switch (level) {
    case spdlog::level::critical:
    case spdlog::level::err:
        return 3;
    case spdlog::level::warn:
        return 4;
    case spdlog::level::info:
        return 6;
    default:
        return 7;
    }
}

// Names of devices may have anything in them, and who reads the log may be a terminal.
std::string printable(std::string_view text)
{
    std::string line(text);
    std::ranges::replace_if(line, [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
    return line;
}

class KernelSink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    KernelSink() : kmsg_(open("/dev/kmsg", O_WRONLY | O_CLOEXEC)) {}

protected:
    void sink_it_(const spdlog::details::log_msg &message) override
    {
        const std::string_view text(message.payload.data(), message.payload.size());
        const auto line =
            fmt::format("<{}>bpfilter_umh: {}\n", kernel_level(message.level), printable(text));
        if (kmsg_)
            (void)!::write(kmsg_.get(), line.data(), line.size());
    }

    void flush_() override {}

private:
    UniqueFd kmsg_;
};

} // namespace

void log_to_kernel()
{
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("bpfilter_umh", std::make_shared<KernelSink>()));
}

} // namespace bpfilter
