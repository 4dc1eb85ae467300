// SPDX-License-Identifier: GPL-2.0
//
// Deadline: until when what the calling thread does has to be done. A request has one from when
// work on it begins. What nobody else ends asks for it, wherever there may be much to go through:
//
//     for (const Rule &rule : table.rules) {
//         Deadline::look(rule.conditions.words());
//
// Never behind the COMMIT of a table, which has come true by then.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>

namespace bpfilter {

// For who has a deadline: ENOMEM, as all that is too much.
class TimeIsUp : public std::exception {
public:
    [[nodiscard]] const char *what() const noexcept override { return "it takes too long"; }
};

class Deadline {
public:
    using Clock = std::chrono::steady_clock;

    // Of the calling thread, as long as this is there, unless it has an earlier one already.
    explicit Deadline(Clock::time_point until);
    ~Deadline();
    Deadline(const Deadline &) = delete;
    Deadline &operator=(const Deadline &) = delete;

    // time_point::max(): there is none.
    static Clock::time_point until();

    // Throws TimeIsUp when it is over. `work`: how much is done before the next look, in steps of
    // less than a microsecond or so; the clock is read when there were some.
    static void look(std::size_t work = 1);

private:
    Clock::time_point before_;
};

} // namespace bpfilter
