// SPDX-License-Identifier: GPL-2.0
//
// The pipe, served with Asio: reads requests, has them carried out on a pool of threads,
// writes what comes of them.
//
// Requests of one namespace are carried out one after the other in the order read, those of
// different namespaces side by side: a namespace with a huge table holds up nobody else. A
// request without a namespace is carried out on the reading thread itself, so it is done
// before anything that was read later begins.
#pragma once

#include "umh/pipe/message.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstdint>
#include <functional>
#include <map>

namespace bpfilter::pipe {

class Channel {
public:
    // Called from several threads, but for one namespace never from two at a time. Anything
    // it throws, and whatever there is no memory for, becomes an error of that request alone.
    using Handler = std::function<Outcome(Request &)>;

    // Takes over the descriptor.
    Channel(int fd, Handler handler, unsigned threads);

    // Serves until the module closes the pipe. An error is one that ends the helper.
    Result<> run();

private:
    using Strand = boost::asio::strand<boost::asio::thread_pool::executor_type>;

    void wait();
    void start_to_wait();
    Result<bool> read_one();
    // There is not even memory for the request: its caller is told.
    Result<bool> refuse_one(std::uint32_t length);
    void dispatch(Request request);
    void answer(Request &request);
    void reply(const bpfilter_request_header &request, const Outcome &outcome);

    boost::asio::io_context io_;
    boost::asio::posix::stream_descriptor pipe_;
    Handler handler_;
    boost::asio::thread_pool pool_;
    std::map<std::uint64_t, Strand> strands_;
    Result<> ended_;
};

} // namespace bpfilter::pipe
