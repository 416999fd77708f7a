// Disturbs a program at every place where it can be: cancels it at each await, destroys it after each tick, fails each
// allocation. Whatever happens, it ends, with a value or as it was disturbed, and leaves nothing.
#pragma once

#include <eddy/engine/hooks.hpp>
#include <eddy/flow/exception_group.hpp>

#include <core/state.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <algorithm>

namespace eddy_test {

inline bool is_disturbance(const std::exception_ptr& e) {
    if (!holds<eddy::exception_group>(e))
        return e == nullptr || holds<eddy::task_cancelled>(e) || holds<eddy::timeout_error>(e) ||
               holds<eddy::cancelled_group>(e) || holds<std::bad_alloc>(e);
    try {
        std::rethrow_exception(e);
    } catch (const eddy::exception_group& g) {
        return std::all_of(g.exceptions().begin(), g.exceptions().end(), is_disturbance);
    }
}

struct disturber {
    long at = -1;
    long seen = 0;
    eddy::engine::at_await_action action = eddy::engine::at_await_action::go;
    static eddy::engine::at_await_action at_await(void* user, const eddy::engine::wait_kind&,
                                                  eddy::engine::scope&) noexcept {
        auto& self = *static_cast<disturber*>(user);
        return self.seen++ == self.at ? self.action : eddy::engine::at_await_action::go;
    }
    static bool fault(void* user, std::size_t) noexcept {
        auto& self = *static_cast<disturber*>(user);
        return self.seen++ == self.at;
    }
};

// `f() -> task<>` on a loop of its own, with `h`; gives how it ended.
template <class F>
eddy::outcome<void> disturbed(F f, const eddy::engine::hooks& h) {
    eddy::testing::virtual_loop l;
    const told t(l);
    l.detail_state().set_hooks(&h);
    auto end = eddy::outcome<void>::of_value({});
    try {
        auto main = l.spawn(f);
        l.advance(1h);
        REQUIRE(main.done());
        end = main.outcome();
    } catch (const std::bad_alloc&) {
        end = eddy::outcome<void>::of_error(std::current_exception());
    }
    l.detail_state().set_hooks(nullptr);
    l.settle();
    check_empty(l);
    CHECK(counted::alive() == 0);
    return end;
}

// Cancels the task, lets the innermost time limit run out, or makes it give way, at each await. Gives their number.
template <class F>
long sweep_awaits(F f) {
    using eddy::engine::at_await_action;
    long total = 1;
    for (const auto action :
         {at_await_action::go, at_await_action::cancel, at_await_action::timeout, at_await_action::yield}) {
        for (long n = 0; n < total; ++n) {
            CAPTURE(n);
            CAPTURE(static_cast<int>(action));
            disturber d;
            d.at = n;
            d.action = action;
            eddy::engine::hooks h;
            h.user = &d;
            h.at_await = &disturber::at_await;
            const auto o = disturbed(f, h);
            const std::string error = text_of(o.error());
            CAPTURE(error);
            if (action == at_await_action::go || action == at_await_action::yield) CHECK(o.has_value());
            CHECK((o.is_cancelled() || is_disturbance(o.error())));
            total = std::max(total, d.seen);
        }
    }
    return total;
}

// Destroys the frames of all that is alive, from the innermost task outwards, after each tick.
template <class F>
long sweep_ticks(F f) {
    bool ended = false;
    long n = 0;
    for (; !ended; ++n) {
        CAPTURE(n);
        eddy::testing::virtual_loop l;
        const told t(l);
        eddy::any_task_handle main = l.spawn(f);
        for (long i = 0; i < n && !main.done(); ++i) {
            if (l.detail_state().has_ready())
                l.detail_state().tick();
            else
                l.advance(1ms);
        }
        ended = main.done();
        while (l.detail_state().live_tasks != 0)
            eddy::detail::destroy_innermost(l.detail_state(), *l.all_tasks().front().detail_record());
        l.settle();
        main = {};
        check_empty(l);
        CHECK(counted::alive() == 0);
    }
    return n;
}

// Fails each allocation of frames, records and timers.
template <class F>
long sweep_memory(F f) {
    long n = 0;
    for (bool failed = true; failed; ++n) {
        CAPTURE(n);
        disturber d;
        d.at = n;
        eddy::engine::hooks h;
        h.user = &d;
        h.fault = &disturber::fault;
        const auto o = disturbed(f, h);
        const std::string error = text_of(o.error());
        CAPTURE(error);
        CHECK((o.is_cancelled() || is_disturbance(o.error())));
        failed = d.seen > n;
    }
    return n;
}

// All three; at least so many awaits have been tried.
template <class F>
void sweep(F f, long awaits) {
    CHECK(sweep_awaits(f) >= awaits);
    CHECK(sweep_ticks(f) > 2);
    CHECK(sweep_memory(f) > 2);
}

} // namespace eddy_test
