// SPDX-License-Identifier: GPL-2.0
//
// Mapping: a part of a file in this process's memory, as long as it lives.
#pragma once

#include "umh/util/result.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace bpfilter {

class Mapping {
public:
    Mapping() = default;
    Mapping(Mapping &&other) noexcept
        : start_(std::exchange(other.start_, nullptr)), length_(std::exchange(other.length_, 0)),
          bytes_(std::exchange(other.bytes_, {}))
    {
    }
    Mapping &operator=(Mapping &&other) noexcept
    {
        std::swap(start_, other.start_);
        std::swap(length_, other.length_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    Mapping(const Mapping &) = delete;
    Mapping &operator=(const Mapping &) = delete;
    ~Mapping()
    {
        if (start_ != nullptr)
            munmap(start_, length_);
    }

    // Shared with whoever maps or writes it.
    static Result<Mapping> of(int fd, std::size_t offset, std::size_t size, bool writable)
    {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        const std::size_t lead = offset % page;
        Mapping mapping;
        mapping.length_ = lead + size;
        void *start = mmap(nullptr, mapping.length_, writable ? PROT_READ | PROT_WRITE : PROT_READ,
                           MAP_SHARED, fd, static_cast<off_t>(offset - lead));
        if (start == MAP_FAILED)
            return fail(errno == ENOMEM ? ENOMEM : EIO,
                        std::string("cannot map memory: ") + std::strerror(errno));
        mapping.start_ = start;
        mapping.bytes_ = {static_cast<std::byte *>(start) + lead, size};
        return mapping;
    }

    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

private:
    void *start_ = nullptr;
    std::size_t length_ = 0;
    std::span<std::byte> bytes_;
};

} // namespace bpfilter
