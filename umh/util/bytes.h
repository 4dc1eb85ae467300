// SPDX-License-Identifier: GPL-2.0
//
// Bytes: reading and writing values in memory that nobody has checked.
//
// load() and store() copy, so alignment does not matter, and they check bounds: to be out
// of bounds here is a broken invariant of the caller, not bad input, and throws
// std::out_of_range. Code that reads input checks sizes first and answers with an errno.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <vector>

namespace bpfilter {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

// `count` bytes from `offset`.
inline Bytes slice(Bytes bytes, std::size_t offset, std::size_t count)
{
    if (offset > bytes.size() || count > bytes.size() - offset)
        throw std::out_of_range("slice of bytes");
    return bytes.subspan(offset, count);
}

template <typename T> T load(Bytes bytes, std::size_t offset)
{
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, slice(bytes, offset, sizeof(T)).data(), sizeof(T));
    return value;
}

template <typename T> void store(MutableBytes bytes, std::size_t offset, const T &value)
{
    static_assert(std::is_trivially_copyable_v<T>);
    if (offset > bytes.size() || sizeof(T) > bytes.size() - offset)
        throw std::out_of_range("store to bytes");
    std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

inline void store_bytes(MutableBytes bytes, std::size_t offset, Bytes source)
{
    if (offset > bytes.size() || source.size() > bytes.size() - offset)
        throw std::out_of_range("store to bytes");
    std::copy(source.begin(), source.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

// The string in a field: up to its NUL, or all of the field if it has none.
inline std::string_view load_string(Bytes field)
{
    const auto end = std::find(field.begin(), field.end(), std::byte{0});
    // char may alias anything; the view lives as long as the bytes.
    return {reinterpret_cast<const char *>(field.data()),
            static_cast<std::size_t>(end - field.begin())};
}

inline bool all_zero(Bytes bytes)
{
    return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

} // namespace bpfilter
