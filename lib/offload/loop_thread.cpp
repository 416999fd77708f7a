#include <eddy/offload/loop_thread.hpp>

#include <eddy/core/promise.hpp>
#include <eddy/core/run.hpp>

#include "core/log.hpp"
#include "core/state.hpp"
#include "offload/worker_pool.hpp"

#include <future>
#include <thread>

namespace eddy {

namespace detail {

struct loop_thread_state {
    std::thread thread;
    std::thread::id id;
    loop_ref ref;
    std::mutex closing; // held until the thread has been joined
    std::atomic<bool> closed{false};
    thread_promise<void> stop;
    unsigned born_in = fork_generation();
};

} // namespace detail

namespace {

task<void> until_stopped(thread_promise<void>& stop, std::promise<loop_ref>& running) {
    running.set_value(loop::current().ref());
    co_await stop.get();
}

void live(detail::loop_thread_state& s, const loop_thread_options& given, std::promise<loop_ref>& running) {
    const loop_thread_options o = given; // theirs goes when we are running
    pthread_setname_np(pthread_self(), o.name().substr(0, 15).c_str());
    bool runs = false;
    try {
        auto main = [&]() -> task<void> {
            runs = true;
            co_await until_stopped(s.stop, running);
        };
        run(main(), run_options().handle_sigint(false).shutdown_timeout(o.shutdown_timeout()));
    } catch (const stopped&) {
        // By ref().stop(): as good an end as any.
    } catch (...) {
        if (!runs)
            running.set_exception(std::current_exception());
        else
            detail::report(nullptr, nullptr, "the loop of a loop_thread ended", std::current_exception());
    }
}

} // namespace

loop_thread::loop_thread(loop_thread_options o) : state_(std::make_unique<detail::loop_thread_state>()) {
    detail::loop_thread_state& s = *state_;
    std::promise<loop_ref> running;
    auto ran = running.get_future();
    {
        const detail::signals_blocked around;
        s.thread = std::thread([&s, &o, &running] { live(s, o, running); });
    }
    s.id = s.thread.get_id();
    try {
        s.ref = ran.get();
    } catch (...) {
        s.thread.join();
        throw;
    }
}

loop_thread::loop_thread(loop_thread&&) noexcept = default;

loop_thread& loop_thread::operator=(loop_thread&& o) noexcept {
    if (this != &o) {
        const loop_thread old(std::move(*this));
        state_ = std::move(o.state_);
    }
    return *this;
}

loop_thread::~loop_thread() {
    if (state_ == nullptr) return;
    if (state_->born_in != detail::fork_generation()) {
        static_cast<void>(state_.release()); // the thread is the parent's
        return;
    }
    if (std::this_thread::get_id() == state_->id && !state_->closed) {
        detail::log(log_level::misuse, "a loop_thread was destroyed on its own thread");
        std::terminate();
    }
    close();
}

loop_ref loop_thread::open(const char* what) const {
    if (state_ == nullptr)
        throw std::logic_error(std::string("eddy: ") + what + "() of a loop_thread that was moved from");
    if (state_->closed) throw closed(std::string("eddy: ") + what + "() on a loop_thread that is closed");
    return state_->ref;
}

loop_ref loop_thread::ref() const {
    if (state_ == nullptr) throw std::logic_error("eddy: ref() of a loop_thread that was moved from");
    return state_->ref;
}

void loop_thread::close() {
    if (state_ == nullptr) throw std::logic_error("eddy: close() of a loop_thread that was moved from");
    detail::loop_thread_state& s = *state_;
    if (s.born_in != detail::fork_generation())
        throw std::logic_error("eddy: close() in a child process on a loop_thread that was made before the fork");
    if (std::this_thread::get_id() == s.id)
        throw std::logic_error("eddy: loop_thread::close() on its own thread would wait for itself");
    const std::lock_guard lock(s.closing);
    if (s.closed.exchange(true)) return;
    s.stop.set_value();
    s.thread.join();
}

} // namespace eddy
