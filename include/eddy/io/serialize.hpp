// Values as bytes, for another process of the same program (process_pool.hpp): numbers as they lie in memory, so not
// for files and not for other machines.
//
// What can go: arithmetic types, enums, std::string, vector, array, pair, tuple, optional, variant, map, set and their
// unordered kin, durations. A type of your own goes when it says how:
//
//     template <>
//     struct eddy::serializer<point> {
//         static void write(eddy::byte_writer& out, const point& p) { out.put(p.x, p.y); }
//         static point read(eddy::byte_reader& in) {
//             const auto x = in.get<double>(); // in the order of write
//             const auto y = in.get<double>();
//             return point(x, y);
//         }
//     };
//
// Reading trusts nothing: whatever the bytes are, it gives a value or throws serialization_error, and what it allocates
// on the way is in proportion to the bytes that are there.
#pragma once

#include <eddy/core/error.hpp>

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace eddy {

// Bytes that are not a value of the wanted type: too few, too many, or impossible ones.
class serialization_error : public error {
public:
    using error::error;
};

// How a T becomes bytes and comes back. Specialise it for your own types:
//     static void write(byte_writer&, const T&);
//     static T read(byte_reader&);
template <class T>
struct serializer;

// Appends values to a vector of bytes. Any thread, one at a time. Throws std::bad_alloc and what serializers throw.
class byte_writer {
public:
    // Appends to `to`, which stays the caller's.
    explicit byte_writer(std::vector<std::byte>& to) noexcept : to_(&to) {}

    template <class... T>
    void put(const T&... values) {
        (serializer<T>::write(*this, values), ...);
    }
    // Not inline: GCC 12 would warn of overflows that are none, in users' code.
    void bytes(std::span<const std::byte> b);
    // A count of things that follow; byte_reader::length() reads it.
    void length(std::size_t n) { put(static_cast<std::uint64_t>(n)); }
    // Bytes so far, with those that were there before.
    [[nodiscard]] std::size_t size() const noexcept { return to_->size(); }

private:
    std::vector<std::byte>* to_;
};

// Takes values off a range of bytes, which must outlive it. Any thread, one at a time.
class byte_reader {
public:
    // How deep values may lie in one another: what stops bytes from overflowing the stack by a recursive type.
    static constexpr int most_nested = 200;

    explicit byte_reader(std::span<const std::byte> from) noexcept : from_(from) {}

    // The next value. serialization_error when the bytes are not one.
    template <class T>
    [[nodiscard]] T get() {
        const nesting deeper(*this);
        return serializer<T>::read(*this);
    }
    // The next n bytes, where they lie.
    [[nodiscard]] std::span<const std::byte> bytes(std::size_t n) {
        if (n > from_.size()) [[unlikely]]
            too_few(n);
        const auto b = from_.first(n);
        from_ = from_.subspan(n);
        return b;
    }
    // A count; never more than the bytes that are left, so that memory may be reserved for it.
    [[nodiscard]] std::size_t length();
    [[nodiscard]] std::size_t remaining() const noexcept { return from_.size(); }
    // serialization_error when bytes are left.
    void finish() const;

private:
    class nesting {
    public:
        explicit nesting(byte_reader& r) : reader_(r) {
            if (++reader_.depth_ > most_nested) too_deep();
        }
        nesting(const nesting&) = delete;
        ~nesting() { --reader_.depth_; }

    private:
        byte_reader& reader_;
    };
    [[noreturn]] void too_few(std::size_t wanted) const;
    [[noreturn]] static void too_deep();

    std::span<const std::byte> from_;
    int depth_ = 0;
};

// T can be sent and received.
template <class T>
concept serializable = requires(byte_writer& out, byte_reader& in, const T& value) {
    serializer<T>::write(out, value);
    { serializer<T>::read(in) } -> std::same_as<T>;
};

// The bytes of one value, and back; from_bytes() throws serialization_error, also when bytes are left over.
template <serializable T>
[[nodiscard]] std::vector<std::byte> to_bytes(const T& value) {
    std::vector<std::byte> b;
    byte_writer(b).put(value);
    return b;
}
template <serializable T>
[[nodiscard]] T from_bytes(std::span<const std::byte> b) {
    byte_reader in(b);
    T value = in.get<T>();
    in.finish();
    return value;
}

namespace detail {

[[noreturn]] void throw_not_a_value(const char* what, std::uint64_t value);

// Types of which every pattern of bytes is a value.
template <class T>
constexpr bool is_plain() {
    if constexpr (std::is_enum_v<T>)
        return is_plain<std::underlying_type_t<T>>();
    else
        return std::is_arithmetic_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, long double>;
}

// Elements, and as many bytes as there are elements at least: length() can then refuse counts that nothing backs.
template <class Range>
void write_elements(byte_writer& out, const Range& range, std::size_t n) {
    out.length(n);
    const std::size_t before = out.size();
    for (const auto& element : range)
        serializer<typename Range::value_type>::write(out, element);
    for (std::size_t written = out.size() - before; written < n; ++written)
        out.put(std::byte{});
}

template <class T, class F>
void read_elements(byte_reader& in, F take) {
    const std::size_t n = in.length();
    const std::size_t before = in.remaining();
    for (std::size_t i = 0; i < n; ++i)
        take(in.template get<T>());
    if (const std::size_t used = before - in.remaining(); used < n) static_cast<void>(in.bytes(n - used));
}

template <class Container, class Element>
struct set_like_serializer {
    static void write(byte_writer& out, const Container& c) { write_elements(out, c, c.size()); }
    static Container read(byte_reader& in) {
        Container c;
        read_elements<Element>(in, [&c](Element&& e) { c.insert(std::move(e)); });
        return c;
    }
};

} // namespace detail

template <class T>
requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
struct serializer<T> {
    // The rest of a long double is padding, and somebody else's memory.
    static constexpr std::size_t size =
        std::is_same_v<T, long double> && std::numeric_limits<T>::digits == 64 ? 10 : sizeof(T);

    static void write(byte_writer& out, const T& value) { out.bytes(std::as_bytes(std::span(&value, 1)).first(size)); }
    static T read(byte_reader& in) {
        const auto b = in.bytes(size);
        if constexpr (std::is_same_v<T, bool> || (std::is_enum_v<T> && !detail::is_plain<T>())) {
            if (std::to_integer<unsigned>(b[0]) > 1)
                detail::throw_not_a_value("a bool", std::to_integer<std::uint64_t>(b[0]));
        }
        T value{};
        std::memcpy(&value, b.data(), size);
        return value;
    }
};

template <class C, class Traits, class A>
struct serializer<std::basic_string<C, Traits, A>> {
    using type = std::basic_string<C, Traits, A>;
    static void write(byte_writer& out, const type& s) {
        out.length(s.size());
        out.bytes(std::as_bytes(std::span(s.data(), s.size())));
    }
    static type read(byte_reader& in) {
        const std::size_t n = in.length();
        const auto b = in.bytes(n * sizeof(C));
        type s(n, C());
        if (n != 0) std::memcpy(s.data(), b.data(), b.size());
        return s;
    }
};

template <class T, class A>
struct serializer<std::vector<T, A>> {
    using type = std::vector<T, A>;
    static void write(byte_writer& out, const type& v) {
        if constexpr (detail::is_plain<T>()) {
            out.length(v.size());
            out.bytes(std::as_bytes(std::span(v.data(), v.size())));
        } else {
            detail::write_elements(out, v, v.size());
        }
    }
    static type read(byte_reader& in) {
        type v;
        if constexpr (detail::is_plain<T>()) {
            const std::size_t n = in.length();
            const auto b = in.bytes(n * sizeof(T));
            v.resize(n);
            if (n != 0) std::memcpy(v.data(), b.data(), b.size());
        } else {
            detail::read_elements<T>(in, [&v](T&& e) { v.push_back(std::move(e)); });
        }
        return v;
    }
};

template <class T, std::size_t N>
struct serializer<std::array<T, N>> {
    static void write(byte_writer& out, const std::array<T, N>& a) {
        for (const T& e : a)
            out.put(e);
    }
    static std::array<T, N> read(byte_reader& in) { return read(in, std::make_index_sequence<N>()); }

private:
    template <std::size_t... I>
    static std::array<T, N> read([[maybe_unused]] byte_reader& in, std::index_sequence<I...>) {
        return std::array<T, N>{(static_cast<void>(I), in.template get<T>())...};
    }
};

template <class A, class B>
struct serializer<std::pair<A, B>> {
    static void write(byte_writer& out, const std::pair<A, B>& p) { out.put(p.first, p.second); }
    // Braces: from left to right.
    static std::pair<A, B> read(byte_reader& in) {
        return std::pair<A, B>{in.get<std::remove_cv_t<A>>(), in.get<std::remove_cv_t<B>>()};
    }
};

template <class... T>
struct serializer<std::tuple<T...>> {
    static void write(byte_writer& out, const std::tuple<T...>& t) {
        std::apply([&out](const T&... e) { out.put(e...); }, t);
    }
    static std::tuple<T...> read([[maybe_unused]] byte_reader& in) { return std::tuple<T...>{in.get<T>()...}; }
};

template <class T>
struct serializer<std::optional<T>> {
    static void write(byte_writer& out, const std::optional<T>& o) {
        out.put(o.has_value());
        if (o) out.put(*o);
    }
    static std::optional<T> read(byte_reader& in) {
        std::optional<T> o;
        if (in.get<bool>()) o.emplace(in.get<T>());
        return o;
    }
};

template <>
struct serializer<std::monostate> {
    static void write(byte_writer&, const std::monostate&) noexcept {}
    static std::monostate read(byte_reader&) noexcept { return {}; }
};

template <class... T>
struct serializer<std::variant<T...>> {
    using type = std::variant<T...>;
    static void write(byte_writer& out, const type& v) {
        if (v.valueless_by_exception()) detail::throw_not_a_value("a variant's index", std::variant_npos);
        out.put(static_cast<std::uint32_t>(v.index()));
        std::visit([&out](const auto& e) { out.put(e); }, v);
    }
    static type read(byte_reader& in) {
        const auto index = in.get<std::uint32_t>();
        std::optional<type> v;
        read(in, index, v, std::index_sequence_for<T...>());
        if (!v) detail::throw_not_a_value("a variant's index", index);
        return *std::move(v);
    }

private:
    template <std::size_t... I>
    static void read(byte_reader& in, std::uint32_t index, std::optional<type>& v, std::index_sequence<I...>) {
        ((index == I ? static_cast<void>(v.emplace(std::in_place_index<I>, in.template get<T>()))
                     : static_cast<void>(0)),
         ...);
    }
};

template <class K, class V, class C, class A>
struct serializer<std::map<K, V, C, A>> : detail::set_like_serializer<std::map<K, V, C, A>, std::pair<const K, V>> {};
template <class K, class V, class H, class E, class A>
struct serializer<std::unordered_map<K, V, H, E, A>>
    : detail::set_like_serializer<std::unordered_map<K, V, H, E, A>, std::pair<const K, V>> {};
template <class K, class C, class A>
struct serializer<std::set<K, C, A>> : detail::set_like_serializer<std::set<K, C, A>, K> {};
template <class K, class H, class E, class A>
struct serializer<std::unordered_set<K, H, E, A>> : detail::set_like_serializer<std::unordered_set<K, H, E, A>, K> {};

template <class Rep, class Period>
struct serializer<std::chrono::duration<Rep, Period>> {
    using type = std::chrono::duration<Rep, Period>;
    static void write(byte_writer& out, const type& d) { out.put(d.count()); }
    static type read(byte_reader& in) { return type(in.get<Rep>()); }
};

namespace detail {

// What a parameter of type P is received as. Views are sent as what they look at.
template <class P>
struct received {
    using type = P;
};
template <>
struct received<std::string_view> {
    using type = std::string;
};
template <class T>
struct received<std::span<const T>> {
    using type = std::vector<T>;
};
template <class P>
using received_t = typename received<std::remove_cvref_t<P>>::type;

template <class P>
void write_argument(byte_writer& out, const P& value) {
    if constexpr (std::is_same_v<P, received_t<P>>) {
        out.put(value);
    } else if constexpr (is_plain<typename P::value_type>()) {
        out.length(value.size());
        out.bytes(std::as_bytes(std::span(value.data(), value.size())));
    } else {
        write_elements(out, value, value.size());
    }
}

} // namespace detail
} // namespace eddy
