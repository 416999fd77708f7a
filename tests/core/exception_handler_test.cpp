// Exceptions that nobody receives: DB-1 of docs/semantics.md.
#include <eddy/core/error_context.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>

#include <support/check.hpp>
#include <support/child.hpp>
#include <support/run.hpp>

using namespace eddy;
using namespace eddy_test;

namespace {
task<> fail_with(std::string text) {
    co_await yield();
    throw std::runtime_error(text);
}
} // namespace

TEST_CASE("DB-1 DB-3 the handler gets message, exception, task and the place it was spawned at") {
    testing::virtual_loop l;
    int calls = 0;
    unsigned here = 0;
    l.set_exception_handler([&](const error_context& c) {
        ++calls;
        CHECK(c.message == "a task failed and nobody awaited it");
        CHECK(c.task_name == "worker");
        CHECK(c.task_id == 1);
        CHECK(c.spawn_site.line() == here);
        CHECK(contains(c.spawn_site.file_name(), "exception_handler_test.cpp"));
        CHECK(text_of(c.exception) == "boom");
    });
    here = std::source_location::current().line() + 1;
    l.spawn(spawn_options().name("worker"), fail_with("boom"));
    l.settle();
    CHECK(calls == 1);
}

TEST_CASE("DB-1 set_exception_handler gives the handler before; null restores the default") {
    testing::virtual_loop l;
    std::string seen;
    CHECK(!l.set_exception_handler([&](const error_context&) { seen += "1"; }));
    auto first = l.set_exception_handler([&](const error_context&) { seen += "2"; });
    l.spawn(fail_with("x"));
    l.settle();
    l.set_exception_handler(first);
    l.spawn(fail_with("x"));
    l.settle();
    CHECK(seen == "21");
    // A handler may replace itself while it runs.
    l.set_exception_handler([&](const error_context&) {
        seen += "3";
        l.set_exception_handler([&](const error_context&) { seen += "4"; });
        seen += "3";
    });
    l.spawn(fail_with("x"));
    l.spawn(fail_with("x"));
    l.settle();
    CHECK(seen == "21334");
}

TEST_CASE("DB-1 a handler that throws falls back to the default one; the loop lives") {
    const child_end end = in_child([] {
        testing::virtual_loop l;
        l.set_exception_handler([](const error_context&) { throw std::runtime_error("handler broke"); });
        l.spawn(spawn_options().name("worker"), fail_with("boom"));
        l.settle();
        bool lives = false;
        l.call_soon([&] { lives = true; });
        l.settle();
        return lives ? 0 : 1;
    });
    CHECK(end.exited);
    CHECK(end.code == 0);
    CHECK(contains(end.text, "eddy: an exception handler threw: handler broke\n"));
    CHECK(contains(end.text, "eddy: a task failed and nobody awaited it (task 'worker' #1, spawned at "));
    CHECK(contains(end.text, "): boom\n"));
}

TEST_CASE("DB-1 the default is one clear line on standard error") {
    const child_end end = in_child([] {
        testing::virtual_loop l;
        l.spawn(spawn_options().name("worker"), fail_with("boom"));
        l.call_soon([] { throw 5; });
        l.settle();
        return 0;
    });
    CHECK(end.text.starts_with("eddy: a callback threw: an exception that is no std::exception\n"
                               "eddy: a task failed and nobody awaited it (task 'worker' #1, spawned at "));
    CHECK(std::count(end.text.begin(), end.text.end(), '\n') == 2);
}

TEST_CASE("a handler may spawn, and is told of failures of handles that outlive the loop by the default") {
    const child_end end = in_child([] {
        task_handle<> kept;
        {
            testing::virtual_loop l;
            l.set_exception_handler([&](const error_context&) { spawn([]() -> task<> { co_return; }); });
            l.spawn(fail_with("first"));
            kept = l.spawn(fail_with("kept"));
            l.settle();
        }
        kept = {};
        return 0;
    });
    CHECK(end.exited);
    CHECK(end.code == 0);
    CHECK(contains(end.text, "kept"));
    CHECK(!contains(end.text, "first"));
}
