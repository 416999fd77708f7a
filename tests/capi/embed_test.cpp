// Loops in other loops, fork, options, and watching what goes on.
#include "fixture.hpp"
#include "support/sanitizers.hpp"

#include <eddy/eddy.hpp>

#include "eddy_uv.h"

#include <atomic>
#include <cstring>
#include <poll.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

eddy_loop* named_loop(std::uint32_t flags = 0) {
    eddy_loop_opts o;
    EDDY_INIT(&o);
    o.flags = flags;
    o.name = "mine";
    eddy_loop* l = nullptr;
    REQUIRE(eddy_loop_new(&o, &l) == EDDY_OK);
    return l;
}
void close_loop(eddy_loop* l) {
    CHECK(eddy_loop_close(l, EDDY_SEC(10)) == EDDY_OK);
    eddy_unref(l);
}
bool readable(int fd, int ms) {
    pollfd p{fd, POLLIN, 0};
    return poll(&p, 1, ms) == 1;
}

} // namespace

TEST_CASE("embedding: the timeout says when to run; the descriptor wakes for posts; NOWAIT runs until it is quiet") {
    eddy_loop* l = named_loop();
    CHECK(eddy_loop_timeout(l) == EDDY_FOREVER);
    held sleep(eddy_sleep(l, EDDY_SEC(5)));
    const std::uint64_t t = eddy_loop_timeout(l);
    CHECK(t > EDDY_SEC(4));
    CHECK(t <= EDDY_SEC(5));
    static int called;
    called = 0;
    CHECK(eddy_call_soon(l, [](void*) { ++called; }, nullptr, nullptr) == EDDY_OK);
    CHECK(eddy_loop_timeout(l) == 0);
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
    CHECK(called == 1);
    CHECK(eddy_loop_timeout(l) > EDDY_SEC(4));
    const int fd = eddy_loop_fd(l);
    CHECK_FALSE(readable(fd, 0));
    std::thread([&] {
        CHECK(eddy_call_soon_threadsafe(l, [](void*) { ++called; }, nullptr, nullptr) == EDDY_OK);
    }).join();
    CHECK(readable(fd, 10'000));
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
    CHECK(called == 2);
    eddy_op_cancel(sleep);
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 0);
    close_loop(l);
}

TEST_CASE("on_wake: told when the loop wants to run sooner than it last said, from any thread, and not otherwise") {
    eddy_loop* l = named_loop();
    std::atomic<int> wakes{0};
    dropped() = 0;
    const auto wake = [](void* n) { ++*static_cast<std::atomic<int>*>(n); };
    CHECK(eddy_loop_on_wake(l, wake, &wakes, &count_drop) == EDDY_OK);
    held far(eddy_sleep(l, EDDY_SEC(100)));
    CHECK(eddy_loop_timeout(l) > 0);
    held farther(eddy_sleep(l, EDDY_SEC(200)));
    CHECK(wakes == 0);
    held sooner(eddy_sleep(l, EDDY_SEC(50)));
    CHECK(wakes == 1);
    CHECK(eddy_loop_timeout(l) > 0);
    std::thread([&] { eddy_op_cancel(far); }).join();
    CHECK(wakes == 2);
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
    CHECK(eddy_loop_on_wake(l, nullptr, nullptr, nullptr) == EDDY_OK);
    CHECK(dropped() == 1);
    const int before = wakes;
    eddy_op_cancel(sooner);
    CHECK(wakes == before);
    eddy_op_cancel(farther);
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 0);
    close_loop(l);
}

TEST_CASE("FD_ONLY: the descriptor alone tells: timers, ready work, descriptors that are waited for") {
    if (eddy_has("fd-only") == 0) return;
    eddy_loop* l = named_loop(EDDY_LOOP_FD_ONLY);
    const int fd = eddy_loop_fd(l);
    const auto run_while_readable = [&](eddy_op* op) -> int {
        while (eddy_op_status(op) == EDDY_PENDING) {
            if (!readable(fd, 10'000)) return EDDY_EDEADLK;
            static_cast<void>(eddy_loop_run(l, EDDY_RUN_NOWAIT));
        }
        return eddy_op_status(op);
    };
    while (readable(fd, 0))
        static_cast<void>(eddy_loop_run(l, EDDY_RUN_NOWAIT));
    trace t{};
    yielder y{&t, 1, 3, 0};
    held sleep(eddy_sleep(l, EDDY_MS(3)));
    CHECK(run_while_readable(sleep) == EDDY_OK);
    held task(eddy_spawn(l, &yielder_step, &y, nullptr)); // ready, outside of a run
    CHECK(run_while_readable(task) == EDDY_OK);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    held wait(eddy_fd_wait(l, ends[0], EDDY_READABLE));
    REQUIRE(write(ends[1], "x", 1) == 1);
    CHECK(run_while_readable(wait) == EDDY_OK);
    CHECK(eddy_op_number(wait) == EDDY_READABLE);
    CHECK_FALSE(readable(fd, 0));
    close(ends[0]);
    close(ends[1]);
    close_loop(l);
}

TEST_CASE("fd_wait: several for one descriptor, cancelled, timed out, hang-up; what can't be waited for") {
    eddy_loop* l = named_loop();
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    held a(eddy_fd_wait(l, ends[0], EDDY_READABLE));
    held b(eddy_fd_wait(l, ends[0], EDDY_READABLE | EDDY_HANGUP));
    held c(eddy_op_timeout(eddy_fd_wait(l, ends[0], EDDY_READABLE), EDDY_MS(1)));
    held w(eddy_fd_wait(l, ends[1], EDDY_WRITABLE));
    CHECK(eddy_loop_run_until(l, w, EDDY_FOREVER) == EDDY_OK);
    CHECK(eddy_op_number(w) == EDDY_WRITABLE);
    CHECK(eddy_loop_run_until(l, c, EDDY_FOREVER) == EDDY_ETIMEDOUT);
    CHECK(eddy_loop_alive(l) == 1);
    eddy_op_cancel(b);
    CHECK(eddy_loop_run_until(l, b, EDDY_FOREVER) == EDDY_ECANCELED);
    REQUIRE(write(ends[1], "x", 1) == 1);
    CHECK(eddy_loop_run_until(l, a, EDDY_FOREVER) == EDDY_OK);
    held again(eddy_fd_wait(l, ends[0], EDDY_READABLE)); // still readable
    CHECK(eddy_loop_run_until(l, again, EDDY_FOREVER) == EDDY_OK);
    held hangup(eddy_fd_wait(l, ends[1], EDDY_HANGUP));
    close(ends[0]);
    static_cast<void>(eddy_loop_run_until(l, hangup, EDDY_SEC(10)));
    CHECK(eddy_op_status(hangup) != EDDY_PENDING);
    close(ends[1]);
    held negative(eddy_fd_wait(l, -1, EDDY_READABLE));
    CHECK(eddy_op_status(negative) == EDDY_EINVAL);
    held nothing(eddy_fd_wait(l, 0, 0));
    CHECK(eddy_op_status(nothing) == EDDY_EINVAL);
    held unknown(eddy_fd_wait(l, 0, 64));
    CHECK(eddy_op_status(unknown) == EDDY_ETOOBIG);
    held bad(eddy_fd_wait(l, 12345, EDDY_READABLE));
    CHECK(eddy_op_status(bad) == UV_EBADF);
    c_loop simulated;
    held none(eddy_fd_wait(simulated, 0, EDDY_READABLE));
    CHECK(eddy_op_status(none) == EDDY_ENOTSUP);
    CHECK(eddy_loop_fd(simulated) == EDDY_ENOTSUP);
    close_loop(l);
}

TEST_CASE("an adopted uv_loop_t: run by its host, closed when its tasks have ended; another libuv is refused") {
    uv_loop_t uv;
    REQUIRE(uv_loop_init(&uv) == 0);
    eddy_loop_opts o;
    EDDY_INIT(&o);
    eddy_loop_opts_adopt(&o, &uv);
    eddy_loop* l = nullptr;
    REQUIRE(eddy_loop_new(&o, &l) == EDDY_OK);
    trace t{};
    cleaner clean{&t, 1, 0};
    held task(eddy_spawn(l, &cleaner_step, &clean, nullptr));
    held sleep(eddy_sleep(l, EDDY_MS(2)));
    static eddy_op* asked;
    asked = task;
    CHECK(eddy_op_then(
              static_cast<eddy_op*>(eddy_ref(sleep)), [](eddy_op*, void*) { eddy_op_cancel(asked); }, nullptr,
              nullptr) == EDDY_OK);
    CHECK(uv_run(&uv, UV_RUN_DEFAULT) == 0); // ends when eddy has nothing left
    CHECK(seen(t) == std::vector<int>{EDDY_ECANCELED, 1, EDDY_OK, 1});
    clean.i = 0;
    held second(eddy_spawn(l, &cleaner_step, &clean, nullptr));
    CHECK(uv_run(&uv, UV_RUN_NOWAIT) != 0);
    CHECK(eddy_loop_close(l, EDDY_SEC(1)) == EDDY_EBUSY); // it runs nothing; the task is cancelled
    held gone(eddy_loop_shutdown(l));
    CHECK(eddy_op_status(gone) == EDDY_PENDING);
    uv_run(&uv, UV_RUN_DEFAULT);
    CHECK(eddy_op_status(gone) == EDDY_OK);
    CHECK(eddy_op_status(second) == EDDY_OK);
    CHECK(eddy_loop_close(l, 0) == EDDY_OK);
    eddy_unref(l);
    uv_run(&uv, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&uv) == 0);
    // The proof that both sides share one libuv.
    o.uv_version += 1;
    CHECK(eddy_loop_new(&o, &l) == EDDY_EABI);
    eddy_loop_opts_adopt(&o, &uv);
    o.uv_probe = [] {};
    CHECK(eddy_loop_new(&o, &l) == EDDY_EABI);
    eddy_loop_opts_adopt(&o, &uv);
    o.flags = EDDY_LOOP_FD_ONLY;
    CHECK(eddy_loop_new(&o, &l) == EDDY_EINVAL);
}

TEST_CASE("structs that begin with their size: shorter ones, longer ones, unknown fields and flags") {
    struct longer {
        eddy_loop_opts o;
        std::uint64_t later;
    } big{};
    EDDY_INIT(&big.o);
    big.o.size = sizeof big;
    eddy_loop* l = nullptr;
    CHECK(eddy_loop_new(&big.o, &l) == EDDY_OK); // the tail is zero
    big.later = 1;
    eddy_loop* none = nullptr;
    CHECK(eddy_loop_new(&big.o, &none) == EDDY_ETOOBIG);
    std::uint32_t shortest[2] = {8, 0};
    CHECK(eddy_loop_new(reinterpret_cast<const eddy_loop_opts*>(shortest), &none) == EDDY_OK);
    eddy_unref(none);
    eddy_loop_opts o;
    EDDY_INIT(&o);
    o.flags = 1u << 30;
    CHECK(eddy_loop_new(&o, &none) == EDDY_ETOOBIG);
    CHECK(none == nullptr);
    o.flags = 0;
    eddy_allocator half;
    EDDY_INIT(&half);
    half.alloc = [](void*, std::size_t, std::size_t) -> void* { return nullptr; };
    o.allocator = &half;
    CHECK(eddy_loop_new(&o, &none) == EDDY_EINVAL);
    half.free = [](void*, void*, std::size_t, std::size_t) {};
    CHECK(eddy_loop_new(&o, &none) == EDDY_ENOMEM);
    struct {
        eddy_loop_stats s;
        std::uint64_t later;
    } stats;
    std::memset(&stats, 0xff, sizeof stats);
    stats.s.size = sizeof stats;
    CHECK(eddy_loop_get_stats(l, &stats.s) == EDDY_OK);
    CHECK(stats.s.size == sizeof stats);
    CHECK(stats.later == 0);
    stats.s.size = 3;
    CHECK(eddy_loop_get_stats(l, &stats.s) == EDDY_EINVAL);
    eddy_init_struct(nullptr, 8);
    CHECK(eddy_has("no such thing") == 0);
    close_loop(l);
}

TEST_CASE("an allocator of the program: asked for what the loop needs, and given all of it back") {
    static std::atomic<std::size_t> bytes;
    static std::atomic<int> calls;
    bytes = 0;
    calls = 0;
    eddy_allocator a;
    EDDY_INIT(&a);
    a.alloc = [](void*, std::size_t size, std::size_t align) {
        bytes += size;
        ++calls;
        return std::aligned_alloc(align, (size + align - 1) / align * align);
    };
    a.free = [](void*, void* p, std::size_t size, std::size_t) {
        bytes -= size;
        std::free(p);
    };
    eddy_loop_opts o;
    EDDY_INIT(&o);
    o.allocator = &a;
    eddy_loop* l = nullptr;
    REQUIRE(eddy_loop_new(&o, &l) == EDDY_OK);
    const int before = calls;
    held sleep(eddy_sleep(l, EDDY_MS(1)));
    CHECK(calls > before);
    trace t{};
    yielder y{&t, 1, 3, 0};
    held task(eddy_spawn(l, &yielder_step, &y, nullptr));
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
    sleep.drop();
    task.drop();
    close_loop(l);
    CHECK(bytes == 0);
}

#if !EDDY_TEST_ASAN // where each block is malloced

namespace {
struct many {
    eddy_mutex* mutex;
    int n;
    int calls;
    std::atomic<int>* counter;
};
int many_ops(eddy_task* task, void* state) {
    auto* s = static_cast<many*>(state);
    EDDY_BEGIN(task);
    for (s->n = 0; s->n < 20'000; ++s->n) {
        if (s->n == 10'000) s->calls = *s->counter;
        EDDY_TRY(task, eddy_op_timeout(eddy_mutex_lock(s->mutex), EDDY_SEC(1)));
        eddy_mutex_unlock(s->mutex);
        if (s->n % 10 == 0) EDDY_TRY(task, eddy_sleep(eddy_task_loop(task), 0));
    }
    return eddy_return_number(task, *s->counter - s->calls);
    EDDY_END(task);
}
} // namespace

TEST_CASE("an op costs no call of the allocator once the loop is warm") {
    static std::atomic<int> calls;
    eddy_allocator a;
    EDDY_INIT(&a);
    a.alloc = [](void*, std::size_t size, std::size_t align) {
        ++calls;
        return std::aligned_alloc(align, (size + align - 1) / align * align);
    };
    a.free = [](void*, void* p, std::size_t, std::size_t) { std::free(p); };
    eddy_loop_opts o;
    EDDY_INIT(&o);
    o.allocator = &a;
    eddy_loop* l = nullptr;
    REQUIRE(eddy_loop_new(&o, &l) == EDDY_OK);
    held m(new_mutex(l));
    many s{m, 0, 0, &calls};
    held op(eddy_spawn(l, &many_ops, &s, nullptr));
    CHECK(eddy_loop_run_until(l, op, EDDY_FOREVER) == EDDY_OK);
    CHECK(eddy_op_number(op) == 0);
    close_loop(l);
}
#endif

TEST_CASE("fork: the child is told and may only abandon; the parent goes on") {
    eddy_loop* l = named_loop();
    held q(new_queue(l, 0, &count_drop));
    static int item;
    CHECK(eddy_queue_try_put(q, &item) == EDDY_OK);
    held sleep(eddy_sleep(l, EDDY_MS(5)));
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int wrong = 0;
        wrong += eddy_loop_run(l, EDDY_RUN_NOWAIT) != EDDY_EFORKED;
        wrong += eddy_loop_close(l, 0) != EDDY_EFORKED;
        wrong += eddy_queue_try_put(q, &item) != EDDY_EFORKED;
        eddy_op* const op = eddy_sleep(l, 1);
        wrong += eddy_op_status(op) != EDDY_EFORKED;
        eddy_unref(op);
        dropped() = 0;
        eddy_loop_abandon(l);
        wrong += eddy_op_status(sleep) != EDDY_ECLOSED;
        sleep.drop();
        q.drop();
        wrong += dropped() != 1;
        eddy_loop* mine = nullptr;
        wrong += eddy_loop_new(nullptr, &mine) != EDDY_OK;
        eddy_op* const nap = eddy_sleep(mine, EDDY_MS(1));
        wrong += eddy_loop_run_until(mine, nap, EDDY_FOREVER) != EDDY_OK;
        _exit(wrong);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(eddy_loop_run_until(l, sleep, EDDY_FOREVER) == EDDY_OK);
    CHECK(eddy_queue_size(q) == 1);
    close_loop(l);
}

TEST_CASE("shutdown: tasks are cancelled and may clean up, new ones are refused; it finishes with the last") {
    c_loop l;
    trace t{};
    cleaner clean{&t, 1, 0};
    held task(eddy_spawn(l, &cleaner_step, &clean, nullptr));
    l.settle();
    held down(eddy_loop_shutdown(l));
    held late(eddy_spawn(l, &cleaner_step, &clean, nullptr));
    CHECK(eddy_op_status(late) == EDDY_ECLOSED);
    CHECK(eddy_call_soon(l, [](void*) {}, nullptr, nullptr) == EDDY_ECLOSED);
    held impatient(eddy_op_timeout(eddy_loop_shutdown(l), EDDY_MS(1)));
    CHECK(l.until(impatient) == EDDY_ETIMEDOUT);
    CHECK(l.until(down) == EDDY_OK);
    CHECK(eddy_loop_now(l) == EDDY_MS(10));
    CHECK(seen(t) == std::vector<int>{EDDY_ECANCELED, 1, EDDY_OK, 1});
    held again(eddy_loop_shutdown(l));
    CHECK(eddy_op_status(again) == EDDY_OK);
}

namespace {
struct records {
    std::vector<std::string> lines;
    static void take(const eddy_log_record* r, void* user) {
        CHECK(r->size == sizeof *r);
        static_cast<records*>(user)->lines.push_back(std::to_string(r->level) + " " +
                                                     (r->loop_name == nullptr ? "" : r->loop_name) + " " + r->message);
    }
};
} // namespace

TEST_CASE("unhandled errors: to the hook, else to the log; callbacks that throw are logged") {
    eddy_loop* l = named_loop();
    records log;
    dropped() = 0;
    CHECK(eddy_set_log(EDDY_LOG_ERROR, &records::take, &log, &count_drop) == EDDY_OK);
    const auto fails = [](eddy_task* task, void*) -> int { return eddy_fail(task, -20001, "lost"); };
    eddy_op* named = eddy_spawn(l, fails, nullptr, nullptr);
    CHECK(eddy_op_set_name(named, "worker") == EDDY_OK);
    eddy_unref(named);
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
    REQUIRE(log.lines.size() == 1);
    CHECK(log.lines[0] == "2 mine an operation failed and nobody looked at it (worker): EDDY_EUSER: lost");
    CHECK(eddy_call_soon(l, [](void*) { throw std::runtime_error("oops"); }, nullptr, nullptr) == EDDY_OK);
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
    REQUIRE(log.lines.size() == 2);
    CHECK(log.lines[1] == "2 mine a callback of eddy_call_soon threw: oops");
    struct hook {
        int calls = 0;
        int status = 0;
        static void told(eddy_op* op, void* user) {
            auto* h = static_cast<hook*>(user);
            ++h->calls;
            h->status = eddy_op_status(op);
        }
    } h;
    CHECK(eddy_loop_on_unhandled(l, &hook::told, &h, &count_drop) == EDDY_OK);
    held awaited(eddy_promise(l, nullptr, nullptr, nullptr));
    eddy_unref(eddy_spawn(l, fails, nullptr, nullptr));
    eddy_op* unseen = eddy_promise(l, nullptr, nullptr, nullptr);
    CHECK(eddy_promise_reject(unseen, -20002, nullptr, nullptr, nullptr) == EDDY_OK);
    CHECK(h.calls == 0);
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
    CHECK(h.calls == 1);
    eddy_unref(unseen);
    CHECK(h.calls == 1); // not inside the call
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
    CHECK(h.calls == 2);
    CHECK(h.status == -20002);
    CHECK(log.lines.size() == 2);
    CHECK(eddy_set_log(99, nullptr, nullptr, &count_drop) == EDDY_EINVAL);
    CHECK(dropped() == 1);
    CHECK(eddy_loop_close(l, 0) == EDDY_OK);
    CHECK(dropped() == 2); // the hook
    CHECK(eddy_set_log(EDDY_LOG_ERROR, nullptr, nullptr, nullptr) == EDDY_OK);
    CHECK(dropped() == 3);
    eddy_unref(l);
}

TEST_CASE("names, info, tasks, figures, dump: told without looking at an outcome") {
    c_loop l;
    held q(new_queue(l));
    held m(new_mutex(l));
    getter g{q, nullptr, 1, 0, 0, 0};
    trace t{};
    cleaner c{&t, 0, 0};
    held first(eddy_op_timeout(eddy_spawn(l, &getter_step, &g, nullptr), EDDY_SEC(9)));
    held second(eddy_spawn(l, &cleaner_step, &c, nullptr));
    CHECK(eddy_op_set_name(first, "getter") == EDDY_OK);
    l.settle();
    eddy_op_info i;
    EDDY_INIT(&i);
    CHECK(eddy_op_get_info(first, &i) == EDDY_OK);
    CHECK(i.kind == EDDY_KIND_TASK);
    CHECK(i.status == EDDY_PENDING);
    CHECK(std::string(i.name) == "getter");
    CHECK(std::string(i.waiting_for) == "queue.get");
    CHECK(i.waiting_id != 0);
    CHECK(i.waiting_id != i.id);
    CHECK(i.deadline == EDDY_SEC(9));
    CHECK(i.steps == 1);
    held lock(eddy_mutex_lock(m));
    CHECK(eddy_op_get_info(lock, &i) == EDDY_OK);
    CHECK(i.status == EDDY_OK);
    CHECK(i.kind == EDDY_KIND_SYNC);
    CHECK(std::string(i.waiting_for).empty());
    lock.drop(); // nobody has looked
    l.settle();
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    eddy_op* tasks[3] = {};
    CHECK(eddy_loop_tasks(l, nullptr, 0) == 2);
    CHECK(eddy_loop_tasks(l, tasks, 1) == 2);
    CHECK(tasks[0] == first);
    CHECK(tasks[1] == nullptr);
    eddy_unref(tasks[0]);
    CHECK(eddy_loop_tasks(l, tasks, 3) == 2);
    CHECK(tasks[1] == second);
    eddy_unref(tasks[0]);
    eddy_unref(tasks[1]);
    eddy_loop_stats s;
    EDDY_INIT(&s);
    CHECK(eddy_loop_get_stats(l, &s) == EDDY_OK);
    CHECK(s.tasks == 2);
    CHECK(s.ops == 4); // and what they await
    CHECK(s.timers == 2);
    CHECK(s.steps == 2);
    CHECK(s.bytes > 0);
    std::string dump;
    CHECK(
        eddy_loop_dump(l, [](const char* line, void* d) { *static_cast<std::string*>(d) += line; }, &dump) == EDDY_OK);
    CHECK(dump.find("getter") != std::string::npos);
    CHECK(dump.find("eddy_await of queue.get") != std::string::npos);
    eddy_queue_close(q);
    CHECK(l.until(first) == EDDY_OK);
    eddy_op_cancel(second);
    CHECK(l.until(second) == EDDY_OK);
}
