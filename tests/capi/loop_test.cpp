#include "fixture.hpp"

#include <eddy/eddy.hpp>

#include <csignal>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace eddy_test;
using namespace std::chrono_literals;

TEST_CASE("run_until: EDDY_EDEADLK when nothing can ever finish the op; the op goes on") {
    c_loop l;
    held m(new_mutex(l));
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    trace t{};
    locker s{m, &t, 1, 0, 0};
    held op(eddy_spawn(l, &locker_step, &s, nullptr));
    CHECK(l.until(op) == EDDY_EDEADLK);
    CHECK(eddy_op_status(op) == EDDY_PENDING);
    held sleep(eddy_sleep(l, EDDY_SEC(1)));
    CHECK(l.until(op, EDDY_SEC(2)) == EDDY_EDEADLK); // once the sleep is over
    CHECK(eddy_loop_now(l) == EDDY_SEC(1));
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    CHECK(l.until(op) == EDDY_OK);
    // What comes from outside is no deadlock: only time ends this.
    held p(eddy_promise(l, nullptr, nullptr, nullptr));
    CHECK(l.until(p, EDDY_SEC(1)) == EDDY_PENDING);
}

TEST_CASE("run: modes, what is left, stop, and no running inside a run") {
    c_loop l;
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
    CHECK(eddy_loop_run(l, 9) == EDDY_EINVAL);
    CHECK(eddy_loop_run(nullptr, 0) == EDDY_EINVAL);
    CHECK(eddy_loop_alive(l) == 0);
    trace t{};
    cleaner s{&t, 0, 0};
    held task(eddy_spawn(l, &cleaner_step, &s, nullptr));
    CHECK(eddy_loop_alive(l) == 1);
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
    CHECK(eddy_loop_now(l) == 0);
    CHECK(eddy_loop_run(l, EDDY_RUN_ONCE) == 0);
    CHECK(eddy_loop_now(l) == EDDY_SEC(3600));
    CHECK(eddy_op_status(task) == EDDY_OK);

    static eddy_loop* loop;
    static int inside;
    loop = l;
    dropped() = 0;
    const auto callback = [](void*) {
        inside = eddy_loop_run(loop, EDDY_RUN_DEFAULT);
        CHECK(eddy_loop_close(loop, 0) == EDDY_ESTATE);
        eddy_loop_stop(loop);
    };
    CHECK(eddy_call_soon(l, callback, nullptr, &count_drop) == EDDY_OK);
    held sleep(eddy_sleep(l, EDDY_SEC(1)));
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 1); // stopped
    CHECK(inside == EDDY_ESTATE);
    CHECK(dropped() == 1);
    CHECK(eddy_call_soon(l, nullptr, nullptr, &count_drop) == EDDY_EINVAL);
    CHECK(dropped() == 2);
    eddy_loop_stop(l); // remembered
    CHECK(l.until(sleep) == EDDY_ECANCELED);
    CHECK(l.until(sleep) == EDDY_OK);
    CHECK(eddy_call_soon(l, [](void*) { throw 1; }, nullptr, &count_drop) == EDDY_OK);
    int reports = 0;
    l.cpp.set_exception_handler([&](const eddy::error_context&) { ++reports; });
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
    CHECK(reports == 1);
    CHECK(dropped() == 3);
}

TEST_CASE(
    "close: tasks are cancelled and may clean up; open ops end with EDDY_ECLOSED, no callback is called, drops are") {
    eddy_loop* l = new_loop();
    dropped() = 0;
    trace t{};
    cleaner clean{&t, 1, 0};
    held task(eddy_spawn(l, &cleaner_step, &clean, &count_drop));
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
    held m(new_mutex(l));
    held q(new_queue(l, 0, &count_drop));
    held lock(eddy_mutex_lock(m)); // granted, never looked at
    held waits(eddy_mutex_lock(m));
    held sleep(eddy_sleep(l, EDDY_SEC(5)));
    held p(eddy_promise(l, nullptr, nullptr, &count_drop));
    static int called;
    called = 0;
    const auto done = [](eddy_op*, void*) { ++called; };
    CHECK(eddy_op_then(eddy_sleep(l, EDDY_SEC(5)), done, nullptr, &count_drop) == EDDY_OK);
    CHECK(eddy_queue_try_put(q, &t) == EDDY_OK);
    CHECK(eddy_loop_close(l, EDDY_SEC(5)) == EDDY_OK);
    CHECK(called == 0);
    CHECK(dropped() == 3); // state, callback, promise
    CHECK(seen(t) == std::vector<int>{EDDY_ECANCELED, 1, EDDY_OK, 1});
    CHECK(eddy_op_status(task) == EDDY_OK);
    CHECK(eddy_op_status(lock) == EDDY_OK);
    for (eddy_op* op : {static_cast<eddy_op*>(waits), static_cast<eddy_op*>(sleep), static_cast<eddy_op*>(p)})
        CHECK(eddy_op_status(op) == EDDY_ECLOSED);
    // Everything else answers EDDY_ECLOSED.
    CHECK(eddy_loop_close(l, 0) == EDDY_ECLOSED);
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == EDDY_ECLOSED);
    CHECK(eddy_loop_run_until(l, sleep, 0) == EDDY_ECLOSED);
    CHECK(eddy_loop_alive(l) == 0);
    CHECK(eddy_loop_now(l) == 0);
    CHECK(eddy_call_soon(l, &count_drop, nullptr, nullptr) == EDDY_ECLOSED);
    CHECK(eddy_mutex_try_lock(m) == EDDY_ECLOSED);
    CHECK(eddy_mutex_unlock(m) == EDDY_ECLOSED);
    CHECK(eddy_queue_try_put(q, &t) == EDDY_ECLOSED);
    CHECK(eddy_queue_done(q) == EDDY_ECLOSED);
    CHECK(eddy_queue_size(q) == 1);
    eddy_queue* none = nullptr;
    CHECK(eddy_queue_new(l, 0, nullptr, &none) == EDDY_ECLOSED);
    CHECK(eddy_op_then(static_cast<eddy_op*>(eddy_ref(sleep)), done, nullptr, nullptr) == EDDY_ECLOSED);
    CHECK(eddy_promise_resolve(p, nullptr, nullptr, 0) == EDDY_ESTATE);
    eddy_loop_stop(l);
    eddy_op_cancel(sleep);
    const auto is_closed = [](eddy_op* op) {
        held o(op);
        return eddy_op_status(o) == EDDY_ECLOSED;
    };
    CHECK(is_closed(eddy_sleep(l, 1)));
    CHECK(is_closed(eddy_spawn(l, &cleaner_step, &clean, nullptr)));
    CHECK(is_closed(eddy_queue_get(q)));
    CHECK(is_closed(eddy_queue_join(q)));
    CHECK(is_closed(eddy_mutex_lock(m)));
    CHECK(is_closed(eddy_promise(l, nullptr, nullptr, nullptr)));
    held put(eddy_queue_put(q, &called));
    CHECK(eddy_op_status(put) == EDDY_ECLOSED);
    CHECK(eddy_op_take(put) == &called);
    eddy_unref(l); // before all the others
    q.drop();
    CHECK(dropped() == 4); // its item
}

TEST_CASE("close: a task that does not end in time is dropped where it waits") {
    eddy_loop* l = new_loop();
    dropped() = 0;
    trace t{};
    cleaner clean{&t, 1'000'000, 0};
    held task(eddy_spawn(l, &cleaner_step, &clean, &count_drop));
    eddy_unref(eddy_spawn(l, &cleaner_step, &clean, &count_drop));
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
    CHECK(eddy_loop_close(l, EDDY_MS(20)) == EDDY_ETIMEDOUT);
    CHECK(eddy_op_status(task) == EDDY_ECLOSED);
    CHECK(dropped() == 2);
    eddy_unref(l);
}

TEST_CASE(
    "a loop that was never closed is closed by the last reference to it and its objects, in any order, anywhere") {
    for (int order = 0; order < 3; ++order) {
        CAPTURE(order);
        dropped() = 0;
        eddy_loop* l = new_loop();
        eddy_queue* q = new_queue(l, 0, &count_drop);
        static int item = 1;
        CHECK(eddy_queue_try_put(q, &item) == EDDY_OK);
        eddy_op* get = eddy_queue_get(q);
        static trace t;
        static cleaner clean;
        clean = {&t, 1'000'000, 0};
        eddy_unref(eddy_spawn(l, &cleaner_step, &clean, &count_drop)); // the loop's own: keeps nothing open
        CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
        void* last[3] = {l, q, get};
        std::rotate(last, last + order, last + 3);
        std::thread([&] {
            for (void* o : last)
                eddy_unref(o);
        }).join();
        CHECK(dropped() == 2);
    }
}

TEST_CASE("a real loop: time, another thread, a signal handler") {
    eddy_loop* l = new_loop();
    const std::uint64_t before = eddy_loop_now(l);
    held sleep(eddy_sleep(l, EDDY_MS(5)));
    CHECK(eddy_loop_run_until(l, sleep, EDDY_FOREVER) == EDDY_OK);
    CHECK(eddy_loop_now(l) - before >= EDDY_MS(5));
    held p(eddy_promise(l, nullptr, nullptr, nullptr));
    std::thread stopper([&] { eddy_loop_stop(l); });
    CHECK(eddy_loop_run_until(l, p, EDDY_FOREVER) == EDDY_ECANCELED);
    stopper.join();
    static eddy_loop* in_signal;
    in_signal = l;
    const auto old = std::signal(SIGUSR1, [](int) { eddy_loop_stop(in_signal); });
    CHECK(eddy_call_soon(l, [](void*) { std::raise(SIGUSR1); }, nullptr, nullptr) == EDDY_OK);
    CHECK(eddy_loop_run_until(l, p, EDDY_FOREVER) == EDDY_ECANCELED);
    std::signal(SIGUSR1, old);
    CHECK(eddy_loop_close(l, 0) == EDDY_OK);
    eddy_unref(l);
}

TEST_CASE("arguments: opts, out") {
    CHECK(eddy_loop_new(nullptr, nullptr) == EDDY_EINVAL);
    auto* l = reinterpret_cast<eddy_loop*>(1);
    eddy_loop_opts o{};
    CHECK(eddy_loop_new(&o, &l) == EDDY_EINVAL); // not initialised
    CHECK(l == nullptr);
    CHECK(eddy_queue_new(nullptr, 0, nullptr, nullptr) == EDDY_EINVAL);
    CHECK(eddy_mutex_new(nullptr, nullptr) == EDDY_EINVAL);
    CHECK(eddy_loop_close(nullptr, 0) == EDDY_EINVAL);
    CHECK(eddy_loop_now(nullptr) == 0);
    CHECK(eddy_task_current(nullptr) == nullptr);
}

TEST_CASE("every status has a name and a text; the system's are libuv's") {
    CHECK(std::string(eddy_errname(EDDY_EDEADLK)) == "EDDY_EDEADLK");
    CHECK(std::string(eddy_errname(-20007)) == "EDDY_EUSER");
    CHECK(std::string(eddy_errname(-2)) == "ENOENT");
    CHECK(std::string(eddy_strerror(-2)) == "no such file or directory");
    CHECK(std::string(eddy_strerror(-9999)) == "unknown system error");
    CHECK(std::string(eddy_strerror(17)) == "unknown error");
    for (int s = EDDY_EDEADLK; s <= EDDY_ENOMEM; ++s) {
        CHECK(std::string(eddy_errname(s)).starts_with("EDDY_E"));
        CHECK(std::string(eddy_strerror(s)) != "unknown error");
    }
    CHECK(std::string(eddy_version_string()) == "0.1.0");
    CHECK(eddy_version() == 0x000100);
    CHECK(eddy_abi() == 0);
}

namespace {

// What the process that does it ends with.
template <class F>
int signal_of(F f) {
    const pid_t child = fork();
    if (child == 0) {
        static_cast<void>(std::signal(SIGABRT, SIG_DFL)); // doctest's is for tests
        eddy_set_log(EDDY_LOG_OFF, nullptr, nullptr, nullptr);
        eddy_loop_opts o;
        EDDY_INIT(&o);
        o.flags = EDDY_LOOP_ABORT_MISUSE;
        eddy_loop* l = nullptr;
        if (eddy_loop_new(&o, &l) != EDDY_OK) _exit(1);
        f(l);
        _exit(0);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

} // namespace

TEST_CASE("EDDY_LOOP_ABORT_MISUSE ends the process where a status would say what was wrong, and nowhere else") {
    CHECK(signal_of([](eddy_loop* l) {
              const auto must = [](bool holds) {
                  if (!holds) _exit(2);
              };
              eddy_mutex* m = new_mutex(l);
              must(eddy_mutex_try_lock(m) == EDDY_OK);
              must(eddy_mutex_try_lock(m) == EDDY_EAGAIN);
              must(eddy_mutex_unlock(m) == EDDY_OK);
              eddy_op* op = eddy_sleep(l, 1);
              eddy_op_cancel(op);
              must(eddy_loop_run_until(l, op, EDDY_FOREVER) == EDDY_ECANCELED);
              must(eddy_loop_close(l, 0) == EDDY_OK);
              must(eddy_mutex_unlock(m) == EDDY_ECLOSED);
          }) == 0);
    CHECK(signal_of([](eddy_loop* l) { eddy_mutex_unlock(new_mutex(l)); }) == SIGABRT);
    CHECK(signal_of([](eddy_loop* l) {
              eddy_op* op = eddy_sleep(l, 1);
              eddy_unref(eddy_op_shield(static_cast<eddy_op*>(eddy_ref(op))));
              eddy_op_then(op, [](eddy_op*, void*) {}, nullptr, nullptr);
          }) == SIGABRT);
    CHECK(signal_of([](eddy_loop* l) { eddy_spawn(l, nullptr, nullptr, nullptr); }) == SIGABRT);
    CHECK(signal_of([](eddy_loop* l) { eddy_race(l, nullptr, 0); }) == SIGABRT);
    CHECK(signal_of([](eddy_loop* l) { eddy_queue_done(new_queue(l)); }) == SIGABRT);
    CHECK(signal_of([](eddy_loop* l) {
              eddy_call_soon(
                  l, [](void* loop) { eddy_loop_run(static_cast<eddy_loop*>(loop), EDDY_RUN_NOWAIT); }, l, nullptr);
              eddy_loop_run(l, EDDY_RUN_DEFAULT);
          }) == SIGABRT);
    CHECK(signal_of([](eddy_loop* l) {
              eddy_spawn(l, [](eddy_task*, void*) -> int { return 17; }, nullptr, nullptr);
              eddy_loop_run(l, EDDY_RUN_DEFAULT);
          }) == SIGABRT);
}
