#include <eddy/sync/watch.hpp>

#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include "sync/no_memory.hpp"
#include "sync/support.hpp"

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_move_constructible_v<watch<int>>);
static_assert(std::is_nothrow_move_constructible_v<watch<int>::receiver>);
static_assert(!std::is_copy_constructible_v<watch<int>::receiver>);

namespace {

using numbers = std::vector<int>;
using receiver = watch<int>::receiver;

task<> follow(receiver& r, numbers& seen) {
    for (;;) {
        const bool c = co_await r.changed();
        if (!c) co_return;
        seen.push_back(r.get());
    }
}
task<> changed_once(receiver& r, numbers& seen) {
    const bool c = co_await r.changed();
    seen.push_back(c ? r.get() : -1);
}

} // namespace

TEST_CASE("WT-1 the initial value is no change; each update is told of once") {
    eddy_test::run([]() -> task<> {
        watch<int> w(1);
        auto r = w.subscribe();
        CHECK(r.get() == 1);
        CHECK(!r.has_changed());
        numbers seen;
        auto h = spawn(follow, std::ref(r), std::ref(seen));
        co_await settle_all();
        CHECK(seen.empty());
        w.set(2);
        CHECK(seen.empty()); // it runs later
        co_await settle_all();
        CHECK(seen == numbers{2});
        w.set(2); // an update all the same
        co_await settle_all();
        CHECK(seen == numbers{2, 2});
        w.update([](int& v) { v *= 10; });
        co_await settle_all();
        CHECK(seen == numbers{2, 2, 20});
        CHECK(w.get() == 20);
        w.close();
        co_await h;
        CHECK(seen.size() == 3);
    });
}

TEST_CASE("WT-1 updates that nobody looked at in between are one change, to the newest value") {
    eddy_test::run([]() -> task<> {
        watch<int> w(0);
        auto r = w.subscribe();
        w.set(1);
        w.set(2);
        CHECK(r.has_changed());
        const bool once = co_await r.changed();
        CHECK(once);
        CHECK(r.get() == 2);
        CHECK(!r.has_changed());
        // Updated again between the wake-up and the turn of the one that waits: still one change.
        numbers seen;
        auto h = spawn(follow, std::ref(r), std::ref(seen));
        co_await settle_all();
        w.set(3);
        w.set(4);
        co_await settle_all();
        CHECK(seen == numbers{4});
        w.close();
        co_await h;
    });
}

TEST_CASE("WT-1 the last value is told of and readable when the watch has been closed or destroyed, then false") {
    for (const bool destroy : {false, true}) {
        eddy_test::run([destroy]() -> task<> {
            auto w = std::make_unique<watch<int>>(0);
            auto behind = w->subscribe();
            auto waits = w->subscribe();
            numbers seen;
            auto h = spawn(follow, std::ref(waits), std::ref(seen));
            co_await settle_all();
            w->set(5);
            if (destroy) {
                w.reset();
            } else {
                w->close();
                w->close();
                CHECK(w->closed());
                CHECK_THROWS_AS(w->set(6), closed);
                CHECK_THROWS_AS(w->update([](int& v) { v = 6; }), closed);
                CHECK(w->get() == 5);
            }
            co_await h;
            CHECK(seen == numbers{5});
            const bool once = co_await behind.changed();
            CHECK(once);
            CHECK(behind.get() == 5);
            const bool never = co_await behind.changed();
            CHECK(!never);
        });
    }
}

TEST_CASE("X-1 X-3 a change before the cancel is delivered; a cancelled wait has been told of nothing") {
    eddy_test::run([]() -> task<> {
        watch<int> w(0);
        auto r = w.subscribe();
        numbers seen;
        auto h = spawn(changed_once, std::ref(r), std::ref(seen));
        co_await settle_all();
        w.set(1);
        h.cancel();
        co_await h;
        CHECK(seen == numbers{1});
        auto k = spawn(changed_once, std::ref(r), std::ref(seen));
        co_await settle_all();
        k.cancel();
        CHECK(w.statistics().waiters == 0);
        w.set(2);
        co_await settle_all();
        CHECK(k.was_cancelled());
        const bool c = co_await r.changed();
        CHECK(c);
    });
}

TEST_CASE("X-7 a wait that was granted and is destroyed has been told of nothing") {
    eddy_test::run([]() -> task<> {
        watch<int> w(0);
        auto r = w.subscribe();
        numbers seen;
        auto h = spawn(changed_once, std::ref(r), std::ref(seen));
        co_await settle_all();
        w.set(1);
        destroy_task(h);
        CHECK(r.has_changed());
        const bool c = co_await r.changed();
        CHECK(c);
    });
}

TEST_CASE("X-12 all receivers are woken, in the order in which they came; each has its own state") {
    eddy_test::run([]() -> task<> {
        watch<int> w(0);
        std::vector<receiver> all;
        for (int i = 0; i < 3; ++i)
            all.push_back(w.subscribe());
        numbers seen;
        std::vector<task_handle<>> tasks;
        const auto wait = [](receiver& r, int id, numbers& log) -> task<> {
            const bool c = co_await r.changed();
            CHECK(c);
            log.push_back(id);
        };
        for (const int i : {2, 0, 1})
            tasks.push_back(spawn(wait, std::ref(all[static_cast<std::size_t>(i)]), i, std::ref(seen)));
        co_await settle_all();
        w.set(1);
        co_await settle_all();
        CHECK(seen == numbers{2, 0, 1});
        auto late = w.subscribe();
        CHECK(!late.has_changed());
        const auto none = co_await move_on_after(1ms, late.changed());
        CHECK(!none);
    });
}

TEST_CASE("an update that throws is told to nobody") {
    eddy_test::run([]() -> task<> {
        watch<int> w(0);
        auto r = w.subscribe();
        CHECK_THROWS_AS(w.update([](int&) { throw std::runtime_error("no"); }), std::runtime_error);
        CHECK(!r.has_changed());
        CHECK(w.statistics().updates == 0);
        co_return;
    });
}

TEST_CASE("X-10 a receiver that goes ends its wait; a second wait of one receiver, and a moved-from one, are errors") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        watch<int> w(0);
        auto r = std::make_unique<receiver>(w.subscribe());
        numbers seen;
        auto h = spawn(changed_once, std::ref(*r), std::ref(seen));
        co_await settle_all();
        const auto second = co_await settle(r->changed());
        CHECK_THROWS_WITH_AS(second.value(), doctest::Contains("a second watch.changed"), std::logic_error);
        auto moved = std::move(*r); // also while it waits
        CHECK_THROWS_AS(static_cast<void>(r->changed()), std::logic_error);
        CHECK_THROWS_AS(static_cast<void>(r->get()), std::logic_error);
        CHECK(w.statistics().receivers == 1);
        *r = std::move(moved);
        r.reset();
        CHECK(w.statistics().receivers == 0);
        const auto ended = co_await settle(h);
        CHECK_THROWS_AS(ended.value(), object_destroyed);
    });
    CHECK(err.text().find("eddy: a receiver of a watch was destroyed while somebody waited") == 0);
}

TEST_CASE("X-6 a watch of another loop's tasks is refused; values may be move-only, and updates allocate nothing") {
    testing::virtual_loop one;
    watch<std::unique_ptr<int>> w(std::make_unique<int>(1));
    auto r = w.subscribe();
    auto other_receiver = w.subscribe();
    int got = 0;
    const auto wait = [](watch<std::unique_ptr<int>>::receiver& mine, int& into) -> task<> {
        const bool c = co_await mine.changed();
        if (c) into = *mine.get();
    };
    auto h = one.spawn(wait, std::ref(r), std::ref(got));
    one.settle();
    eddy_test::run([&]() -> task<> {
        const auto refused = co_await settle(other_receiver.changed());
        CHECK_THROWS_AS(refused.value(), std::logic_error);
        CHECK_THROWS_AS(w.set(nullptr), std::logic_error);
        CHECK_THROWS_AS(w.close(), std::logic_error);
        CHECK(*w.get() == 1);
    });
    auto two = std::make_unique<int>(2);
    {
        const no_memory now;
        w.set(std::move(two));
    }
    one.settle();
    CHECK(got == 2);
    CHECK(h.done());
}
