// Plain callbacks: soon, later, at a time.
#include "core/state.hpp"

#include <new>

namespace eddy {

namespace detail {

namespace {

void unlink_call(timer_call& c) noexcept {
    if (c.prev_call != nullptr)
        c.prev_call->next_call = c.next_call;
    else
        c.owner->calls = c.next_call;
    if (c.next_call != nullptr) c.next_call->prev_call = c.prev_call;
    c.next_call = c.prev_call = nullptr;
}

} // namespace

std::shared_ptr<timer_call> settle_call(timer_call& c) noexcept {
    if (c.armed()) c.owner->disarm(c);
    if (c.linked()) c.unlink();
    unlink_call(c);
    return std::move(c.self);
}

namespace {

void run_call(engine::runnable& r) noexcept {
    auto& c = static_cast<timer_call&>(r);
    loop_state& l = *c.owner;
    const std::shared_ptr<timer_call> keep = settle_call(c);
    l.running = nullptr;
    const locals_scope locals(std::move(c.locals));
    const std::function<void()> f = std::move(c.f);
    c.f = nullptr;
    try {
        f();
    } catch (...) {
        report(&l, nullptr, "a callback threw", std::current_exception());
    }
}

constexpr engine::wait_kind call_kind{
    .name = "call", .outside = false, .pinned = false, .abort = nullptr, .describe = nullptr, .resume = &run_call};

std::shared_ptr<timer_call> make_call(loop_state& l, std::function<void()> f, const char* what) {
    if (!f) throw std::logic_error(std::string("eddy: ") + what + " needs a function, and got an empty one");
    auto c = std::make_shared<timer_call>();
    c->f = std::move(f);
    c->locals = captured_locals();
    c->owner = &l;
    c->engine::runnable::kind = &call_kind;
    c->fire = [](engine::timer& t) noexcept {
        auto& call = static_cast<timer_call&>(t);
        call.owner->make_ready(call);
    };
    c->self = c;
    c->next_call = l.calls;
    if (l.calls != nullptr) l.calls->prev_call = c.get();
    l.calls = c.get();
    return c;
}

} // namespace

} // namespace detail

void timer_handle::cancel() noexcept {
    if (!pending()) return;
    const std::shared_ptr<detail::timer_call> keep = detail::settle_call(*call_);
    const detail::local_values values = std::move(call_->locals);
    const std::function<void()> dead = std::move(call_->f);
    call_->f = nullptr;
}

bool timer_handle::pending() const noexcept { return call_ != nullptr && call_->self != nullptr; }

void loop::call_soon(std::function<void()> f) {
    detail::check_open(*this, "call_soon");
    state_->make_ready(*detail::make_call(*state_, std::move(f), "call_soon"));
    detail::notice(*this);
}

timer_handle loop::call_at(clock::time_point t, std::function<void()> f) {
    detail::check_open(*this, "call_at");
    auto c = detail::make_call(*state_, std::move(f), "call_at");
    if (!state_->arm(*c, t.time_since_epoch().count())) {
        detail::settle_call(*c);
        throw std::bad_alloc();
    }
    detail::notice(*this);
    return timer_handle(std::move(c));
}

timer_handle loop::call_after(duration d, std::function<void()> f) {
    return call_at(clock::time_point(duration(detail::saturating_add(state_->now(), d))), std::move(f));
}

} // namespace eddy
