// The size of libuv's pool: read once for the whole process, so each case has a process of its own.
#include <eddy/core/run.hpp>

#include "core/uv_pool.hpp"
#include "offload/aside.hpp"
#include "offload/gate.hpp"
#include "support/check.hpp"
#include "support/sanitizers.hpp"

#include <cstdlib>
#include <sys/resource.h>
#include <uv.h>

using eddy::run_options;
using eddy::task;
using eddy_test::contains;
using eddy_test::gate;
using eddy_test::in_new_process;
using eddy_test::text_of;
using eddy_test::until_arrived;

namespace {

// `n` functions run at the same time.
task<void> meet(int n) {
    gate g;
    std::vector<eddy::task_handle<void>> all;
    const auto hold = [](gate& mine) -> task<void> {
        auto call = eddy::offload([&mine] { mine.wait(); });
        co_await call;
    };
    for (int i = 0; i < n; ++i)
        all.push_back(eddy::spawn(hold, std::ref(g)));
    co_await until_arrived(g, n);
    g.open();
    for (auto& h : all)
        co_await h;
}

task<void> mark(bool& ran) {
    ran = true;
    co_return;
}

// What run() with that size throws; the task must not have run.
std::exception_ptr refused(std::ptrdiff_t size) {
    bool ran = false;
    std::exception_ptr thrown;
    try {
        eddy::run(mark(ran), run_options().uv_threadpool_size(size));
    } catch (...) {
        thrown = std::current_exception();
    }
    CHECK(!ran);
    return thrown;
}

std::string environment() {
    const char* const v = std::getenv("UV_THREADPOOL_SIZE");
    return v == nullptr ? "unset" : v;
}

void check_passes(const std::string& test) {
    const auto end = in_new_process(test);
    CHECK(end.text == "");
    CHECK(end.exited);
    CHECK(end.code == 0);
}

// libuv's pool, used by the program itself, all of it held until the gate opens.
class program_with_pool {
public:
    explicit program_with_pool(gate& g) {
        uv_loop_init(&loop_);
        for (uv_work_t& w : work_) {
            w.data = &g;
            uv_queue_work(
                &loop_, &w, [](uv_work_t* r) { static_cast<gate*>(r->data)->wait(); }, [](uv_work_t*, int) {});
        }
        g.await_arrivals(4);
    }
    program_with_pool(const program_with_pool&) = delete;
    ~program_with_pool() {
        uv_run(&loop_, UV_RUN_DEFAULT);
        uv_loop_close(&loop_);
    }

private:
    uv_loop_t loop_;
    uv_work_t work_[4];
};

} // namespace

TEST_CASE("uv_threadpool_size takes what libuv takes, and names what it does not") {
    CHECK(run_options().uv_threadpool_size() == 0);
    CHECK(run_options().uv_threadpool_size(1).uv_threadpool_size() == 1);
    CHECK(run_options().uv_threadpool_size(1024).uv_threadpool_size() == 1024);
    for (const std::ptrdiff_t wrong : {0, -1, 1025}) {
        std::string text;
        try {
            run_options().uv_threadpool_size(wrong);
        } catch (const std::logic_error& e) {
            text = e.what();
        }
        CHECK(text == "eddy: run_options::uv_threadpool_size(" + std::to_string(wrong) +
                          "): libuv's pool has 1 to 1024 threads");
    }
}

TEST_CASE("in a new process: the pool has the size that the first run asked for" * doctest::skip()) {
    unsetenv("UV_THREADPOOL_SIZE");
    eddy::run(meet(6), run_options().uv_threadpool_size(6));
    CHECK(eddy::detail::uv_pool_size() == 6);
    CHECK(environment() == "6");
    bool again = false;
    eddy::run(mark(again), run_options().uv_threadpool_size(6));
    CHECK(again);
    const auto e = refused(3);
    CHECK(eddy_test::holds<std::logic_error>(e));
    CHECK(contains(text_of(e), "uv_threadpool_size(3): libuv's pool has started already, with 6 threads"));
    CHECK(environment() == "6");
    eddy::run(meet(6));
}
TEST_CASE("run_options sets the size of libuv's pool before its first use, and says when it is too late") {
    check_passes("in a new process: the pool has the size that the first run asked for");
}

TEST_CASE("in a new process: the program has used all of the pool" * doctest::skip()) {
    setenv("UV_THREADPOOL_SIZE", "4", 1);
    gate g;
    program_with_pool used(g);
    // Nor does it wait for a thread to find that out.
    const auto e = refused(7);
    CHECK(contains(text_of(e), "uv_threadpool_size(7): libuv's pool has started already, with 4 threads"));
    CHECK(environment() == "4");
    unsetenv("UV_THREADPOOL_SIZE");
    CHECK(contains(text_of(refused(7)), "has started already, with 4 threads"));
    CHECK(environment() == "unset");
    bool same = false;
    eddy::run(mark(same), run_options().uv_threadpool_size(4));
    CHECK(same);
    g.open();
    eddy::run(meet(4));
}
TEST_CASE("run_options says that libuv's pool was started by others, and waits for nobody") {
    check_passes("in a new process: the program has used all of the pool");
}

#if !EDDY_TEST_ASAN && !EDDY_TEST_TSAN // they need address space without end
TEST_CASE("in a new process: not so many threads" * doctest::skip()) {
    unsetenv("UV_THREADPOOL_SIZE");
    rlimit before;
    REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
    const rlimit little{96ul << 20, before.rlim_max};
    REQUIRE(setrlimit(RLIMIT_AS, &little) == 0);
    const auto e = refused(64);
    REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
    CHECK(eddy_test::holds<eddy::uv_error>(e));
    CHECK(contains(text_of(e), "the 64 threads of libuv's pool can't be made for run_options::uv_threadpool_size()"));
    CHECK(environment() == "unset");
    // Nothing has been started.
    eddy::run(meet(5), run_options().uv_threadpool_size(5));
}
TEST_CASE("run_options says when the system has not so many threads, where libuv would abort") {
    check_passes("in a new process: not so many threads");
}
#endif
