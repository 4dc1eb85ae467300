// SPDX-License-Identifier: GPL-2.0
//
// IR: what a rule asks, in order. A table may have a million conditions, nearly all of them small,
// and who brings it decides which; so they are packed, into words, and are read one by one:
//
//     for (const Condition &condition : conditions)
//         std::visit(..., condition);
//
// A condition is there as long as its turn lasts. A condition has one form, so equal lists have
// equal words.
#pragma once

#include "umh/core/ir/condition.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace bpfilter::ir {

class Conditions {
public:
    class Iterator {
    public:
        using iterator_concept = std::input_iterator_tag;
        using value_type = Condition;
        using difference_type = std::ptrdiff_t;

        explicit Iterator(std::span<const std::uint32_t> words) : words_(words) { read(); }

        const Condition &operator*() const { return condition_; }
        const Condition *operator->() const { return &condition_; }
        Iterator &operator++()
        {
            read();
            return *this;
        }
        void operator++(int) { read(); }
        bool operator==(std::default_sentinel_t /*end*/) const { return at_end_; }

    private:
        void read();

        std::span<const std::uint32_t> words_; // behind this one's
        Condition condition_;
        bool at_end_ = false;
    };

    Conditions() = default;
    Conditions(std::initializer_list<Condition> list)
    {
        for (const Condition &condition : list)
            push_back(condition);
    }

    void push_back(const Condition &condition);
    template <typename T> void emplace_back(const T &condition) { push_back(Condition(condition)); }
    void append(const Conditions &others)
    {
        words_.insert(words_.end(), others.words_.begin(), others.words_.end());
    }
    void clear() { words_.clear(); }
    void shrink_to_fit() { words_.shrink_to_fit(); }

    [[nodiscard]] Iterator begin() const { return Iterator(words_); }
    [[nodiscard]] std::default_sentinel_t end() const { return std::default_sentinel; }
    [[nodiscard]] bool empty() const { return words_.empty(); }
    // How much there is to look at: words, of which a condition has some.
    [[nodiscard]] std::size_t words() const { return words_.size(); }
    // For who needs more than one at a time.
    [[nodiscard]] std::vector<Condition> unpacked() const;

    bool operator==(const Conditions &) const = default;

private:
    std::vector<std::uint32_t> words_;
};

// The parts of the key that have to be there, complete (part.h).
Parts parts_of(const Conditions &conditions);

// Is a match of the kernel's own among them?
bool asks_kernel(const Conditions &conditions);

// " protocol = 6, require tcp, destination_port in 80..90"; "always" if there are none.
//     field = 5   field in 5..9   field in 10..4 (around the end)   field & 0x17 = 0x2
//     not (a, b)   any (a | b, c)   require tcp   route has 2001:db8::1 2001:db8::2   kernel 3
//     never
std::string text(const Conditions &conditions);

} // namespace bpfilter::ir
