// What errors say: texts, codes, and the exception of each way in which an operation can end.
#include <eddy/core/error.hpp>

#include <eddy/core/operation.hpp>
#include <eddy/core/run.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/sync/barrier.hpp>
#include <eddy/sync/queue.hpp>

#include <core/state.hpp>
#include <support/check.hpp>
#include <support/child.hpp>
#include <support/run.hpp>

#include <new>

using namespace eddy;
using namespace eddy_test;
using engine::status;

namespace {

// What the exception of a status is.
std::exception_ptr thrown_for(status s, const engine::scope* where = nullptr) {
    try {
        detail::throw_status(s, where);
    } catch (...) {
        return std::current_exception();
    }
}

} // namespace

TEST_CASE("each kind of cancellation has a name") {
    CHECK(to_string(cancel_kind::requested) == "requested");
    CHECK(to_string(cancel_kind::timeout) == "timeout");
    CHECK(to_string(cancel_kind::sibling_failed) == "sibling failed");
    CHECK(to_string(cancel_kind::shutdown) == "shutdown");
    CHECK(to_string(cancel_kind::interrupt) == "interrupt");
    CHECK(to_string(static_cast<cancel_kind>(99)) == "unknown");
}

TEST_CASE("uv_category: libuv's text, and the errno that a code stands for") {
    CHECK(uv_category().name() == std::string("uv"));
    const uv_error e(-2, "open");
    CHECK(e.code().category() == uv_category());
    CHECK(contains(e.what(), "open"));
    CHECK(contains(e.what(), "no such file or directory"));
    CHECK(e.code() == std::errc::no_such_file_or_directory);
    CHECK(uv_category().message(7) == "libuv error 7");
    // libuv's own codes, as that for the end of a stream, are no errno.
    CHECK(uv_category().default_error_condition(-4095).category() == uv_category());
}

TEST_CASE("each status is one exception") {
    CHECK(holds<cancelled>(thrown_for(status::cancelled)));
    CHECK(holds<std::bad_alloc>(thrown_for(status::no_memory)));
    CHECK(holds<timeout_error>(thrown_for(status::timed_out)));
    CHECK(holds<queue_closed>(thrown_for(status::closed)));
    CHECK(holds<broken_barrier>(thrown_for(status::broken)));
    CHECK(holds<object_destroyed>(thrown_for(status::object_destroyed)));
    const auto early = thrown_for(status::pending);
    CHECK(holds<std::logic_error>(early));
    CHECK(contains(text_of(early), "before it had ended"));
}

TEST_CASE("the exception of a cancelled wait carries the reason of its scope") {
    eddy_test::run([]() -> task<> {
        const auto body = [](cancel_scope& s) -> task<> {
            s.cancel({cancel_kind::requested, "enough"});
            const auto e = thrown_for(status::cancelled, loop::current().detail_state().running);
            try {
                std::rethrow_exception(e);
            } catch (const cancelled& c) {
                CHECK(c.reason().text() == "enough");
            }
            co_return;
        };
        co_await with_cancel_scope(body);
    });
}

TEST_CASE("run_main says what a program ended with, whatever it was") {
    const auto said = [](auto f) {
        const child_end end = in_child([&] { return run_main(f()); });
        CHECK(end.exited);
        CHECK(end.code == 1);
        return end.text;
    };
    CHECK(contains(said([]() -> task<> {
                       co_await checkpoint();
                       throw 5;
                   }),
                   "an exception that is no std::exception"));
    CHECK(contains(said([]() -> task<> {
                       co_await checkpoint();
                       throw cancelled({cancel_kind::requested, "self"});
                   }),
                   "cancelled"));
}
