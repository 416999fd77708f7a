#include "core/debug.hpp"

#include "core/log.hpp"
#include "core/state.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace eddy {

namespace detail {

debug_watch::debug_watch(loop_state& l) noexcept : loop_(l) {
    begins = [](engine::step_watch& w, const engine::runnable& r) noexcept {
        static_cast<debug_watch&>(w).begin_step(r);
    };
    ended = [](engine::step_watch& w) noexcept { static_cast<debug_watch&>(w).end(); };
}

void debug_watch::begin(const char* what) noexcept {
    begun_ = true;
    what_ = what;
    id_ = 0;
    from_ = {};
    began_at_ = loop_.now();
}

void debug_watch::note_task(const engine::task_record& r) noexcept {
    id_ = number_of(r);
    const auto* x = find_extension(r);
    const std::string_view name = x == nullptr ? std::string_view() : std::string_view(x->name);
    const std::size_t n = std::min(name.size(), name_.size() - 1);
    std::copy_n(name.begin(), n, name_.begin());
    name_[n] = '\0';
}

void debug_watch::begin_step(const engine::runnable& r) noexcept {
    begin(r.kind->name);
    loop_.running = nullptr; // so that end() knows whether this step has set it
    if (r.kind->resume == &begin_record) {
        note_task(record_of_start(r));
    } else if (r.kind->resume == &resume_frame) {
        const auto& w = static_cast<const engine::waiter&>(r);
        if (const engine::task_record* task = engine::task_of(*w.where); task != nullptr) note_task(*task);
        from_ = std::coroutine_handle<promise_base>::from_address(w.target).promise().at;
    }
}

void debug_watch::end() noexcept {
    if (!begun_) return;
    begun_ = false;
    const duration took(loop_.now() - began_at_);
    if (took >= slow_) [[unlikely]]
        tell(took);
}

void debug_watch::tell(duration took) noexcept {
    try {
        const auto milliseconds = [](duration d) {
            return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count()) + " ms";
        };
        engine::task_record* now = loop_.running == nullptr ? nullptr : engine::task_of(*loop_.running);
        if (id_ == 0 && now != nullptr) note_task(*now); // woken by way of something else
        std::string text;
        if (id_ == 0) {
            text = std::string("a callback (") + what_ + ")";
        } else {
            text = std::string("task '") + (name_[0] != '\0' ? name_.data() : "task-" + std::to_string(id_)) + "' #" +
                   std::to_string(id_);
        }
        text += " held the loop for " + milliseconds(took) + " (more than " + milliseconds(slow_) + " are told)";
        if (id_ != 0) {
            text += from_.line() != 0 ? ", from the co_await at " + place_of(from_) : std::string();
            const std::source_location* to = now != nullptr && number_of(*now) == id_ ? await_site(*now) : nullptr;
            text += from_.line() != 0 ? "" : ",";
            text += to == nullptr ? " to its end" : " to the one at " + place_of(*to);
        }
        log(log_level::warning, text);
    } catch (...) {
        log_as(log_level::warning, "a step held the loop for %lld ms",
               static_cast<long long>(took.count() / 1'000'000));
    }
}

slow_section::slow_section(const char* what) noexcept {
    if (loop* const l = loop::try_current(); l != nullptr && l->debug()) watch_ = l->detail_state().debug.get();
    if (watch_ != nullptr) watch_->begin(what);
}

slow_section::~slow_section() {
    if (watch_ != nullptr) watch_->end();
}

void check_thread(const loop_state& l, const char* what) {
    if (!l.checks_thread.load(std::memory_order_relaxed) || l.hub->thread == std::this_thread::get_id()) [[likely]]
        return;
    throw std::logic_error(std::string("eddy: ") + what +
                           " on another thread than the loop's; there, use loop.post(), loop.ref() or a remote task");
}

bool debug_wanted() noexcept {
    const char* const v = std::getenv("EDDY_DEBUG");
    return v != nullptr && *v != '\0' && std::strcmp(v, "0") != 0;
}

void drop_unawaited(void* frame) noexcept {
    auto h = std::coroutine_handle<promise_base>::from_address(frame);
    loop* const l = loop::try_current();
    if (l != nullptr && l->debug() && !root_of(*l).has(engine::scope::cancelled))
        log_as(log_level::warning, "a task was dropped that nobody had awaited or spawned: the coroutine at %s:%u",
               h.promise().at.file_name(), static_cast<unsigned>(h.promise().at.line()));
    h.destroy();
}

} // namespace detail

void loop::set_debug(bool on, duration slow_step) {
    detail::loop_state& s = *state_;
    detail::check_thread(s, "set_debug");
    if (slow_step < duration::zero()) throw std::logic_error("eddy: set_debug: the limit of a step can't be negative");
    if (on) {
        if (s.debug == nullptr) s.debug = std::make_unique<detail::debug_watch>(s);
        s.debug->set_slow(slow_step);
    }
    s.watch_steps(on ? s.debug.get() : nullptr);
    s.checks_thread.store(on, std::memory_order_relaxed);
}

bool loop::debug() const noexcept { return state_->checks_thread.load(std::memory_order_relaxed); }

} // namespace eddy
