// SPDX-License-Identifier: GPL-2.0
#include "umh/load/arena.h"

#include "bpfilter/context.h"
#include "umh/bpf/element.h"
#include "umh/bpf/record.h"
#include "umh/load/map.h"
#include "umh/load/object.h"

#include <algorithm>
#include <array>
#include <bit>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstring>
#include <string>

namespace bpfilter {

namespace {

constexpr std::uint32_t bits_max = 29; // a place is less than 2^29 from a pointer
constexpr std::uint32_t slack = 4096;  // behind the end: a walker reads on a little
constexpr std::uint32_t lead = 64;     // for the number of the layout
constexpr std::size_t large = 8 << 20; // a table of so many bytes has an arena for itself
// When their helper is dead, the last table in one keeps all of it. No less than for two tables.
constexpr std::uint32_t shared_bits_max = 25;
static_assert(2 * large + lead <= std::size_t{1} << shared_bits_max);

// A few kinds of programs, not one for each set of parts: that for nothing, and with or without
// names of devices those for addresses (and for the protocol, which IPv4 has beside them), for
// transport headers, and for beginnings of these; that for options of TCP, and that for all that
// IPv6 has.
ir::Parts rounded(ir::Family family, ir::Parts parts)
{
    using ir::Part;
    if (parts == ir::Parts())
        return parts;
    const ir::Parts addresses = ir::complete(family == ir::Family::ipv4 ? Part::walk : Part::ip);
    ir::Parts result = addresses;
    for (const Part part : {Part::devices, Part::mark, Part::connection, Part::skb}) {
        if (parts.has(part))
            result |= part;
    }
    if (within(parts, result))
        return result;
    result |= ir::complete(Part::transport);
    if (within(parts, result))
        return result;
    result |= Part::beginnings;
    if (within(parts, result))
        return result;
    for (const Part part : {Part::devices, Part::mark, Part::connection, Part::skb})
        result |= part;
    result |= ir::complete(Part::tcp_options);
    if (family == ir::Family::ipv4 || within(parts, result))
        return result;
    for (const Part part : {Part::hop_options, Part::dst_options, Part::route, Part::frag, Part::ah,
                            Part::header_set, Part::link})
        result |= ir::complete(part);
    return result;
}

} // namespace

Result<Elements> make_elements(std::uint32_t l3)
{
    const int cpus = libbpf_num_possible_cpus();
    if (cpus < 1)
        return fail(EIO, "cannot learn the number of CPUs");
    const std::uint32_t count = std::bit_ceil(static_cast<std::uint32_t>(cpus) * BPFILTER_NESTING);
    auto map = create_memory_map("bf_elements", count * element_size);
    if (!map)
        return fail(std::move(map.error()));
    return Elements{std::move(*map), count - 1, l3};
}

Arena::Arena(const Elements &elements, std::uint32_t bits)
    : elements_(elements), bits_(bits), allocator_(lead, std::uint32_t{1} << bits)
{
}

Result<std::shared_ptr<Arena>> Arena::make(const Elements &elements, std::uint32_t bits)
{
    std::shared_ptr<Arena> arena(new Arena(elements, bits));
    const std::uint32_t size = (std::uint32_t{1} << bits) + slack;
    // The kernel would give what there is, up to the last page.
    if (!leaves_memory(size))
        return fail(ENOMEM, "too little memory is available for an arena of 2^" +
                                std::to_string(bits) + " bytes");
    auto map = create_memory_map("bf_arena", size);
    if (!map)
        return fail(std::move(map.error()));
    arena->map_ = std::move(*map);
    auto memory = Mapping::of(arena->map(), 0, size, true);
    if (!memory)
        return fail(std::move(memory.error()));
    arena->memory_ = std::move(*memory);
    const std::uint32_t layout = BPFILTER_ARENA_LAYOUT;
    std::memcpy(arena->memory_.bytes().data(), &layout, sizeof(layout));
    return arena;
}

Result<int> Arena::program(ir::Family family, ir::Parts parts)
{
    const ir::Parts kind = rounded(family, parts);
    const std::lock_guard lock(programs_mutex_);
    UniqueFd &fd = programs_[{family, kind.bits()}];
    if (fd)
        return fd.get();
    const bool is_ipv6 = family == ir::Family::ipv6;
    const auto map = [](std::string_view name, const UniqueFd &map) {
        return SymbolValue{name, SymbolValue::Kind::map, static_cast<std::uint32_t>(map.get())};
    };
    const auto number = [](std::string_view name, std::uint32_t value) {
        return SymbolValue{name, SymbolValue::Kind::number, value};
    };
    const std::array values{
        map("bf_map_arena", map_),
        map("bf_map_elements", elements_.map),
        number("bf_number_arena_mask", (std::uint32_t{1} << bits_) - 1),
        number("bf_number_element_mask", elements_.mask),
        number("bf_number_parts", kind.bits()),
        number("bf_number_ipv6", is_ipv6 ? 1 : 0),
        number("bf_number_l3", elements_.l3),
    };
    auto program = load_object(object_bf_walk, is_ipv6 ? "bf_walk6" : "bf_walk4", values);
    if (!program)
        return fail(std::move(program.error()));
    fd = std::move(*program);
    return fd.get();
}

std::optional<std::uint32_t> Arena::take(std::uint32_t size)
{
    const std::lock_guard lock(mutex_);
    return allocator_.take(size);
}

void Arena::give(std::uint32_t place, std::uint32_t size) noexcept
{
    const std::lock_guard lock(mutex_);
    allocator_.give(place, size);
}

void Arena::cut(std::uint32_t place, std::uint32_t size) noexcept
{
    const std::lock_guard lock(mutex_);
    allocator_.cut(place, size);
}

bool Arena::is_empty()
{
    const std::lock_guard lock(mutex_);
    return allocator_.is_empty();
}

std::size_t Arena::taken()
{
    const std::lock_guard lock(mutex_);
    return allocator_.taken();
}

std::size_t Arena::program_count()
{
    const std::lock_guard lock(programs_mutex_);
    return static_cast<std::size_t>(std::ranges::count_if(
        programs_, [](const auto &program) { return static_cast<bool>(program.second); }));
}

void Block::shrink(std::uint32_t size)
{
    const std::uint32_t kept = records::Allocator::round(size);
    const std::uint32_t all = records::Allocator::round(size_);
    if (kept >= all)
        return;
    arena_->cut(place_ + kept, all - kept);
    size_ = kept;
}

std::uint32_t Block::account() const
{
    return alone_ ? std::uint32_t{1} << arena_->bits() : size_;
}

namespace {

// Of the arena that such a table has for itself.
std::uint32_t bits_alone(std::size_t size)
{
    return static_cast<std::uint32_t>(std::bit_width(size + lead - 1));
}

} // namespace

std::size_t Arenas::account(std::size_t size)
{
    return size < large ? size : std::size_t{1} << bits_alone(size);
}

Result<Block> Arenas::take(std::size_t size)
{
    if (size > (std::size_t{1} << bits_max) - lead)
        return fail(ENOMEM, "a table is larger than an arena can be");
    if (auto made = make_elements_once(); !made)
        return fail(std::move(made.error()));
    return size < large ? take_shared(size) : take_alone(size);
}

Result<Block> Arenas::take_shared(std::size_t size)
{
    const auto bytes = static_cast<std::uint32_t>(size);
    const std::lock_guard lock(mutex_);
    drop_empty();
    for (const auto &arena : arenas_)
        if (const auto place = arena->take(bytes))
            return Block(arena, *place, bytes);
    if (auto grown = grow(size); !grown)
        return fail(std::move(grown.error()));
    const auto place = arenas_.back()->take(bytes);
    if (!place)
        return fail(ENOMEM, "no room for a table in a new arena");
    return Block(arenas_.back(), *place, bytes);
}

Result<Block> Arenas::take_alone(std::size_t size)
{
    auto arena = Arena::make(elements_, bits_alone(size));
    if (!arena)
        return fail(std::move(arena.error()));
    const auto bytes = static_cast<std::uint32_t>(size);
    const auto place = (*arena)->take(bytes);
    if (!place)
        return fail(ENOMEM, "no room for a table in an arena of its own");
    return Block(std::move(*arena), *place, bytes, true);
}

Result<> Arenas::make_elements_once()
{
    const std::lock_guard lock(mutex_);
    if (elements_.map)
        return {};
    auto elements = make_elements(l3_);
    if (!elements)
        return fail(std::move(elements.error()));
    elements_ = std::move(*elements);
    return {};
}

Result<> Arenas::grow(std::size_t size)
{
    std::size_t taken = 0;
    for (const auto &arena : arenas_)
        taken += arena->taken();
    const std::size_t wanted = std::max(2 * size + lead, taken / 2);
    const std::uint32_t bits =
        std::max(first_bits_, static_cast<std::uint32_t>(std::bit_width(wanted - 1)));
    auto arena = Arena::make(elements_, std::min(bits, shared_bits_max));
    if (!arena)
        return fail(std::move(arena.error()));
    arenas_.push_back(std::move(*arena));
    return {};
}

// One of those that are made first stays: its programs need not be verified again.
void Arenas::drop_empty()
{
    const auto first = std::ranges::find(arenas_, first_bits_, &Arena::bits);
    const auto kept = first == arenas_.end() ? nullptr : *first;
    std::erase_if(arenas_,
                  [&kept](const auto &arena) { return arena != kept && arena->is_empty(); });
}

void Arenas::tidy()
{
    const std::lock_guard lock(mutex_);
    drop_empty();
}

std::size_t Arenas::count()
{
    const std::lock_guard lock(mutex_);
    return arenas_.size();
}

} // namespace bpfilter
