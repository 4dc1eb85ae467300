// SPDX-License-Identifier: GPL-2.0
//
// The one result type of the helper.
//
// A function that can fail returns Result<T>: a value, or an Error. It must be checked
// (the functions are [[nodiscard]] by type). An Error carries the errno that the caller
// of setsockopt is to see, positive, exactly as ip_tables would return it, and a
// sentence for the kernel log: lower case, no final stop, at most BPFILTER_MESSAGE_MAX
// bytes when printed, naming what was refused and why. Exceptions are for broken
// invariants and for memory only; the service turns them into ENOMEM or EIO at the edge.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace bpfilter {

struct [[nodiscard]] Error {
    int code = 0;        // errno, positive
    std::string message; // may be empty: nothing worth logging

    bool operator==(const Error &) const = default;
};

template <typename T> class [[nodiscard]] ResultBase : public std::expected<T, Error> {
public:
    using std::expected<T, Error>::expected;
};

template <typename T = void> using Result = ResultBase<T>;

// return fail(EINVAL, "...");
inline std::unexpected<Error> fail(int code, std::string message = {})
{
    return std::unexpected<Error>(Error{code, std::move(message)});
}

// return fail(std::move(result.error())); hands another function's error on.
inline std::unexpected<Error> fail(Error error)
{
    return std::unexpected<Error>(std::move(error));
}

} // namespace bpfilter
