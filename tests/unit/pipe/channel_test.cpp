// SPDX-License-Identifier: GPL-2.0
//
// The channel against a socket pair that keeps message boundaries, as the pipe does.
#include "umh/pipe/channel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include <sys/socket.h>
#include <unistd.h>

namespace {

std::atomic<std::size_t> most_at_a_time = SIZE_MAX; // that can be had

} // namespace

[[gnu::noinline]] void *operator new(std::size_t size)
{
    void *memory = size > most_at_a_time ? nullptr : std::malloc(size);
    if (memory == nullptr)
        throw std::bad_alloc();
    return memory;
}

[[gnu::noinline]] void operator delete(void *memory) noexcept
{
    std::free(memory);
}

[[gnu::noinline]] void operator delete(void *memory, std::size_t /*size*/) noexcept
{
    std::free(memory);
}

namespace bpfilter::pipe {
namespace {

class ChannelTest : public ::testing::Test {
protected:
    void SetUp() override { ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends_), 0); }

    void serve(Channel::Handler handler)
    {
        helper_ = std::thread(
            [this, handler = std::move(handler)] { ended_ = Channel(ends_[1], handler, 3).run(); });
    }

    void send(std::uint64_t id, std::uint64_t netns, std::size_t payload = 0,
              std::uint16_t opcode = BPFILTER_OP_GET_INFO)
    {
        bpfilter_request_header header{};
        header.length = static_cast<__u32>(sizeof(header) + payload);
        header.id = id;
        header.netns = netns;
        header.opcode = opcode;
        header.reply_limit = 1 << 20;
        Buffer message = bytes_of(header);
        message.resize(header.length);
        ASSERT_EQ(write(ends_[0], message.data(), message.size()), ssize_t(message.size()));
    }

    bpfilter_reply_header receive()
    {
        Buffer buffer(1 << 20);
        const auto got = read(ends_[0], buffer.data(), buffer.size());
        EXPECT_GT(got, 0);
        buffer.resize(static_cast<std::size_t>(got));
        return payload_as<bpfilter_reply_header>(buffer).value();
    }

    Result<> finish()
    {
        shutdown(ends_[0], SHUT_WR);
        helper_.join();
        close(ends_[0]);
        return ended_;
    }

    int ends_[2] = {-1, -1};
    std::thread helper_;
    Result<> ended_;
};

TEST_F(ChannelTest, AnswersAndEndsWithThePipe)
{
    serve([](const Request &request) -> Outcome { return Buffer(request.payload().size()); });
    send(1, 5, 100);
    const auto reply = receive();
    EXPECT_EQ(reply.id, 1u);
    EXPECT_EQ(reply.length, sizeof(reply) + 100);
    EXPECT_TRUE(finish());
}

TEST_F(ChannelTest, SurvivesAHandlerThatThrows)
{
    serve([](const Request &request) -> Outcome {
        if (request.header.id == 1)
            throw std::runtime_error("no");
        if (request.header.id == 2)
            throw std::bad_alloc();
        return Buffer();
    });
    send(1, 5);
    EXPECT_EQ(receive().error, -EIO);
    send(2, 5);
    EXPECT_EQ(receive().error, -ENOMEM);
    send(3, 5);
    EXPECT_EQ(receive().error, 0);
    EXPECT_TRUE(finish());
}

// The module refuses the one that there is no memory for, which a socket cannot: it is the end.
TEST_F(ChannelTest, ARequestThatThereIsNoMemoryForIsTheModulesToRefuse)
{
    serve([](const Request &) -> Outcome { return Buffer(); });
    Buffer message(100'000);
    most_at_a_time = 50'000;
    EXPECT_EQ(write(ends_[0], message.data(), message.size()), ssize_t(message.size()));
    helper_.join();
    most_at_a_time = SIZE_MAX;
    EXPECT_EQ(ended_.error().code, ENOTTY);
    close(ends_[0]);
}

TEST_F(ChannelTest, AReplyIsWrittenFromWhereItLies)
{
    serve([](const Request &) -> Outcome {
        Buffer reply(100'000);
        most_at_a_time = 50'000;
        return reply;
    });
    Buffer answer(200'000);
    send(1, 5);
    const auto got = read(ends_[0], answer.data(), answer.size());
    most_at_a_time = SIZE_MAX;
    EXPECT_EQ(got, ssize_t(sizeof(bpfilter_reply_header) + 100'000));
    EXPECT_TRUE(finish());
}

TEST_F(ChannelTest, KeepsTheOrderWithinANamespace)
{
    std::mutex mutex;
    std::map<std::uint64_t, std::vector<std::uint64_t>> order;
    serve([&](const Request &request) -> Outcome {
        const std::lock_guard lock(mutex);
        order[request.header.netns].push_back(request.header.id);
        return Buffer();
    });
    constexpr std::uint64_t requests = 90;
    for (std::uint64_t id = 1; id <= requests; ++id)
        send(id, 1 + id % 3);
    for (std::uint64_t id = 1; id <= requests; ++id)
        receive();
    EXPECT_TRUE(finish());
    EXPECT_EQ(order.size(), 3u);
    for (const auto &[netns, ids] : order) {
        EXPECT_EQ(ids.size(), requests / 3);
        EXPECT_TRUE(std::ranges::is_sorted(ids));
    }
}

TEST_F(ChannelTest, OneNamespaceDoesNotHoldUpAnother)
{
    std::atomic<bool> release = false;
    serve([&](const Request &request) -> Outcome {
        if (request.header.netns == 1)
            release.wait(false);
        return Buffer();
    });
    send(1, 1);
    send(2, 2);
    EXPECT_EQ(receive().id, 2u);
    release = true;
    release.notify_all();
    EXPECT_EQ(receive().id, 1u);
    EXPECT_TRUE(finish());
}

TEST_F(ChannelTest, EndsOnAMessageThatIsNone)
{
    serve([](const Request &) -> Outcome { return Buffer(); });
    const char garbage[] = "garbage";
    ASSERT_EQ(write(ends_[0], garbage, sizeof(garbage)), ssize_t(sizeof(garbage)));
    helper_.join();
    EXPECT_EQ(ended_.error().code, EPROTO);
    close(ends_[0]);
}

} // namespace
} // namespace bpfilter::pipe
