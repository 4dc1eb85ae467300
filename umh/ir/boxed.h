// SPDX-License-Identifier: GPL-2.0
//
// IR: a value that lies elsewhere, so that a rare large kind of match does not make all of them
// large: tables have them by the hundred thousand. Copies share it, and nobody changes it.
#pragma once

#include <memory>
#include <utility>

namespace bpfilter::ir {

template <typename T> class Boxed {
public:
    // Not explicit, both ways: who has the one has the other.
    Boxed(T value) : value_(std::make_shared<const T>(std::move(value))) {}
    operator const T &() const { return *value_; }
    const T &operator*() const { return *value_; }
    const T *operator->() const { return value_.get(); }
    bool operator==(const Boxed &other) const { return *value_ == *other.value_; }

private:
    std::shared_ptr<const T> value_;
};

} // namespace bpfilter::ir
