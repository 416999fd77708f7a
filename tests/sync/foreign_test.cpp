// Operations that no coroutine waits in: this is how the C face uses them.
#include <eddy/sync/waiting.hpp>

#include <eddy/sync/barrier.hpp>
#include <eddy/sync/condition.hpp>
#include <eddy/sync/event.hpp>
#include <eddy/sync/mutex.hpp>
#include <eddy/sync/queue.hpp>
#include <eddy/sync/shared_mutex.hpp>

#include "support/foreign.hpp"
#include "sync/support.hpp"

using namespace eddy;
using namespace eddy_test;

TEST_CASE("a foreign waiter and a coroutine wait for one mutex and one queue, in order") {
    eddy_test::run([]() -> task<> {
        loop& l = loop::current();
        mutex m;
        queue<int> q;
        std::vector<int> seen;
        auto g = co_await m.lock();
        foreign<detail::lock_operation> first(l, m);
        auto second = spawn(
            [](mutex& mine, std::vector<int>& log) -> task<> {
                const auto guard = co_await mine.lock();
                log.push_back(2);
            },
            std::ref(m), std::ref(seen));
        co_await settle_all();
        CHECK(m.waiters() == 2);
        g.unlock();
        CHECK(m.locked());
        CHECK(m.statistics().owner.empty());
        co_await settle_all();
        CHECK(first.resumed == 1);
        CHECK(seen.empty());
        {
            const auto mine = first.op->take();
            CHECK(mine.owns_lock());
        }
        co_await second;
        CHECK(seen == std::vector<int>{2});

        using get = decltype(q.get());
        foreign<get> getter(l, q);
        auto h = spawn([](queue<int>& mine, std::vector<int>& log) -> task<> { log.push_back(co_await mine.get()); },
                       std::ref(q), std::ref(seen));
        co_await settle_all();
        co_await q.put(10);
        co_await q.put(11);
        co_await h;
        CHECK(getter.op->take() == 10);
        CHECK(seen == std::vector<int>{2, 11});
    });
}

TEST_CASE("a foreign waiter that is dropped gives back what it had been granted, also when it was granted at once") {
    eddy_test::run([]() -> task<> {
        loop& l = loop::current();
        mutex m;
        queue<int> q;
        using get = decltype(q.get());
        {
            foreign<detail::lock_operation> at_once(l, m);
            CHECK(m.locked());
            foreign<detail::lock_operation> waits(l, m);
            CHECK(m.waiters() == 1);
        }
        CHECK(!m.locked());
        CHECK(m.waiters() == 0);
        co_await q.put(1);
        co_await q.put(2);
        {
            foreign<get> at_once(l, q);
            foreign<get> second(l, q);
            foreign<get> waits(l, q);
            CHECK(q.empty());
            CHECK(q.statistics().getters == 1);
        }
        CHECK(q.try_get() == 1);
        CHECK(q.try_get() == 2);
    });
}

TEST_CASE("CV-2 CV-7 a foreign waiter at a condition: notified, dropped and cancelled at any stage") {
    eddy_test::run([]() -> task<> {
        loop& l = loop::current();
        mutex m;
        condition c(m);
        using wait = detail::condition_wait_operation;
        auto mine = co_await m.lock();
        {
            foreign<wait> first(l, c, mine);
            CHECK(!mine.owns_lock());
            mutex::guard other = co_await m.lock();
            std::optional<foreign<wait>> second(std::in_place, l, c, other);
            CHECK(c.statistics().waiters == 2);
            auto g = co_await m.lock();
            c.notify_one();
            // Asked while it locks again; the other has the notification then, and is dropped with it.
            engine::cancel_scope_tree(first.place, engine::why::requested);
            CHECK(c.statistics().waiters == 0);
            second.reset();
            CHECK(m.waiters() == 1);
            CHECK(first.resumed == 0);
            g.unlock();
            co_await settle_all();
            CHECK(first.resumed == 1);
            CHECK(first.op->state() == engine::status::cancelled);
            CHECK(mine.owns_lock());
        }
        // Without a coroutine to resume, a lock that was granted comes to the guard by the operation's end.
        {
            foreign<wait> third(l, c, mine);
            auto g = co_await m.lock();
            c.notify_one();
            g.unlock();
            CHECK(!mine.owns_lock());
        }
        CHECK(mine.owns_lock());
        mine.unlock();
        CHECK(!m.locked());
    });
}

TEST_CASE("LK-16 BA-4 foreign waiters at a shared_mutex and a barrier that are dropped are in nobody's way") {
    eddy_test::run([]() -> task<> {
        loop& l = loop::current();
        shared_mutex m;
        barrier b(2);
        {
            foreign<detail::shared_mutex_operation<true>> reader(l, m);
            std::optional<foreign<detail::shared_mutex_operation<false>>> writer(std::in_place, l, m);
            foreign<detail::shared_mutex_operation<true>> behind(l, m);
            CHECK(m.statistics().waiting_readers == 1);
            writer.reset();
            CHECK(m.statistics().readers == 2);
            foreign<detail::barrier_operation> waits(l, b);
            CHECK(b.statistics().waiters == 1);
        }
        CHECK(m.statistics().readers == 0);
        CHECK(b.statistics().waiters == 0);
        {
            foreign<detail::barrier_operation> waits(l, b);
            const std::size_t index = co_await b.arrive_and_wait();
            CHECK(index == 1);
            co_await settle_all();
            CHECK(waits.op->take() == 0);
        }
    });
}

TEST_CASE("X-10 a foreign waiter has neither task nor line in the message") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        auto e = std::make_unique<event>();
        foreign<detail::event_wait_operation> waits(loop::current(), *e);
        CHECK(e->statistics().waiters == 1);
        e.reset();
        co_await settle_all();
        CHECK(waits.resumed == 1);
        CHECK(waits.op->state() == engine::status::object_destroyed);
        CHECK(text_of(waits.op->error()) == "eddy: what was waited for has been destroyed: event.wait");
        co_return;
    });
    CHECK(err.text() == "eddy: an event was destroyed while somebody waited for it: event.wait\n");
}
