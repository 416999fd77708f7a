#include <eddy/core/loop.hpp>
#include <eddy/core/remote.hpp>

#include "core/log.hpp"
#include "core/state.hpp"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <uv.h>

namespace eddy {

namespace {

thread_local loop* running_loop = nullptr;
// Loops made on this thread that still exist. A handful at most.
thread_local std::vector<const engine::loop_core*> live_loops;

void around_drain(void* user, bool begin) noexcept {
    auto* s = static_cast<detail::loop_state*>(user);
    // A drain inside a drain of the same loop returns at once; of another loop it may happen, in a destructor.
    if (begin)
        s->around = std::exchange(running_loop, s->self);
    else
        running_loop = s->around;
    if (!begin && s->offload != nullptr) s->offload->after_drain();
}

void ring_driver(void* user) noexcept { static_cast<engine::driver*>(user)->wake(); }

} // namespace

namespace detail {

loop_state::loop_state(engine::driver& d, engine::pool& memory, std::shared_ptr<loop_hub> h, driver::uv_driver* uv_,
                       std::unique_ptr<driver::sim_driver> sim_)
    : loop_core(d, memory, h->box), hub(std::move(h)), uv(uv_), sim(std::move(sim_)) {
    set_drain_hook(&around_drain, this);
    hub->box.open({&d, &ring_driver});
    if (uv != nullptr) uv->attach(*this);
    live_loops.push_back(this);
}

std::unique_ptr<loop_state> make_uv_state(uv_loop_s* adopted, const engine::allocator& memory) {
    auto hub = std::make_shared<loop_hub>();
    engine::pool* const p = engine::pool::make(memory);
    if (p == nullptr) throw std::bad_alloc();
    int error = 0;
    driver::uv_driver* const d = driver::uv_driver::make(adopted, error);
    if (d == nullptr) {
        p->release();
        throw uv_error(error, "eddy: cannot make an event loop");
    }
    try {
        return std::make_unique<loop_state>(*d, *p, std::move(hub), d, nullptr);
    } catch (...) {
        d->close();
        p->release();
        throw;
    }
}

loop_state::~loop_state() { std::erase(live_loops, this); }

bool is_alive(const engine::loop_core* l) noexcept {
    return std::find(live_loops.begin(), live_loops.end(), l) != live_loops.end();
}

engine::scope& root_of(loop& l) noexcept { return l.detail_state().root; }

void notice(loop& l) noexcept {
    loop_state& s = l.detail_state();
    if (!s.draining()) s.io().settle(s.next_deadline(), s.has_ready(), s.is_pending());
}

void throw_no_loop(const char* what) { throw no_running_loop(what); }

void leave_loop_of_parent() noexcept {
    running_loop = nullptr;
    live_loops.clear();
    open_log_after_fork();
}

void check_open(loop& l, const char* what) {
    check_process(*l.detail_state().hub, what);
    check_thread(l.detail_state(), what);
    if (l.detail_state().closed) throw closed(std::string("eddy: ") + what + " on a loop that is closed");
}

} // namespace detail

clock::time_point clock::now() noexcept {
    if (loop* l = loop::try_current(); l != nullptr) return l->now();
    return time_point(duration(static_cast<std::int64_t>(uv_hrtime())));
}

loop::loop() : loop(detail::make_uv_state(nullptr, engine::allocator::system())) {}
loop::loop(uv_loop_s* adopted) : loop(detail::make_uv_state(adopted, engine::allocator::system())) {}
loop::loop(std::unique_ptr<detail::loop_state> state) : state_(std::move(state)) {
    state_->self = this;
    if (detail::debug_wanted()) set_debug(true);
}

loop::~loop() {
    detail::loop_state& s = *state_;
    if (s.hub->born_in != detail::fork_generation()) {
        static_cast<void>(state_.release()); // the parent's: closing it here would change the epoll set there
        return;
    }
    const bool adopted = s.uv != nullptr && s.uv->adopted();
    if (s.draining()) {
        detail::log(log_level::misuse, "a loop was destroyed by code that it runs");
        std::terminate();
    }
    if (s.c_face != nullptr) s.c_face->close(!adopted); // its open ops and tasks end
    if (adopted && s.live_tasks != 0) {
        detail::log_as(log_level::misuse,
                       "~loop on an adopted uv_loop_t with %zu live tasks; call shutdown(f) and wait for f first",
                       s.live_tasks);
        std::terminate();
    }
    if (s.live_tasks != 0) detail::shut_down(s, run_options().shutdown_timeout());
    detail::close_lent(s);
    s.closed = true;
    while (s.calls != nullptr) {
        const std::shared_ptr<detail::timer_call> keep = detail::settle_call(*s.calls);
        keep->f = nullptr; // also where a timer_handle outlives us
        keep->locals = {};
    }
    // What post() has accepted is run; who waits for a task that has ended is told.
    s.hub->box.refuse();
    while (s.has_ready() || s.box().has_mail())
        s.drain();
    s.hub->box.close();
    if (s.offload != nullptr) s.offload->close(!adopted);
    engine::pool& memory = s.memory();
    driver::uv_driver* uv_driver = s.uv;
    state_.reset();
    if (uv_driver != nullptr) uv_driver->close();
    memory.release();
}

loop* loop::try_current() noexcept { return running_loop; }

loop& loop::current() {
    if (running_loop == nullptr) detail::throw_no_loop("this call");
    return *running_loop;
}

void loop::stop() noexcept { state_->stop(); }

uv_loop_s* loop::uv() {
    if (state_->uv == nullptr) throw std::logic_error("eddy: a loop with simulated time has no uv_loop_t");
    return state_->uv->uv();
}

clock::time_point loop::now() noexcept { return clock::time_point(duration(state_->now())); }

exception_handler loop::set_exception_handler(exception_handler f) {
    detail::check_thread(*state_, "set_exception_handler");
    return std::exchange(state_->handler, std::move(f));
}

std::vector<any_task_handle> loop::all_tasks() {
    detail::check_thread(*state_, "all_tasks");
    std::vector<any_task_handle> found;
    engine::scope& root = state_->root;
    for (engine::scope* s = engine::next_in_tree(root, root, true); s != nullptr;
         s = engine::next_in_tree(*s, root, true))
        if (s->has(engine::scope::is_task)) found.emplace_back(static_cast<engine::task_record&>(*s));
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.id() < b.id(); });
    return found;
}

void loop::dump_tasks(std::ostream& out) {
    detail::check_thread(*state_, "dump_tasks");
    detail::dump(*state_, out);
}

loop_statistics loop::statistics() noexcept { return state_->statistics(); }

void loop::shutdown(std::function<void()> done) {
    detail::check_thread(*state_, "shutdown");
    engine::cancel_scope_tree(state_->root, engine::why::shutdown);
    if (!done) {
        detail::notice(*this);
        return;
    }
    detail::loop_state& s = *state_;
    s.on_shutdown = std::move(done);
    // From a callback of its own: never inside this call, never inside a task's end.
    s.on_last_task = [](engine::loop_core& core) noexcept {
        detail::loop_state& mine = detail::loop_state::of(core);
        try {
            mine.self->call_soon(std::exchange(mine.on_shutdown, nullptr));
        } catch (...) {
            detail::report(&mine, nullptr, "the end of a shutdown could not be told", std::current_exception());
        }
    };
    if (s.live_tasks == 0) std::exchange(s.on_last_task, nullptr)(s);
    detail::notice(*this);
}

} // namespace eddy
