#include <eddy/core/promise.hpp>

#include "core/state.hpp"

#include <string>

namespace eddy::detail {

namespace {
loop_state* state_here() noexcept {
    loop* l = loop::try_current();
    return l == nullptr ? nullptr : &l->detail_state();
}
} // namespace

void throw_empty_promise(const char* function) {
    throw std::logic_error(std::string("eddy: ") + function + "() of a promise that was moved from");
}

promise_cell::promise_cell(bool any_thread, const char* what) noexcept : any_thread_(any_thread), what_(what) {
    deliver = [](engine::mail& m) noexcept {
        auto& self = static_cast<promise_cell&>(m);
        engine::waiter* w = nullptr;
        {
            const auto held = self.lock();
            w = std::exchange(self.waiting_, nullptr);
        }
        if (w != nullptr) w->where->loop->grant(*w, engine::status::ok);
        self.release();
    };
    discard = [](engine::mail& m) noexcept { static_cast<promise_cell&>(m).release(); };
    if (any_thread_) return;
    if (loop_state* s = state_here(); s != nullptr) home_ = s;
}

promise_cell::~promise_cell() {
    if (stage_ == cell_stage::error && !given_up_)
        report(state_here(), nullptr, "a promise was given an exception that nobody waited for", error_);
}

void* promise_cell::operator new(std::size_t size) {
    void* p = engine::allocate(size);
    if (p == nullptr) throw std::bad_alloc();
    return p;
}

std::unique_lock<std::mutex> promise_cell::lock() noexcept {
    return any_thread_ ? std::unique_lock(guard_) : std::unique_lock(guard_, std::defer_lock);
}

std::unique_lock<std::mutex> promise_cell::begin_set(const char* function) {
    auto held = lock();
    if (stage_ != cell_stage::empty)
        throw std::logic_error(std::string("eddy: ") + what_ + "::" + function + "() on a promise that was set before");
    if (!any_thread_ && waiting_ != nullptr && !is_alive(waiting_->where->loop))
        throw std::logic_error(std::string("eddy: promise::") + function +
                               "() on another thread than its loop's; thread_promise is for that");
    return held;
}

void promise_cell::end_set(std::unique_lock<std::mutex> held, cell_stage s) noexcept {
    stage_ = s;
    const std::function<void()> unused = std::move(on_cancel_); // destroyed after the lock is released
    on_cancel_ = nullptr;
    if (waiting_ != nullptr) wake();
    if (held.owns_lock()) held.unlock();
}

// Under the lock.
void promise_cell::wake() noexcept {
    if (any_thread_) {
        retain();
        mailed_ = true;
        if (!hub_->box.post(*this)) refs_.fetch_sub(1, std::memory_order_relaxed); // never the last: our caller has one
        return;
    }
    engine::waiter& w = *std::exchange(waiting_, nullptr);
    loop_state& l = loop_state::of(*w.where->loop);
    l.grant(w, engine::status::ok);
    notice(*l.self); // we may be in a callback of the host
}

void promise_cell::set_error(std::exception_ptr e) {
    if (e == nullptr) throw std::logic_error(std::string("eddy: ") + what_ + "::set_exception() with a null pointer");
    auto held = begin_set("set_exception");
    error_ = std::move(e);
    end_set(std::move(held), cell_stage::error);
}

void promise_cell::tell_on_cancel(std::function<void()> f) {
    const auto held = lock();
    if (stage_ == cell_stage::empty) on_cancel_.swap(f);
}

void promise_cell::give_up() noexcept {
    auto held = lock();
    if (stage_ == cell_stage::empty) end_set(std::move(held), cell_stage::broken);
}

bool promise_cell::is_set() noexcept {
    const auto held = lock();
    return stage_ != cell_stage::empty;
}

bool promise_cell::is_given_up() noexcept {
    const auto held = lock();
    return given_up_;
}

void promise_cell::release_at_home() noexcept {
    std::shared_ptr<loop_hub> home;
    {
        const auto held = lock();
        if (stage_ == cell_stage::value && given_up_ && !mailed_) home = hub_;
    }
    if (home == nullptr || !home->box.post(*this)) release();
}

bool promise_cell::look(engine::waiter& w) {
    const auto held = lock();
    if (waiting_ != nullptr || next_ != nullptr)
        throw std::logic_error(std::string("eddy: a second wait for the same ") + what_ + " while the first goes on");
    if (stage_ == cell_stage::taken)
        throw std::logic_error(std::string("eddy: the value of this ") + what_ + " has been taken already");
    if (!any_thread_) {
        if (home_ == nullptr) home_ = w.where->loop;
        if (home_ != w.where->loop) throw std::logic_error("eddy: a promise is awaited on another loop than its own");
    }
    if (stage_ != cell_stage::empty) return true;
    next_ = &w;
    return false;
}

void promise_cell::wait(engine::waiter& w) noexcept {
    const auto held = lock();
    waiting_ = &w;
    next_ = nullptr;
    if (!any_thread_) return;
    hub_ = loop_state::of(*w.where->loop).hub;
    if (stage_ != cell_stage::empty) wake(); // set since look(); the mail comes when we are parked
}

engine::abort_result promise_cell::abort(engine::waiter& w) noexcept {
    const auto held = lock();
    waiting_ = nullptr;
    if (stage_ == cell_stage::empty) {
        given_up_ = true;
        return engine::abort_result::gone;
    }
    // Set first, and its mail is on the way: granted here, so that who lost a race is undone, and the value stays.
    w.where->loop->grant(w, engine::status::ok);
    return engine::abort_result::later;
}

void promise_cell::forget(engine::waiter& w) noexcept {
    const auto held = lock();
    given_up_ = true;
    if (next_ == &w) next_ = nullptr;
    if (waiting_ == &w) waiting_ = nullptr;
}

void promise_cell::tell_cancelled() noexcept {
    std::function<void()> f;
    {
        const auto held = lock();
        given_up_ = true;
        f.swap(on_cancel_);
    }
    if (!f) return;
    try {
        f();
    } catch (...) {
        report(state_here(), nullptr, "an on_cancel function of a promise threw", std::current_exception());
    }
}

void promise_cell::fail() {
    std::exception_ptr e;
    {
        const auto held = lock();
        if (stage_ == cell_stage::broken) throw broken_promise();
        if (stage_ != cell_stage::error)
            throw std::logic_error(std::string("eddy: the value of this ") + what_ + " has been taken already");
        stage_ = cell_stage::taken;
        e.swap(error_);
    }
    std::rethrow_exception(std::move(e));
}

} // namespace eddy::detail
