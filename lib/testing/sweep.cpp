#include <eddy/testing/sweep.hpp>

#include <eddy/testing/virtual_loop.hpp>

#include "core/state.hpp"

#include <algorithm>
#include <new>
#include <sstream>

namespace eddy::testing {

namespace {

using engine::at_await_action;

constexpr std::size_t nowhere = static_cast<std::size_t>(-1);
// A run that has gone this far beyond the first will not end.
constexpr std::uint64_t patience = 20'000;

// What is done to a run.
struct plan {
    std::size_t await = nowhere;
    at_await_action action = at_await_action::cancel;
    std::size_t again = nowhere;  // a second cancellation
    std::size_t step = nowhere;   // before this step …
    std::size_t target = nowhere; // … this scope (in pre-order) is cancelled …
    std::size_t choice = 0;       // … or this one of the ready goes first
    std::size_t allocation = nowhere;
};

// One run: its hooks, what they do, and what they see.
class probe {
public:
    probe(const plan& p, virtual_loop& l) : plan_(p), core_(l.detail_state()), before_(core_.current_hooks()) {
        hooks_.user = this;
        hooks_.pick = &on_step;
        hooks_.at_await = &on_await;
        hooks_.fault = &on_allocation;
        core_.set_hooks(&hooks_);
    }
    probe(const probe&) = delete;
    ~probe() { stop(); }
    void stop() noexcept {
        if (active == this) active = nullptr;
        if (core_.current_hooks() == &hooks_) core_.set_hooks(before_);
    }
    // operator new is asked about between these two, or until stop().
    void listen(bool on) noexcept { active = on ? this : nullptr; }
    // Nothing is ready: one more moment to be cancelled in.
    void idle() noexcept { static_cast<void>(on_step(this, 0)); }

    static bool fails() noexcept { return active != nullptr && !active->inside_ && active->next_allocation(0); }

    std::size_t awaits = 0;
    std::size_t steps = 0;
    std::size_t allocations = 0;
    std::vector<std::size_t> targets; // scopes that could be cancelled, by step
    std::vector<std::size_t> ready;   // runnables to choose from, by step
    std::vector<const engine::wait_kind*> kinds;
    std::string done; // what was done, in words

private:
    // The probe's own allocations are not part of the run.
    struct aside {
        explicit aside(probe& p) noexcept : p_(p), before_(std::exchange(p.inside_, true)) {}
        aside(const aside&) = delete;
        ~aside() { p_.inside_ = before_; }
        probe& p_;
        bool before_;
    };

    static at_await_action on_await(void* user, const engine::wait_kind& kind, engine::scope& where) noexcept {
        auto& self = *static_cast<probe*>(user);
        const aside mine(self);
        if (std::find(self.kinds.begin(), self.kinds.end(), &kind) == self.kinds.end()) self.kinds.push_back(&kind);
        const std::size_t n = self.awaits++;
        if (n != self.plan_.await && n != self.plan_.again) return at_await_action::go;
        const at_await_action a = n == self.plan_.await ? self.plan_.action : at_await_action::cancel;
        self.say((a == at_await_action::cancel ? "cancelled at await " : "out of time at await ") +
                 std::to_string(n + 1) + ", " + kind.name + self.task_text(where));
        self.site_ = &where; // the line is known once it waits
        return a;
    }

    static std::size_t on_step(void* user, std::size_t n) noexcept {
        auto& self = *static_cast<probe*>(user);
        const aside mine(self);
        self.find_line();
        const std::size_t step = self.steps++;
        std::size_t chosen = 0;
        if (n != 0 && self.before_ != nullptr && self.before_->pick != nullptr)
            chosen = self.before_->pick(self.before_->user, n);
        std::size_t count = 0;
        engine::scope& root = self.core_.root;
        for (engine::scope* s = engine::next_in_tree(root, root, true); s != nullptr;) {
            engine::scope* const next = engine::next_in_tree(*s, root, true);
            if (!s->has(engine::scope::is_group) && !s->has(engine::scope::shielded)) {
                if (step == self.plan_.step && count == self.plan_.target) self.cancel(*s, step);
                ++count;
            }
            s = next;
        }
        self.targets.push_back(count);
        self.ready.push_back(n);
        if (step != self.plan_.step || self.plan_.choice == 0) return chosen;
        chosen = (chosen + self.plan_.choice) % std::max<std::size_t>(n, 1);
        self.say("at step " + std::to_string(step + 1) + " number " + std::to_string(chosen + 1) + " of " +
                 std::to_string(n) + " ready went first");
        return chosen;
    }

    static bool on_allocation(void* user, std::size_t size) noexcept {
        return static_cast<probe*>(user)->next_allocation(size);
    }
    bool next_allocation(std::size_t size) noexcept {
        if (inside_ || allocations++ != plan_.allocation) return false;
        const aside mine(*this);
        say("allocation " + std::to_string(plan_.allocation + 1) + " failed" +
            (size == 0 ? std::string() : ", " + std::to_string(size) + " bytes") +
            (core_.running == nullptr ? std::string() : task_text(*core_.running)));
        return true;
    }

    void cancel(engine::scope& s, std::size_t step) {
        const bool task = s.has(engine::scope::is_task);
        say("before step " + std::to_string(step + 1) +
            (task ? std::string(" cancelled") : std::string(" a scope was out of time")) + task_text(s));
        if (const engine::waiter* w = s.wait(); w != nullptr)
            done += std::string(", in ") + w->kind->name + line_of(*w);
        engine::cancel_scope_tree(s, task ? engine::why::requested : engine::why::timeout);
    }

    void say(const std::string& what) { done += (done.empty() ? "" : "; ") + what; }
    std::string task_text(engine::scope& where) const {
        const engine::task_record* r = engine::task_of(where);
        return r == nullptr ? std::string() : " of '" + eddy::detail::name_of(*r) + "'";
    }
    static std::string line_of(const engine::waiter& w) {
        if (w.kind->resume != &eddy::detail::resume_frame) return {};
        const auto& at = std::coroutine_handle<eddy::detail::promise_base>::from_address(w.target).promise().at;
        const std::string_view path = at.file_name();
        return " at " + std::string(path.substr(path.find_last_of('/') + 1)) + ":" + std::to_string(at.line());
    }
    void find_line() {
        if (site_ == nullptr) return;
        // It may have gone: look for it among those that exist.
        engine::scope& root = core_.root;
        for (engine::scope* s = engine::next_in_tree(root, root, true); s != nullptr;
             s = engine::next_in_tree(*s, root, true))
            if (s == site_ && s->wait() != nullptr) done += line_of(*s->wait());
        site_ = nullptr;
    }

    static thread_local probe* active;
    const plan plan_;
    eddy::detail::loop_state& core_;
    const engine::hooks* const before_;
    engine::hooks hooks_;
    engine::scope* site_ = nullptr;
    bool inside_ = false;
};

constinit thread_local probe* probe::active = nullptr;

class sweeper {
public:
    sweeper(const std::function<task<void>()>& f, const sweep_options& o, bool memory)
        : f_(f), options_(o), memory_(memory) {
        if (!f) throw std::logic_error("eddy: a sweep needs a function, and got an empty one");
        eddy::detail::run_access::check_outside();
    }

    sweep_result run() {
        const counts first = once({});
        result.awaits = first.awaits;
        result.steps = first.steps;
        result.allocations = first.allocations;
        limit_ = first.resumptions + patience;
        if (memory_) {
            for (std::size_t n = 0; n < first.allocations; ++n) {
                plan p;
                p.allocation = n;
                once(p);
            }
        } else {
            awaits(first, at_await_action::cancel);
            if (options_.timeouts()) awaits(first, at_await_action::timeout);
            if (options_.steps()) steps(first);
            if (options_.orders()) orders(first);
        }
        for (const engine::wait_kind* k : kinds_)
            result.sites.emplace_back(k->name);
        std::sort(result.sites.begin(), result.sites.end());
        result.sites.erase(std::unique(result.sites.begin(), result.sites.end()), result.sites.end());
        return std::move(result);
    }

private:
    struct counts {
        std::size_t awaits = 0;
        std::size_t steps = 0;
        std::size_t allocations = 0;
        std::uint64_t resumptions = 0;
        std::vector<std::size_t> targets;
        std::vector<std::size_t> ready;
    };

    void awaits(const counts& first, at_await_action a) {
        for (std::size_t n = 0; n < first.awaits; ++n) {
            plan p;
            p.await = n;
            p.action = a;
            const counts one = once(p);
            if (!options_.pairs()) continue;
            for (p.again = n + 1; p.again < one.awaits; ++p.again)
                once(p);
        }
    }
    void steps(const counts& first) {
        plan p;
        for (p.step = 0; p.step < first.steps; ++p.step)
            for (p.target = 0; p.target < first.targets[p.step]; ++p.target)
                once(p);
    }
    void orders(const counts& first) {
        plan p;
        for (p.step = 0; p.step < first.steps; ++p.step)
            for (p.choice = 1; p.choice < first.ready[p.step]; ++p.choice)
                once(p);
    }

    counts once(const plan& p) {
        ++result.runs;
        if (options_.only() != 0 && result.runs != 1 && result.runs != options_.only()) return {};
        counts seen;
        {
            virtual_loop l;
            run_on(l, p, seen);
        }
        if (options_.after()) {
            try {
                options_.after()();
            } catch (...) {
                fail("after the run: " + eddy::detail::describe(std::current_exception()));
            }
        }
        return seen;
    }

    void run_on(virtual_loop& l, const plan& p, counts& seen) {
        eddy::detail::loop_state& s = l.detail_state();
        std::exception_ptr reported;
        l.set_exception_handler([this, &reported](const error_context& c) {
            if (reported == nullptr && !acceptable(c.exception)) reported = c.exception;
        });
        done_.clear();
        probe watch(p, l);
        std::exception_ptr ended;
        any_task_handle main;
        watch.listen(memory_);
        try {
            // A call first: f's own code, like its frame, is part of the run, and runs on the loop.
            const auto body = [](const std::function<task<void>()>* f) -> task<void> { co_await (*f)(); };
            main = any_task_handle(eddy::detail::spawn_call(s.root, nullptr, {}, body, &f_));
            main.detail_record()->flags |= engine::scope::observed;
        } catch (...) {
            ended = std::current_exception();
        }
        if (main.valid()) {
            drive(s, watch, main.detail_record());
            drive(s, watch, nullptr);
        }
        watch.stop();
        done_ = watch.done;
        seen.awaits = watch.awaits;
        seen.steps = watch.steps;
        seen.allocations = watch.allocations;
        seen.targets = std::move(watch.targets);
        seen.ready = std::move(watch.ready);
        for (const engine::wait_kind* k : watch.kinds)
            if (std::find(kinds_.begin(), kinds_.end(), k) == kinds_.end()) kinds_.push_back(k);
        if (main.valid()) {
            try {
                eddy::detail::result_of_main<void>(*main.detail_record());
            } catch (...) {
                ended = std::current_exception();
            }
            main = {};
        }
        l.settle();
        const loop_statistics left = l.statistics();
        seen.resumptions = left.resumptions;
        if (ended != nullptr && !acceptable(ended)) fail("it threw: " + eddy::detail::describe(ended));
        if (reported != nullptr) fail("a background task threw: " + eddy::detail::describe(reported));
        ended = nullptr;
        check(left);
    }

    // Runs until `main` has ended; null: until every task has, after cancelling those that are left.
    void drive(eddy::detail::loop_state& s, probe& watch, engine::task_record* main) {
        if (main == nullptr) engine::cancel_scope_tree(s.root, engine::why::shutdown);
        const auto ended = [&] { return main == nullptr ? s.live_tasks == 0 : main->has(engine::scope::finished); };
        bool cancelled = false;
        for (;;) {
            s.drain();
            s.clear_stop();
            if (ended()) return;
            if (result.runs > 1 && s.statistics().resumptions > limit_) stuck(s, watch, "it comes to no end");
            if (s.has_ready() || s.box().has_mail()) continue;
            watch.idle();
            if (s.has_ready() || s.box().has_mail()) continue;
            if (s.has_timers() || s.box().holds() != 0) {
                s.poll_once();
                continue;
            }
            if (main == nullptr) stuck(s, watch, "a task does not end when it is cancelled");
            if (cancelled || !options_.deadlocks() || result.runs == 1)
                stuck(s, watch, "it waits for something that can never happen");
            cancelled = true;
            engine::cancel_scope_tree(*main, engine::why::shutdown);
        }
    }

    [[noreturn]] void stuck(eddy::detail::loop_state& s, probe& watch, const char* what) {
        watch.stop();
        done_ = watch.done;
        std::ostringstream text;
        text << what << "\n";
        eddy::detail::dump(s, text);
        // The end of the loop would wait for them, some of them for ever.
        constexpr int tries = 1000; // a destructor may start another
        for (int i = 0; i < tries && s.live_tasks != 0; ++i)
            for (engine::scope* t = &s.root; t != nullptr; t = engine::next_in_tree(*t, s.root, true))
                if (t->has(engine::scope::is_task)) {
                    eddy::detail::destroy_innermost(s, static_cast<engine::task_record&>(*t));
                    break;
                }
        fail(text.str());
    }

    void check(const loop_statistics& s) {
        const auto look = [this](std::size_t n, const char* what) {
            if (n != 0) fail("it left " + std::to_string(n) + " " + what);
        };
        look(s.tasks, "tasks");
        look(s.waiters, "waiters");
        look(s.timers, "timers");
        look(s.ready, "ready callbacks");
        look(s.frames, "frames or task records (a handle that is kept, a task that is not awaited)");
        look(s.bytes, "bytes");
    }

    [[nodiscard]] bool acceptable(const std::exception_ptr& e) const noexcept {
        try {
            if (options_.accept() && options_.accept()(e)) return true;
            if (result.runs == 1) return false;
            std::rethrow_exception(e);
        } catch (const cancelled&) {
            return true;
        } catch (const error&) {
            return true;
        } catch (const std::bad_alloc&) {
            return memory_;
        } catch (...) {
            return false;
        }
    }

    [[noreturn]] void fail(const std::string& what) {
        std::string text = "eddy: run " + std::to_string(result.runs) + " of a sweep (";
        text += result.runs == 1 ? "the first, undisturbed" : done_.empty() ? "nothing came to be done" : done_;
        throw sweep_failure(result.runs, text + "): " + what);
    }

    const std::function<task<void>()>& f_;
    const sweep_options& options_;
    const bool memory_;
    sweep_result result;
    std::uint64_t limit_ = 0;
    std::string done_;
    std::vector<const engine::wait_kind*> kinds_;
};

} // namespace

sweep_result cancel_sweep(const std::function<task<void>()>& f, const sweep_options& o) {
    return sweeper(f, o, false).run();
}

sweep_result fail_sweep(const std::function<task<void>()>& f, const sweep_options& o) {
    return sweeper(f, o, true).run();
}

bool allocation_fails() noexcept { return probe::fails(); }

} // namespace eddy::testing
