// SPDX-License-Identifier: GPL-2.0
//
// The whole helper but for the pipe: requests in, replies out, real maps and programs, and a
// module that only notes what is committed.
#pragma once

#include "tests/unit/support/blob.h"
#include "umh/core/ir/counters.h"
#include "umh/service/service.h"
#include "umh/util/deadline.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace bpfilter::service {

using pipe::Outcome;
using pipe::Request;
using test::Blob;
using test::Rule;

// Keeps what is committed as the module does.
class NotingKernel final : public pipe::Kernel {
public:
    Result<> room(std::uint64_t, std::uint64_t bytes) override
    {
        asked_room.push_back(bytes);
        if (bytes > room_left)
            return fail(ENOMEM);
        return {};
    }

    Result<> commit(const bpfilter_commit &commit) override
    {
        if (refuse != 0)
            return fail(refuse);
        commits.push_back(commit);
        retired = std::move(in_force);
        in_force.clear();
        for (__u32 i = 0; i < commit.kept_count; ++i)
            in_force.emplace_back(dup(commit.kept_fd[i]));
        return {};
    }

    Result<> commit_records(const bpfilter_commit_records &records) override
    {
        if (auto done = commit(records.commit); !done)
            return done;
        this->records.push_back(records);
        return {};
    }

    Result<> check(std::uint64_t, std::span<const bpfilter_check_entry> entries, int error) override
    {
        if (refuse != 0)
            return fail(refuse);
        checks.push_back({{entries.begin(), entries.end()}, error});
        return {};
    }

    Result<std::vector<UniqueFd>> kept(std::uint64_t) override
    {
        until = Deadline::until();
        std::vector<UniqueFd> fds;
        for (const auto &fd : give_retired ? retired : in_force)
            fds.emplace_back(dup(fd.get()));
        return fds;
    }

    Result<UniqueFd> netns(std::uint64_t) override
    {
        return UniqueFd(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    }

    Result<pipe::Look> look(std::uint64_t, std::span<const std::string> devices) override
    {
        looked_for.assign(devices.begin(), devices.end());
        return pipe::Look{};
    }
    Result<bool> attach(const bpfilter_attach &) override { return fail(ENODEV); }
    Result<> detach(std::uint64_t, std::uint32_t) override { return fail(ENODEV); }

    Result<> give(std::uint64_t, std::span<const int> fds) override
    {
        given.clear();
        for (const int fd : fds)
            given.emplace_back(fd < 0 ? -1 : dup(fd));
        return {};
    }

    std::vector<std::string> looked_for;
    std::vector<std::uint64_t> asked_room;
    std::uint64_t room_left = UINT64_MAX;
    int refuse = 0;
    bool give_retired = false;
    std::vector<bpfilter_commit> commits;
    std::vector<bpfilter_commit_records> records;
    struct Check {
        std::vector<bpfilter_check_entry> entries;
        int error = 0;
    };
    std::vector<Check> checks;
    std::vector<UniqueFd> in_force;
    std::vector<UniqueFd> retired;
    std::vector<UniqueFd> given;
    Deadline::Clock::time_point until; // that was in force when `kept` was asked for
};

struct Info {
    char name[32];
    std::uint32_t valid_hooks, hook_entry[5], underflow[5], num_entries, size;
};

// What a table asks of the module, beside what its programs do without.
inline constexpr __u32 asked = BPFILTER_COMMIT_PIN | BPFILTER_COMMIT_WATCH;

// In each form.
class ServiceTest : public ::testing::TestWithParam<bpfilter_form> {
protected:
    void SetUp() override
    {
        if (geteuid() != 0)
            GTEST_SKIP() << "making maps and loading programs needs root";
        bpfilter_init in{};
        in.major = BPFILTER_PIPE_MAJOR;
        in.minor = BPFILTER_PIPE_MINOR;
        in.settings.form = GetParam();
        ASSERT_TRUE(ask(BPFILTER_OP_INIT, pipe::bytes_of(in), 0));
    }

    void TearDown() override
    {
        const std::size_t as_data = GetParam() == BPFILTER_FORM_DATA ? kernel.commits.size() : 0;
        EXPECT_EQ(kernel.records.size(), as_data) << "commits in another form than this";
    }

    Outcome ask(std::uint16_t opcode, std::span<const std::byte> payload, std::uint64_t netns = 1,
                std::uint16_t flags = 0)
    {
        return ask(service, opcode, payload, netns, flags);
    }

    static Outcome ask(Service &service, std::uint16_t opcode, std::span<const std::byte> payload,
                       std::uint64_t netns = 1, std::uint16_t flags = 0, std::uint8_t family = 2)
    {
        Request request;
        request.header.opcode = opcode;
        request.header.netns = netns;
        request.header.family = family;
        request.header.flags = flags;
        request.message = pipe::bytes_of(request.header);
        request.message.insert(request.message.end(), payload.begin(), payload.end());
        return service.handle(request);
    }

    Outcome get_info(const char *table = "filter", std::uint64_t netns = 1)
    {
        bpfilter_table_name name{};
        std::strncpy(name.name, table, sizeof(name.name) - 1);
        return ask(BPFILTER_OP_GET_INFO, pipe::bytes_of(name), netns);
    }

    Info info() { return pipe::payload_as<Info>(get_info().value()).value(); }

    Outcome get_entries(std::uint32_t size) { return get_entries(service, size); }

    static Outcome get_entries(Service &service, std::uint32_t size)
    {
        bpfilter_get_entries in{};
        std::strcpy(in.name, "filter");
        in.size = size;
        return ask(service, BPFILTER_OP_GET_ENTRIES, pipe::bytes_of(in));
    }

    Outcome replace(const Blob &blob)
    {
        return ask(BPFILTER_OP_REPLACE, blob.build(info().num_entries).bytes);
    }

    Outcome add_counters(const std::vector<ir::Counters> &counters)
    {
        std::vector<std::byte> payload(40 + counters.size() * sizeof(ir::Counters));
        std::memcpy(payload.data(), "filter", 6);
        const auto count = static_cast<std::uint32_t>(counters.size());
        std::memcpy(payload.data() + 32, &count, sizeof(count));
        std::memcpy(payload.data() + 40, counters.data(), counters.size() * sizeof(ir::Counters));
        return ask(BPFILTER_OP_ADD_COUNTERS, payload);
    }

    NotingKernel kernel;
    Service service{kernel, 16};
};

inline const auto forms = testing::Values(BPFILTER_FORM_CODE, BPFILTER_FORM_DATA);
inline std::string form_name(const testing::TestParamInfo<bpfilter_form> &info)
{
    return info.param == BPFILTER_FORM_DATA ? "data" : "code";
}

} // namespace bpfilter::service
