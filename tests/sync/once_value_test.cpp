#include <eddy/sync/once_value.hpp>

#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include "sync/support.hpp"

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_move_constructible_v<once_value<int>>);

namespace {

// Takes its time, counts its calls, and fails while `failures` is not 0.
struct maker {
    int calls = 0;
    int running = 0;
    int most = 0;
    int failures = 0;
    task<counted> make() {
        const int number = ++calls;
        most = std::max(most, ++running);
        struct leave {
            int& n;
            ~leave() { --n; }
        } at_end{running};
        co_await sleep(1s);
        if (failures > 0) {
            --failures;
            throw std::runtime_error("attempt " + std::to_string(number));
        }
        co_return counted(number);
    }
};

task<int> need(once_value<counted>& o, maker& m) {
    auto op = o.get_or_init([&m] { return m.make(); });
    const counted& v = co_await op;
    co_return v.value;
}

} // namespace

TEST_CASE("OC-1 the value is made once, by whoever comes first; the others wait for it and get the same") {
    eddy_test::run([]() -> task<> {
        once_value<counted> o;
        maker m;
        CHECK(o.get() == nullptr);
        std::vector<task_handle<int>> all;
        for (int i = 0; i < 5; ++i)
            all.push_back(spawn(need, std::ref(o), std::ref(m)));
        for (auto& h : all) {
            const int v = co_await h;
            CHECK(v == 1);
        }
        CHECK(m.calls == 1);
        REQUIRE(o.get() != nullptr);
        CHECK(o.has_value());
        auto op = o.get_or_init([&m] { return m.make(); });
        counted& v = co_await op;
        CHECK(&v == o.get());
        CHECK(m.calls == 1);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("OC-1 when making it fails, the caller gets the error and the next in line makes it: one at a time") {
    eddy_test::run([]() -> task<> {
        once_value<counted> o;
        maker m;
        m.failures = 2;
        std::vector<task_handle<int>> all;
        for (int i = 0; i < 5; ++i)
            all.push_back(spawn(need, std::ref(o), std::ref(m)));
        for (std::size_t i = 0; i < 5; ++i) {
            const auto v = co_await settle(all[i]);
            if (i < 2)
                CHECK_THROWS_WITH_AS(v.value(), doctest::Contains(i == 0 ? "attempt 1" : "attempt 2"),
                                     std::runtime_error);
            else
                CHECK(v.value() == 3);
        }
        CHECK(m.calls == 3);
        CHECK(m.most == 1);
    });
}

TEST_CASE("OC-1 when the one who makes it is cancelled or destroyed, the next in line makes it") {
    for (const bool destroy : {false, true}) {
        eddy_test::run([destroy]() -> task<> {
            once_value<counted> o;
            maker m;
            auto first = spawn(need, std::ref(o), std::ref(m));
            auto second = spawn(need, std::ref(o), std::ref(m));
            auto third = spawn(need, std::ref(o), std::ref(m));
            co_await sleep(500ms);
            CHECK(m.calls == 1);
            if (destroy)
                destroy_task(first);
            else
                first.cancel();
            co_await settle_all();
            CHECK(m.calls == 2);
            CHECK(m.running == 1);
            const int b = co_await second;
            const int c = co_await third;
            CHECK(b == 2);
            CHECK(c == 2);
        });
    }
}

TEST_CASE("OC-1 X-3 one who waits and is cancelled leaves the line, and costs the others nothing") {
    eddy_test::run([]() -> task<> {
        once_value<counted> o;
        maker m;
        auto first = spawn(need, std::ref(o), std::ref(m));
        auto second = spawn(need, std::ref(o), std::ref(m));
        auto third = spawn(need, std::ref(o), std::ref(m));
        co_await sleep(500ms);
        second.cancel();
        co_await settle_all();
        CHECK(second.was_cancelled());
        const int a = co_await first;
        const int c = co_await third;
        CHECK(a == 1);
        CHECK(c == 1);
    });
}

TEST_CASE("a call in a cancelled scope throws, also when there is a value") {
    eddy_test::run([]() -> task<> {
        once_value<counted> o;
        maker m;
        const int v = co_await need(o, m);
        CHECK(v == 1);
        auto body = [](once_value<counted>& mine, maker& made) -> task<> {
            this_task::handle().cancel();
            const auto r = co_await settle(need(mine, made));
            CHECK(r.is_cancelled());
        };
        co_await spawn(body, std::ref(o), std::ref(m));
        CHECK(m.calls == 1);
    });
}

TEST_CASE("a function that asks for the value it is to make gets an error, not a deadlock") {
    eddy_test::run([]() -> task<> {
        once_value<int> o;
        auto make = [&o]() -> task<int> {
            auto inner = o.get_or_init([]() -> task<int> { co_return 1; });
            int& v = co_await inner;
            co_return v;
        };
        auto op = o.get_or_init(make);
        bool refused = false;
        try {
            static_cast<void>(co_await op);
        } catch (const std::logic_error&) {
            refused = true;
        }
        CHECK(refused);
        CHECK(!o.has_value());
    });
}

TEST_CASE("void: something is done once") {
    eddy_test::run([]() -> task<> {
        once_value<> o;
        int done = 0;
        auto act = [&done]() -> task<> {
            ++done;
            co_return;
        };
        for (int i = 0; i < 3; ++i) {
            auto op = o.get_or_init(act);
            co_await op;
        }
        CHECK(done == 1);
        CHECK(o.has_value());
    });
}

TEST_CASE("X-10 destroyed while one makes the value and others wait: all get object_destroyed") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        auto o = std::make_unique<once_value<counted>>();
        maker m;
        auto first = spawn(need, std::ref(*o), std::ref(m));
        auto second = spawn(need, std::ref(*o), std::ref(m));
        co_await sleep(500ms);
        o.reset();
        const auto a = co_await settle(first);
        CHECK_THROWS_WITH_AS(a.value(), doctest::Contains("while its value was being made"), object_destroyed);
        const auto b = co_await settle(second);
        CHECK_THROWS_AS(b.value(), object_destroyed);
        CHECK(m.calls == 1);
    });
    CHECK(counted::alive() == 0);
}
