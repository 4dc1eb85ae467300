// SPDX-License-Identifier: GPL-2.0
//
// load: an arena: memory for tables as data (umh/bpf/record.h), and the programs that walk what is
// in it. Its place is part of the programs, so a larger one is another one, with programs of its
// own; tables stay where they are. Thread-safe.
//
// Nobody writes into an arena but who made it: a helper that takes over from another one makes its
// own, and leaves that of the other, which lives as long as tables in force are in it. So no helper
// must know what another one did last, and one that dies anywhere leaves all tables whole.
#pragma once

#include "umh/core/ir/part.h"
#include "umh/core/ir/table.h"
#include "umh/core/records/allocator.h"
#include "umh/load/limit.h"
#include "umh/util/fd.h"
#include "umh/util/mapping.h"
#include "umh/util/result.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace bpfilter {

// What the programs of a place have in common.
struct Elements {
    UniqueFd map;           // umh/bpf/element.h, BPFILTER_NESTING for each CPU
    std::uint32_t mask = 0; // of their numbers
    std::uint32_t l3 = 0;   // where the IP header is in what programs see
};

Result<Elements> make_elements(std::uint32_t l3);

class Arena {
public:
    static Result<std::shared_ptr<Arena>> make(const Elements &elements, std::uint32_t bits);

    // A descriptor that lives as long as this: what walks the tables of this family, for rules
    // that want no more than these parts. Verified when it is asked for first.
    Result<int> program(ir::Family family, ir::Parts parts);

    std::optional<std::uint32_t> take(std::uint32_t size);
    void give(std::uint32_t place, std::uint32_t size) noexcept;
    void cut(std::uint32_t place, std::uint32_t size) noexcept; // the end of what was taken
    [[nodiscard]] bool is_empty();
    [[nodiscard]] std::size_t taken();

    [[nodiscard]] int map() const { return map_.get(); }
    [[nodiscard]] std::uint32_t bits() const { return bits_; }
    // Of programs that were verified so far.
    [[nodiscard]] std::size_t program_count();
    [[nodiscard]] std::span<std::byte> bytes(std::uint32_t place, std::uint32_t size) const
    {
        return memory_.bytes().subspan(place, size);
    }

private:
    using Kind = std::pair<ir::Family, std::uint32_t>;

    Arena(const Elements &elements, std::uint32_t bits);

    const Elements &elements_;
    std::uint32_t bits_;
    UniqueFd map_;
    Mapping memory_;
    std::mutex mutex_; // of what follows
    records::Allocator allocator_;
    std::mutex programs_mutex_; // of what follows; to verify one takes a while
    std::map<Kind, UniqueFd> programs_;
};

// Memory of an arena. It is given back when this goes: nothing may walk it any more then.
class Block {
public:
    Block() = default;
    Block(std::shared_ptr<Arena> arena, std::uint32_t place, std::uint32_t size, bool alone = false)
        : arena_(std::move(arena)), place_(place), size_(size), alone_(alone)
    {
    }
    Block(Block &&other) noexcept = default;
    Block &operator=(Block &&other) noexcept
    {
        std::swap(arena_, other.arena_);
        std::swap(place_, other.place_);
        std::swap(size_, other.size_);
        std::swap(alone_, other.alone_);
        return *this;
    }
    Block(const Block &) = delete;
    Block &operator=(const Block &) = delete;
    ~Block()
    {
        if (arena_)
            arena_->give(place_, size_);
    }

    // Gives back what is behind the first `size` bytes.
    void shrink(std::uint32_t size);

    [[nodiscard]] Arena &arena() const { return *arena_; }
    [[nodiscard]] std::uint32_t place() const { return place_; }
    // What is to be on the account of whoever has it: all of an arena that is for this alone.
    [[nodiscard]] std::uint32_t account() const;
    [[nodiscard]] std::span<std::byte> bytes() const { return arena_->bytes(place_, size_); }
    explicit operator bool() const { return arena_ != nullptr; }

private:
    std::shared_ptr<Arena> arena_;
    std::uint32_t place_ = 0;
    std::uint32_t size_ = 0;
    bool alone_ = false;
};

// All of them. Most tables share some: one, until it is full; then another one beside it, by which
// there is half as much again, if that is no more than 32 MiB, or room for the table that did not
// fit and the next one like it. So they take no more than some four times what is in them at the
// most, which is on accounts; and those in which nothing is left go. A large table has an arena for
// itself, which is on its account, and goes with it.
class Arenas {
public:
    // `l3`: see Elements. `bits`: the size of the first one.
    explicit Arenas(std::uint32_t l3 = 0, std::uint32_t bits = 20) : l3_(l3), first_bits_(bits) {}

    // ENOMEM: more than an arena can be.
    Result<Block> take(std::size_t size);
    // Block::account() of what that gives.
    static std::size_t account(std::size_t size);
    [[nodiscard]] int elements() const { return elements_.map.get(); }
    [[nodiscard]] std::size_t count();
    // Those in which nothing is left go now, not with the next table.
    void tidy();

private:
    Result<Block> take_shared(std::size_t size);
    Result<Block> take_alone(std::size_t size);
    Result<> make_elements_once();
    Result<> grow(std::size_t size);
    void drop_empty();

    std::uint32_t l3_;
    std::uint32_t first_bits_;
    std::mutex mutex_;
    Elements elements_;
    std::vector<std::shared_ptr<Arena>> arenas_; // the last one is the largest
};

} // namespace bpfilter
