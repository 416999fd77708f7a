// When memory has run out: an operation of a queue that needs some fails and has changed nothing; those that give back,
// close or destroy need none. The other primitives never need any.
#include <eddy/sync/barrier.hpp>
#include <eddy/sync/latch.hpp>
#include <eddy/sync/queue.hpp>
#include <eddy/sync/shared_mutex.hpp>

#include <eddy/flow/settle.hpp>

#include "sync/no_memory.hpp"
#include "sync/queue_support.hpp"

#include <new>

using namespace eddy;
using namespace eddy_test;

namespace {

// Fills the queue's first room, 8 items, to the last place.
template <class Q>
void fill_room(Q& q) {
    for (int i = 1; i <= 8; ++i)
        CHECK(q.try_put(i));
}

} // namespace

TEST_CASE_TEMPLATE("a put that finds no memory has put nothing and has its item", Order, fifo, lifo, priority<>) {
    eddy_test::run([]() -> task<> {
        queue<int, Order> q;
        fill_room(q);
        auto op = q.put(9);
        bool refused = false;
        {
            const no_memory now;
            try {
                co_await op;
            } catch (const std::bad_alloc&) {
                refused = true;
            }
        }
        CHECK(refused);
        CHECK(op.item() == 9);
        {
            const no_memory now;
            CHECK_THROWS_AS(q.try_put(9), std::bad_alloc);
        }
        CHECK(q.size() == 8);
        CHECK(q.unfinished() == 8);
        CHECK(q.try_put(9));
        CHECK(drain(q).size() == 9);
    });
}

TEST_CASE("a put to a getter that waits makes room for the item's coming back; refused, the getter goes on waiting") {
    eddy_test::run([]() -> task<> {
        queue<int> q;
        numbers seen;
        auto getter = spawn(get_one, std::ref(q), std::ref(seen));
        co_await settle_all();
        {
            const no_memory now;
            CHECK_THROWS_AS(q.try_put(1), std::bad_alloc);
        }
        CHECK(q.statistics().getters == 1);
        CHECK(q.unfinished() == 0);
        CHECK(q.try_put(1));
        {
            const no_memory now;
            destroy_task(getter);
        }
        CHECK(drain(q) == numbers{1});
    });
}

TEST_CASE("a get that lets a putter in makes room first: refused, neither has happened") {
    eddy_test::run([]() -> task<> {
        queue<int> q(8);
        fill_room(q);
        auto putter = spawn(put_one, std::ref(q), 9);
        co_await settle_all();
        auto op = q.get();
        bool refused = false;
        {
            const no_memory now;
            try {
                static_cast<void>(co_await op);
            } catch (const std::bad_alloc&) {
                refused = true;
            }
        }
        CHECK(refused);
        CHECK(q.size() == 8);
        CHECK(q.statistics().putters == 1);
        {
            const no_memory now;
            CHECK_THROWS_AS(static_cast<void>(q.try_get()), std::bad_alloc);
        }
        CHECK(q.statistics().putters == 1);
        CHECK(drain(q) == numbers{1, 2, 3, 4, 5, 6, 7, 8, 9});
        co_await putter;
    });
}

TEST_CASE("shutdown that finds no memory for the list has not closed the queue; close needs none") {
    queue<int> q;
    fill_room(q);
    {
        const no_memory now;
        CHECK_THROWS_AS(q.shutdown(), std::bad_alloc);
        CHECK(!q.closed());
        q.close();
    }
    CHECK(q.shutdown().size() == 8);
}

TEST_CASE("waiting at a shared_mutex, a barrier and a latch, leaving and letting go need no memory") {
    eddy_test::run([]() -> task<> {
        shared_mutex m;
        barrier b(2);
        latch l(2);
        int passed = 0;
        auto visit = [](shared_mutex& lock, barrier& two, latch& all, int& n) -> task<> {
            {
                const auto alone = co_await lock.lock();
                co_await yield();
            }
            const auto share = co_await lock.lock_shared();
            static_cast<void>(co_await two.arrive_and_wait());
            co_await all.arrive_and_wait();
            ++n;
        };
        std::vector<task_handle<>> visitors;
        for (int i = 0; i < 4; ++i)
            visitors.push_back(spawn(visit, std::ref(m), std::ref(b), std::ref(l), std::ref(passed)));
        auto g = co_await m.lock();
        {
            const no_memory now;
            for (int i = 0; i < 3; ++i)
                co_await yield();
            const std::size_t bytes = loop::current().statistics().bytes;
            visitors[0].cancel();
            destroy_task(visitors[1]);
            g.unlock();
            for (int i = 0; i < 20; ++i)
                co_await yield();
            CHECK(loop::current().statistics().bytes < bytes);
        }
        CHECK(passed == 2);
        CHECK(l.try_wait());
    });
}
