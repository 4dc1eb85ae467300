// SPDX-License-Identifier: GPL-2.0
#include "umh/core/ir/conditions.h"

#include <utility>

namespace bpfilter::ir {

namespace {

using Words = std::vector<std::uint32_t>;

// A condition begins with its kind, what it is about, and its span, if that is short: bits 0, 8
// and 16. What else it has follows, a word each; of lists their length first.
enum class Kind : std::uint8_t {
    range,        // low, span
    short_range,  // low
    masked,       // mask, low, span
    short_masked, // mask, low
    negation,     // tests
    any,          // lists of tests
    require,
    listed, // items
    kernel, // instance
    never,
};

constexpr std::uint32_t short_span = 0xffff;

constexpr std::uint32_t head(Kind kind, std::uint8_t about = 0, std::uint32_t span = 0)
{
    return static_cast<std::uint32_t>(kind) | std::uint32_t{about} << 8 | span << 16;
}

constexpr std::uint8_t number(Field field)
{
    return static_cast<std::uint8_t>(field);
}

class Packer {
public:
    explicit Packer(Words &words) : words_(words) {}

    void operator()(const Range &test)
    {
        if (test.span <= short_span)
            put({head(Kind::short_range, number(test.field), test.span), test.low});
        else
            put({head(Kind::range, number(test.field)), test.low, test.span});
    }

    void operator()(const Masked &test)
    {
        if (test.span <= short_span)
            put({head(Kind::short_masked, number(test.field), test.span), test.mask, test.low});
        else
            put({head(Kind::masked, number(test.field)), test.mask, test.low, test.span});
    }

    void operator()(const Not &group)
    {
        put({head(Kind::negation)});
        put_all(group.all);
    }

    void operator()(const AnyOf &any)
    {
        put({head(Kind::any), static_cast<std::uint32_t>(any.groups.size())});
        for (const auto &group : any.groups)
            put_all(group);
    }

    void operator()(const Require &require) { put({head(Kind::require, number(require.state))}); }

    void operator()(const Listed &listed)
    {
        put({head(Kind::listed, static_cast<std::uint8_t>(listed.list)),
             static_cast<std::uint32_t>(listed.items.size())});
        for (const Listed::Item &item : listed.items)
            words_.insert(words_.end(), item.begin(), item.end());
    }

    void operator()(const Kernel &kernel) { put({head(Kind::kernel), kernel.instance}); }

    void operator()(const Never & /*never*/) { put({head(Kind::never)}); }

private:
    void put(std::initializer_list<std::uint32_t> words)
    {
        words_.insert(words_.end(), words.begin(), words.end());
    }

    void put_all(const std::vector<Test> &tests)
    {
        put({static_cast<std::uint32_t>(tests.size())});
        for (const Test &test : tests)
            std::visit(*this, test);
    }

    Words &words_;
};

// What Packer has written, and nothing else.
class Reader {
public:
    explicit Reader(std::span<const std::uint32_t> &words) : words_(words) {}

    Condition condition()
    {
        const std::uint32_t first = take();
        switch (kind_of(first)) {
        case Kind::range:
        case Kind::short_range:
            return range(first);
        case Kind::masked:
        case Kind::short_masked:
            return masked(first);
        case Kind::negation:
            return Not{tests()};
        case Kind::any:
            return any();
        case Kind::require:
            return Require{field_of(first)};
        case Kind::listed:
            return listed(first);
        case Kind::kernel:
            return Kernel{take()};
        case Kind::never:
            break;
        }
        return Never{};
    }

private:
    static Kind kind_of(std::uint32_t word) { return static_cast<Kind>(word & 0xff); }
    static Field field_of(std::uint32_t word) { return static_cast<Field>(word >> 8 & 0xff); }

    std::uint32_t take()
    {
        const std::uint32_t word = words_.front();
        words_ = words_.subspan(1);
        return word;
    }

    Range range(std::uint32_t first)
    {
        const std::uint32_t low = take();
        return {field_of(first), low, kind_of(first) == Kind::range ? take() : first >> 16};
    }

    Masked masked(std::uint32_t first)
    {
        const std::uint32_t mask = take();
        const std::uint32_t low = take();
        return {field_of(first), mask, low, kind_of(first) == Kind::masked ? take() : first >> 16};
    }

    std::vector<Test> tests()
    {
        std::vector<Test> all;
        for (std::uint32_t left = take(); left > 0; --left) {
            const std::uint32_t first = take();
            const Kind kind = kind_of(first);
            if (kind == Kind::range || kind == Kind::short_range)
                all.emplace_back(range(first));
            else
                all.emplace_back(masked(first));
        }
        return all;
    }

    AnyOf any()
    {
        AnyOf any;
        for (std::uint32_t left = take(); left > 0; --left)
            any.groups.push_back(tests());
        return any;
    }

    Listed listed(std::uint32_t first)
    {
        Listed listed{static_cast<List>(first >> 8 & 0xff), {}};
        for (std::uint32_t left = take(); left > 0; --left) {
            Listed::Item item;
            for (std::uint32_t &word : item)
                word = take();
            listed.items.push_back(item);
        }
        return listed;
    }

    std::span<const std::uint32_t> &words_;
};

} // namespace

void Conditions::Iterator::read()
{
    at_end_ = words_.empty();
    if (!at_end_)
        condition_ = Reader(words_).condition();
}

void Conditions::push_back(const Condition &condition)
{
    std::visit(Packer(words_), condition);
}

std::vector<Condition> Conditions::unpacked() const
{
    std::vector<Condition> list;
    for (const Condition &condition : *this)
        list.push_back(condition);
    return list;
}

} // namespace bpfilter::ir
