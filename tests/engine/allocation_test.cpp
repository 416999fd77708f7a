// Waking, cancelling and closing must not allocate: they are what runs when memory has run out.
#include "support/sanitizers.hpp"

#if !EDDY_TEST_TSAN // which has an operator new of its own
#include <eddy/core/sleep.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/sync/event.hpp>
#include <eddy/sync/mutex.hpp>
#include <eddy/sync/queue.hpp>
#include <eddy/sync/semaphore.hpp>

#include "core/state.hpp"
#include "support/run.hpp"

#include <cstdlib>
#include <new>
#include <vector>

using namespace std::chrono_literals;

namespace {

// All of this program's allocations, by operator new and from the pools, while `counting`.
bool counting = false;
std::size_t allocations = 0;

struct counted_region {
    counted_region() {
        allocations = 0;
        counting = true;
    }
    ~counted_region() { counting = false; }
};

bool refuse(void*, std::size_t) noexcept {
    if (counting) ++allocations;
    return counting;
}

// Every way to wait, once.
struct waits {
    eddy::event event;
    eddy::mutex mutex;
    eddy::semaphore semaphore{0};
    eddy::queue<int> empty;
    eddy::queue<int> full{1};
};

eddy::task<void> wait_event(waits& w) { co_await w.event.wait(); }
eddy::task<void> wait_mutex(waits& w) { auto guard = co_await w.mutex.lock(); }
eddy::task<void> wait_semaphore(waits& w) { auto permit = co_await w.semaphore.acquire(); }
eddy::task<void> wait_get(waits& w) { static_cast<void>(co_await w.empty.get()); }
eddy::task<void> wait_put(waits& w) { co_await w.full.put(1); }
eddy::task<void> wait_sleep(waits&) { co_await eddy::sleep(1h); }
eddy::task<void> wait_limited(waits& w) {
    auto limited = eddy::timeout(1h, w.event.wait());
    co_await limited;
}
eddy::task<void> wait_child(waits& w) { co_await wait_event(w); }
eddy::task<void> wait_group(waits& w) {
    auto group = eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<void> {
        g.spawn(wait_event(w));
        co_await wait_get(w);
    });
    co_await group;
}

std::vector<eddy::any_task_handle> spawn_all(waits& w) {
    std::vector<eddy::any_task_handle> all;
    for (auto* f : {&wait_event, &wait_mutex, &wait_semaphore, &wait_get, &wait_put, &wait_sleep, &wait_limited,
                    &wait_child, &wait_group})
        for (int i = 0; i < 3; ++i)
            all.emplace_back(eddy::spawn(f(w)));
    return all;
}

} // namespace

// NOLINTBEGIN(misc-new-delete-overloads)
void* operator new(std::size_t size) {
    if (counting) ++allocations;
    void* p = std::malloc(size == 0 ? 1 : size);
    if (p == nullptr) throw std::bad_alloc();
    return p;
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
// NOLINTEND(misc-new-delete-overloads)

TEST_CASE("cancelling every kind of wait allocates nothing") {
    eddy_test::run([]() -> eddy::task<void> {
        waits w;
        auto held = w.mutex.try_lock();
        static_cast<void>(w.full.try_put(0));
        auto all = spawn_all(w);
        co_await eddy::yield();
        co_await eddy::yield();
        const eddy::cancel_reason reason;
        {
            const counted_region region;
            for (auto& h : all)
                h.cancel(reason);
        }
        CHECK(allocations == 0);
        for (auto& h : all) {
            auto settled = eddy::settle(h);
            const auto end = co_await settled;
            CHECK(end.is_cancelled());
            CHECK(h.was_cancelled());
        }
    });
}

TEST_CASE("waking every kind of waiter allocates nothing") {
    eddy_test::run([]() -> eddy::task<void> {
        waits w;
        // A put makes room for its item, also for its coming back; that is the put's, and done before.
        for (int i = 0; i < 8; ++i)
            static_cast<void>(w.empty.try_put(i));
        while (w.empty.try_get().has_value()) {
        }
        auto held = w.mutex.try_lock();
        static_cast<void>(w.full.try_put(0));
        auto all = spawn_all(w);
        co_await eddy::yield();
        co_await eddy::yield();
        {
            const counted_region region;
            w.event.set();
            held.reset();
            w.semaphore.release(3);
            static_cast<void>(w.full.try_get());
            for (int i = 0; i < 6; ++i)
                static_cast<void>(w.empty.try_put(i)); // straight to those who wait
        }
        CHECK(allocations == 0);
        w.full.close();
        for (auto& h : all)
            h.cancel();
        for (auto& h : all) {
            auto settled = eddy::settle(h);
            static_cast<void>(co_await settled);
        }
    });
}

TEST_CASE("a program whose memory has run out still cancels, wakes and ends its tasks") {
    eddy::testing::virtual_loop l;
    eddy::engine::hooks hooks;
    hooks.fault = &refuse;
    waits w;
    std::vector<eddy::any_task_handle> all;
    auto start = [&]() -> eddy::task<void> {
        all = spawn_all(w);
        co_return;
    };
    l.run(start());
    l.settle();
    l.detail_state().set_hooks(&hooks);
    counting = true;
    w.event.set();
    for (auto& h : all)
        h.cancel();
    l.settle();
    counting = false;
    l.detail_state().set_hooks(nullptr);
    for (auto& h : all)
        CHECK(h.done());
    all.clear();
    eddy_test::check_empty(l);
}

#endif
