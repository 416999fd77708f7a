// libuv makes the threads of its pool at the first request and aborts when it gets too few. Here the system refuses.
#include <eddy/offload/offload.hpp>

#include <eddy/core/run.hpp>
#include <eddy/flow/settle.hpp>

#include "core/uv_pool.hpp"
#include "support/sanitizers.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

// The sanitizers need address space without end.
#if !EDDY_TEST_ASAN && !EDDY_TEST_TSAN

using eddy::offload;
using eddy::task;

TEST_CASE("the guard counts the threads that can exist at once") {
    CHECK(eddy::detail::probe_threads(4, 8ul << 20) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const rlimit none{64ul << 20, 64ul << 20};
        setrlimit(RLIMIT_AS, &none);
        const bool right = eddy::detail::probe_threads(64, 8ul << 20) == UV_EAGAIN;
        _exit(right ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

// Runs in a process of its own, where libuv's pool has not been made: see the next one.
TEST_CASE("without room for the pool's threads offload throws" * doctest::skip()) {
    setenv("UV_THREADPOOL_SIZE", "64", 1);
    const auto main = []() -> task<void> {
        const rlimit little{96ul << 20, 96ul << 20};
        REQUIRE(setrlimit(RLIMIT_AS, &little) == 0);
        for (int i = 0; i < 2; ++i) {
            auto call = offload([] {});
            const auto r = co_await eddy::settle(std::move(call));
            int code = 0;
            try {
                r.value();
            } catch (const eddy::uv_error& e) {
                code = e.code().value();
            }
            CHECK(code == UV_EAGAIN);
        }
    };
    eddy::run(main());
}

TEST_CASE("offload says when there are no threads, where libuv would abort") {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        execl("/proc/self/exe", "test", "-ns", "-tc=without room for the pool*", static_cast<char*>(nullptr));
        _exit(127);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

#endif
