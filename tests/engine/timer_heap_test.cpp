#include <eddy/engine/timer_heap.hpp>

#include <eddy/engine/pool.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <set>
#include <tuple>
#include <vector>

using eddy::engine::timer;
using eddy::engine::timer_heap;

namespace {

// Everything due at `now`, as places in `timers`.
std::vector<std::size_t> pop_all(timer_heap& h, const std::vector<timer>& timers, std::int64_t now) {
    std::vector<std::size_t> order;
    while (const timer* t = h.pop_due(now))
        order.push_back(static_cast<std::size_t>(t - timers.data()));
    return order;
}

// This thread's allocations fail while it lives.
class no_memory {
public:
    no_memory() : pool_(*eddy::engine::current_pool()) {
        pool_.set_fault([](void*, std::size_t) noexcept { return true; }, nullptr);
    }
    ~no_memory() { pool_.set_fault(nullptr, nullptr); }
    no_memory(const no_memory&) = delete;

private:
    eddy::engine::pool& pool_;
};

} // namespace

TEST_CASE("LP-4 a timer is not due before its deadline, and is at it") {
    timer_heap h;
    timer t;
    CHECK(h.empty());
    CHECK(h.pop_due(INT64_MAX) == nullptr);
    REQUIRE(h.arm(t, 100));
    CHECK(t.armed());
    CHECK(h.deadline_of(t) == 100);
    CHECK(h.next_deadline() == 100);
    CHECK(h.pop_due(99) == nullptr);
    CHECK(h.pop_due(100) == &t);
    CHECK_FALSE(t.armed());
    CHECK(h.empty());
}

TEST_CASE("LP-5 overdue timers come in the order of their deadlines") {
    timer_heap h;
    std::vector<timer> t(4);
    REQUIRE(h.arm(t[0], -1));
    REQUIRE(h.arm(t[1], -2));
    REQUIRE(h.arm(t[2], INT64_MAX));
    REQUIRE(h.arm(t[3], INT64_MIN));
    CHECK(pop_all(h, t, 0) == std::vector<std::size_t>{3, 1, 0});
    CHECK(h.size() == 1);
    CHECK(h.next_deadline() == INT64_MAX);
}

TEST_CASE("LP-6 equal deadlines come in the order of arming, whatever leaves in between") {
    timer_heap h;
    std::vector<timer> t(200);
    for (auto& x : t)
        REQUIRE(h.arm(x, 5));
    for (std::size_t i = 0; i < t.size(); i += 3)
        h.disarm(t[i]);
    // Arming again goes to the end.
    REQUIRE(h.arm(t[1], 5));
    std::vector<std::size_t> expected;
    for (std::size_t i = 0; i < t.size(); ++i)
        if (i % 3 != 0 && i != 1) expected.push_back(i);
    expected.push_back(1);
    CHECK(pop_all(h, t, 5) == expected);
}

TEST_CASE("of equal deadlines, those that are to be last come after all others") {
    timer_heap h;
    std::vector<timer> t(6);
    for (std::size_t i = 0; i < t.size(); ++i)
        REQUIRE(h.arm(t[i], i == 5 ? 1 : 2, i % 2 == 0));
    CHECK(pop_all(h, t, 2) == std::vector<std::size_t>{5, 1, 3, 0, 2, 4});
}

TEST_CASE("arming an armed timer moves it") {
    timer_heap h;
    std::vector<timer> t(2);
    REQUIRE(h.arm(t[0], 10));
    REQUIRE(h.arm(t[1], 20));
    REQUIRE(h.arm(t[0], 30));
    CHECK(h.size() == 2);
    CHECK(h.next_deadline() == 20);
    REQUIRE(h.arm(t[0], 5));
    CHECK(pop_all(h, t, 100) == std::vector<std::size_t>{0, 1});
}

TEST_CASE("disarming what is not armed changes nothing") {
    timer_heap h;
    timer a;
    timer b;
    h.disarm(a);
    REQUIRE(h.arm(b, 1));
    h.disarm(a);
    CHECK(h.size() == 1);
    h.disarm(b);
    h.disarm(b);
    CHECK(h.empty());
}

TEST_CASE("a hundred thousand random steps give what a sorted set gives") {
    std::mt19937 random(20240517);
    timer_heap h;
    std::vector<timer> t(400);
    using key = std::tuple<std::int64_t, std::uint64_t, std::size_t>; // deadline, order of arming, place
    std::set<key> model;
    std::vector<key> armed(t.size());
    std::uint64_t order = 0;
    const auto remove = [&](std::size_t i) {
        if (t[i].armed()) model.erase(armed[i]);
    };
    int wrong = 0;
    for (int step = 0; step < 100'000; ++step) {
        const std::size_t i = random() % t.size();
        switch (random() % 4) {
        case 0:
        case 1:
            remove(i);
            armed[i] = {static_cast<std::int64_t>(random() % 50), order++, i};
            model.insert(armed[i]);
            wrong += !h.arm(t[i], std::get<0>(armed[i]));
            break;
        case 2:
            remove(i);
            h.disarm(t[i]);
            break;
        default: {
            const auto now = static_cast<std::int64_t>(random() % 60);
            const bool due = !model.empty() && std::get<0>(*model.begin()) <= now;
            const timer* got = h.pop_due(now);
            wrong += (got != nullptr) != due;
            if (got != nullptr) {
                wrong += static_cast<std::size_t>(got - t.data()) != std::get<2>(*model.begin());
                model.erase(model.begin());
            }
        }
        }
        wrong += h.size() != model.size();
        if (!model.empty()) wrong += h.next_deadline() != std::get<0>(*model.begin());
    }
    CHECK(wrong == 0);
    for (auto& x : t)
        h.disarm(x);
    CHECK(h.empty());
}

TEST_CASE("LP-12 cancelled timers leave at once: none is at the head, and the memory goes back") {
    timer_heap h;
    std::vector<timer> t(100'000);
    for (std::size_t i = 0; i < t.size(); ++i)
        REQUIRE(h.arm(t[i], static_cast<std::int64_t>(i)));
    CHECK(h.bytes() >= t.size() * 16);
    for (std::size_t i = 0; i + 1 < t.size(); ++i)
        h.disarm(t[i]);
    CHECK(h.size() == 1);
    CHECK(h.next_deadline() == static_cast<std::int64_t>(t.size() - 1));
    h.disarm(t.back());
    CHECK(h.bytes() == 0);
    // A small one is kept.
    REQUIRE(h.arm(t[0], 1));
    h.disarm(t[0]);
    CHECK(h.bytes() > 0);
    CHECK(h.bytes() <= 1024 * 16);
}

TEST_CASE("without memory a timer is not armed, and those that are stay; disarming needs none") {
    timer_heap h;
    std::vector<timer> t(33);
    {
        const no_memory now;
        CHECK_FALSE(h.arm(t[0], 1));
        CHECK_FALSE(t[0].armed());
    }
    for (std::size_t i = 0; i < 32; ++i)
        REQUIRE(h.arm(t[i], 7));
    {
        const no_memory now;
        CHECK_FALSE(h.arm(t[32], 1));
        CHECK_FALSE(t[32].armed());
        CHECK(h.size() == 32);
        REQUIRE(h.arm(t[31], 3)); // moves: there is room
        h.disarm(t[0]);
        CHECK(h.size() == 31);
    }
    CHECK(h.next_deadline() == 3);
    for (auto& x : t)
        h.disarm(x);
}
