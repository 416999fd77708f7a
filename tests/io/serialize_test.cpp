#include <eddy/io/serialize.hpp>

#include "support/check.hpp"

#include <deque>
#include <doctest/doctest.h>
#include <limits>
#include <random>

using namespace eddy;
using namespace std::chrono_literals;

namespace {

enum class colour : unsigned char { red = 1, green = 2 };
enum flag_of_old { off, on };
enum class truth : bool { no, yes };

struct nothing_at_all {
    friend bool operator==(const nothing_at_all&, const nothing_at_all&) = default;
};

struct tree {
    int value = 0;
    std::vector<tree> children;
    friend bool operator==(const tree&, const tree&) = default;
};

struct not_serializable {};

} // namespace

template <>
struct eddy::serializer<nothing_at_all> {
    static void write(byte_writer&, const nothing_at_all&) {}
    static nothing_at_all read(byte_reader&) { return {}; }
};

template <>
struct eddy::serializer<tree> {
    static void write(byte_writer& out, const tree& t) { out.put(t.value, t.children); }
    static tree read(byte_reader& in) {
        tree t;
        t.value = in.get<int>();
        t.children = in.get<std::vector<tree>>();
        return t;
    }
};

static_assert(serializable<int>);
static_assert(serializable<std::vector<std::string>>);
static_assert(serializable<tree>);
static_assert(!serializable<not_serializable>);
static_assert(!serializable<int*>);
static_assert(!serializable<const char*>);
static_assert(!serializable<std::string_view>); // as an argument only

namespace {

template <class T>
void round_trip(const T& value) {
    const std::vector<std::byte> b = to_bytes(value);
    CHECK(from_bytes<T>(b) == value);
    // Every truncation is noticed, and so is what follows.
    for (std::size_t n = 0; n < b.size(); ++n)
        CHECK_THROWS_AS(static_cast<void>(from_bytes<T>(std::span(b).first(n))), serialization_error);
    std::vector<std::byte> longer = b;
    longer.push_back({});
    CHECK_THROWS_AS(static_cast<void>(from_bytes<T>(longer)), serialization_error);
}

// Whatever the bytes are: a value or serialization_error.
template <class T>
void survives(std::mt19937_64& random) {
    const std::vector<std::byte> good = to_bytes(T{});
    for (int i = 0; i < 3000; ++i) {
        std::vector<std::byte> b(random() % 64);
        for (std::byte& one : b)
            // Small numbers are lengths that fit, and get further.
            one = static_cast<std::byte>(random() % 3 == 0 ? random() : random() % 4);
        try {
            static_cast<void>(from_bytes<T>(b));
        } catch (const serialization_error&) {
        }
    }
}

} // namespace

TEST_CASE("numbers, enums and durations come back as they were") {
    round_trip(true);
    round_trip('x');
    round_trip(-1);
    round_trip(std::numeric_limits<std::int64_t>::min());
    round_trip(std::numeric_limits<std::uint64_t>::max());
    round_trip(0.1);
    round_trip(-std::numeric_limits<float>::infinity());
    round_trip(1.0L / 3);
    round_trip(colour::green);
    round_trip(on);
    round_trip(truth::yes);
    round_trip(std::byte{200});
    round_trip(U'\u00e9');
    round_trip(1500ms);
    const double nan = from_bytes<double>(to_bytes(std::numeric_limits<double>::quiet_NaN()));
    CHECK(nan != nan);
}

TEST_CASE("strings and containers come back as they were") {
    round_trip(std::string());
    round_trip(std::string("with\0zero", 9));
    round_trip(std::u16string(u"abc"));
    round_trip(std::vector<int>());
    round_trip(std::vector<int>({1, -2, 3}));
    round_trip(std::vector<bool>({true, false, true}));
    round_trip(std::vector<std::byte>(5, std::byte{7}));
    round_trip(std::vector<std::string>({"a", "", "ccc"}));
    round_trip(std::vector<std::vector<int>>({{1}, {}, {2, 3}}));
    round_trip(std::array<short, 3>{1, 2, 3});
    round_trip(std::array<std::string, 2>{"x", "yy"});
    round_trip(std::pair<int, std::string>(1, "one"));
    round_trip(std::tuple<int, std::string, double>(1, "one", 1.0));
    round_trip(std::optional<std::string>());
    round_trip(std::optional<std::string>("there"));
    round_trip(std::variant<int, std::string>("text"));
    round_trip(std::variant<std::monostate, int>());
    round_trip(std::map<std::string, int>({{"a", 1}, {"b", 2}}));
    round_trip(std::unordered_map<int, std::vector<int>>({{1, {1}}, {2, {}}}));
    round_trip(std::set<std::string>({"a", "b"}));
    round_trip(std::unordered_set<int>({1, 2, 3}));
    tree t;
    t.value = 1;
    t.children.resize(2);
    t.children[1].value = 5;
    round_trip(t);
}

TEST_CASE("values without bytes keep their number") {
    CHECK(from_bytes<std::tuple<>>(to_bytes(std::tuple<>())) == std::tuple<>());
    CHECK(from_bytes<std::array<int, 0>>(to_bytes(std::array<int, 0>())).empty());
    round_trip(std::vector<nothing_at_all>(3));
    round_trip(std::vector<std::tuple<>>(7));
    round_trip(std::vector<std::vector<std::monostate>>(2, std::vector<std::monostate>(3)));
}

TEST_CASE("impossible values are refused, by name") {
    const std::vector<std::byte> two{std::byte{2}};
    CHECK_THROWS_WITH_AS(static_cast<void>(from_bytes<bool>(two)), "eddy: 2 is not a bool", serialization_error);
    CHECK_THROWS_AS(static_cast<void>(from_bytes<truth>(two)), serialization_error);
    CHECK_THROWS_AS(static_cast<void>(from_bytes<std::optional<char>>(two)), serialization_error);
    const std::vector<std::byte> index = to_bytes(std::uint32_t{9});
    CHECK_THROWS_WITH_AS(static_cast<void>(from_bytes<std::variant<int, char>>(index)),
                         "eddy: 9 is not a variant's index", serialization_error);
}

TEST_CASE("a length that nothing backs is refused before memory is taken for it") {
    for (const std::uint64_t n : {std::uint64_t{1}, std::uint64_t{1} << 40, std::uint64_t{1} << 61,
                                  std::numeric_limits<std::uint64_t>::max()}) {
        const std::vector<std::byte> b = to_bytes(n);
        CHECK_THROWS_AS(static_cast<void>(from_bytes<std::string>(b)), serialization_error);
        CHECK_THROWS_AS(static_cast<void>(from_bytes<std::vector<double>>(b)), serialization_error);
        CHECK_THROWS_AS(static_cast<void>(from_bytes<std::vector<nothing_at_all>>(b)), serialization_error);
        CHECK_THROWS_AS(static_cast<void>(from_bytes<std::map<int, int>>(b)), serialization_error);
    }
    // It fits the bytes that are left, but not the elements.
    std::vector<std::byte> b = to_bytes(std::uint64_t{8});
    b.resize(16);
    CHECK_THROWS_AS(static_cast<void>(from_bytes<std::vector<double>>(b)), serialization_error);
}

TEST_CASE("a recursive type can't overflow the stack") {
    // A chain: value, one child, value, one child …
    std::vector<std::byte> b;
    byte_writer out(b);
    for (int i = 0; i < 100'000; ++i)
        out.put(1, std::uint64_t{1});
    CHECK_THROWS_AS(static_cast<void>(from_bytes<tree>(b)), serialization_error);
}

TEST_CASE("random bytes give a value or serialization_error, never anything else") {
    std::mt19937_64 random(20);
    survives<std::string>(random);
    survives<std::vector<bool>>(random);
    survives<std::vector<std::string>>(random);
    survives<std::map<std::string, std::vector<int>>>(random);
    survives<std::unordered_map<int, std::optional<std::string>>>(random);
    survives<std::variant<int, std::string, std::vector<char>>>(random);
    survives<std::tuple<bool, std::array<char, 3>, std::set<int>>>(random);
    survives<std::vector<nothing_at_all>>(random);
    survives<tree>(random);
}
