#include "model/world.hpp"

#include <eddy/core/error.hpp>

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace eddy_model {

using eddy::engine::scope;

world::world(const primitive& p) : primitive_(p) {
    hooks_.user = this;
    hooks_.pick = [](void* user, std::size_t n) noexcept { return static_cast<world*>(user)->choose(n); };
    static constexpr eddy::engine::wait_kind kind{
        .name = "agent",
        .outside = false,
        .pinned = false,
        .abort = nullptr,
        .describe = nullptr,
        .resume = [](eddy::engine::runnable& r) noexcept { static_cast<agent_node&>(r).w->act(); }};
    agent_.kind = &kind;
    agent_.w = this;
    loop_.detail_state().set_hooks(&hooks_);
}

world::~world() { loop_.detail_state().set_hooks(nullptr); }

// ---- an execution

void world::begin(int configuration, int tasks) {
    subject_ = primitive_.make_subject(configuration);
    model_ = primitive_.make_model(configuration);
    slots_.resize(static_cast<std::size_t>(tasks));
    now_.clear();
    next_.clear();
    trace_.clear();
    turn_ = nobody;
    clock_ = count_ = 0;
    values_ = 0;
    fired_ = true;
    quiet_ = gone_ = false;
}

void world::spawn(int who) {
    slot& s = at(who);
    s.at = stage::unstarted;
    s.cancelled = s.timed = false;
    s.done = 0;
    s.handle = subject_->spawn(loop_, *this, who);
    next_.push_back(who);
}

void world::run(std::size_t number, const scenario& s, choices& c) {
    replay_ = primitive_.name + ":" + std::to_string(number);
    scenario_ = &s;
    choices_ = &c;
    begin(s.configuration, s.firsts + s.seconds);
    for (int i = 0; i < s.firsts + s.seconds; ++i) {
        spawn(i);
        at(i).group = i < s.firsts ? 0 : 1;
    }
    if (s.what == harm::timeout) at(s.target).timed = true;
    if (s.what != harm::none) queue_agent();
    run_ticks();
    end();
}

void world::run_random(int configuration, int tasks, int ops, std::uint64_t seed) {
    replay_ = primitive_.name + ":random:" + std::to_string(configuration) + ":" + std::to_string(tasks) + ":" +
              std::to_string(ops) + ":" + std::to_string(seed);
    generator g(seed);
    random_ = &g;
    ops_left_ = ops;
    begin(configuration, tasks);
    for (int i = 0; i < tasks; ++i)
        spawn(i);
    queue_agent();
    run_ticks();
    end();
    random_ = nullptr;
}

void world::run_ticks() {
    auto& l = loop_.detail_state();
    while (!next_.empty() || !fired_ || l.has_ready()) {
        fire_timers();
        now_.swap(next_);
        note("tick");
        l.tick();
        settle_turn();
        if (!now_.empty()) fail("somebody is not ready who should be");
    }
}

// Everybody who is left waits for what will not come.
void world::end() {
    quiet_ = true;
    for (int i = 0; i < static_cast<int>(slots_.size()); ++i)
        if (at(i).at != stage::over && at(i).at != stage::waiting) fail("a task does not wait, and does not run");
    if (random_ == nullptr && scenario_->destroy_primitive) {
        note("primitive destroyed");
        gone_ = true;
        woken_.clear();
        model_->destroy(woken_);
        flush();
        scope& root = loop_.detail_state().root; // as at shutdown: no line on standard error
        root.flags |= scope::cancelled;
        subject_.reset();
        root.flags &= ~std::uint32_t{scope::cancelled};
    } else {
        // Whom that lets go may wait anew.
        for (bool all = false; !all;) {
            all = true;
            for (int i = 0; i < static_cast<int>(slots_.size()); ++i)
                if (at(i).at == stage::waiting) {
                    request(i);
                    all = false;
                }
            run_ticks();
        }
    }
    run_ticks();
    for (int i = 0; i < static_cast<int>(slots_.size()); ++i) {
        if (at(i).at != stage::over || !at(i).handle.done()) fail("a task has not ended");
        at(i).handle = {};
    }
    if (!gone_ && subject_->left() != model_->left()) fail("what is left in it differs");
    subject_.reset();
    const eddy::loop_statistics s = loop_.statistics();
    if (s.tasks + s.waiters + s.timers + s.ready + s.frames + s.bytes != 0) fail("something is left in the loop");
}

// ---- who runs next

// In the ready queue, and so to each other, tasks of the same program that have not begun are alike: they begin in the
// order of their numbers.
std::size_t world::choose(std::size_t n) {
    settle_turn();
    if (n != now_.size()) fail(std::to_string(n) + " are ready, but should be " + std::to_string(now_.size()));
    std::size_t pick = 0;
    if (random_ != nullptr) {
        pick = random_->below(n);
    } else if (!quiet_) {
        options_.clear();
        bool begun[2] = {false, false};
        for (std::size_t i = 0; i < n; ++i) {
            const int who = now_[i];
            if (who == agent) {
                if (!harm_possible()) continue;
            } else if (at(who).at == stage::unstarted) {
                if (std::exchange(begun[at(who).group], true)) continue;
            }
            options_.push_back(i);
        }
        if (!options_.empty()) pick = options_[choices_->next(options_.size())];
    }
    turn_ = now_[pick];
    in_a_row_ = 0;
    now_.erase(now_.begin() + static_cast<std::ptrdiff_t>(pick));
    note("turn", turn_);
    if (turn_ == agent) return pick;
    slot& s = at(turn_);
    s.at = s.at == stage::unstarted && s.cancelled ? stage::over : stage::running;
    return pick;
}

void world::settle_turn() {
    if (turn_ >= 0 && at(turn_).at == stage::running) fail("the task whose turn it was did not run, or still waits");
    turn_ = nobody;
    compare();
}

void world::compare() {
    if (gone_) return;
    if (const char* what = model_->broken(); what != nullptr) fail(std::string("the model itself is wrong: ") + what);
    const figures is = subject_->numbers();
    const figures should_be = model_->numbers();
    if (is == should_be) return;
    std::string text = "statistics:";
    for (std::size_t i = 0; i < is.size(); ++i)
        text +=
            " " + std::to_string(is[i]) + (is[i] == should_be[i] ? "" : "(not " + std::to_string(should_be[i]) + ")");
    fail(text);
}

// ---- the agent

void world::queue_agent() {
    loop_.detail_state().make_ready(agent_);
    next_.push_back(agent);
}

bool world::harm_possible() const {
    const slot& s = at(scenario_->target);
    if (scenario_->what == harm::timeout) return s.since != 0 && (s.at == stage::waiting || s.at == stage::ready);
    return s.at != stage::over;
}

void world::act() {
    if (turn_ != agent) fail("the agent ran out of turn");
    if (random_ != nullptr) {
        act_at_random();
        return;
    }
    // Alone in its tick it may wait for a better moment, but not for ever.
    const bool can_wait = now_.empty() && !next_.empty();
    if (!harm_possible() || (can_wait && choices_->next(2) == 1)) {
        if (can_wait && at(scenario_->target).at != stage::over) queue_agent();
        return;
    }
    switch (scenario_->what) {
    case harm::none:
        break;
    case harm::request:
        request(scenario_->target);
        break;
    case harm::timeout:
        note("the time limit runs out", scenario_->target);
        ++clock_;
        fired_ = false;
        loop_.detail_state().sim->advance(limit.count());
        break;
    case harm::destroy:
        destroy(scenario_->target);
        break;
    }
}

void world::act_at_random() {
    const int who = static_cast<int>(random_->below(slots_.size()));
    switch (random_->below(8)) {
    case 0:
        request(who);
        break;
    case 1:
        destroy(who);
        break;
    case 2:
        note("time limits run out");
        ++clock_;
        fired_ = false;
        loop_.detail_state().sim->advance(limit.count());
        break;
    default:
        break;
    }
    for (int i = 0; i < static_cast<int>(slots_.size()); ++i)
        if (at(i).at == stage::over && at(i).handle.done() && ops_left_ > 0 && random_->below(4) == 0) spawn(i);
    if (--ops_left_ > 0) queue_agent();
}

void world::request(int who) {
    note("cancel", who);
    slot& s = at(who);
    if (s.at != stage::over) {
        s.cancelled = true;
        if (s.at == stage::waiting) {
            // Those whom it held up first, then the task itself.
            woken_.clear();
            model_->leave(who, woken_);
            flush();
            make_ready(who, was_cancelled);
        }
    }
    s.handle.cancel();
}

void world::destroy(int who) {
    note("destroy", who);
    slot& s = at(who);
    if (s.at == stage::over) return;
    woken_.clear();
    if (s.at == stage::waiting) model_->leave(who, woken_);
    if (s.at == stage::ready && s.result >= 0 && s.doing.kind != yield_op) model_->undo(who, woken_);
    flush();
    forget_ready(who);
    s.at = stage::over; // a task that had begun tells so itself: left()
    eddy::engine::task_record& r = *s.handle.detail_record();
    r.flags |= scope::abandoned;
    r.loop->finish(r);
}

// The next tick begins with the timers that are due, in the order in which they were armed.
void world::fire_timers() {
    if (std::exchange(fired_, true)) return;
    for (;;) {
        int first = nobody;
        for (int i = 0; i < static_cast<int>(slots_.size()); ++i) {
            const slot& s = at(i);
            if (s.at == stage::waiting && s.timed && s.armed_at < clock_ &&
                (first == nobody || s.since < at(first).since))
                first = i;
        }
        if (first == nobody) return;
        woken_.clear();
        model_->leave(first, woken_);
        flush();
        make_ready(first, was_timed_out);
    }
}

// ---- ready

void world::make_ready(int who, int result) {
    note("ready", who, result);
    at(who).at = stage::ready;
    at(who).result = result;
    next_.push_back(who);
}

void world::flush() {
    for (const auto& [who, result] : woken_)
        make_ready(who, result);
    woken_.clear();
}

void world::forget_ready(int who) {
    std::erase(now_, who);
    std::erase(next_, who);
}

// ---- the tasks

bool world::wants_more(int me) {
    slot& s = at(me);
    if (turn_ != me || s.at != stage::running) fail("a task runs out of turn");
    if (gone_) return false;
    if (random_ != nullptr) return ops_left_ > 0;
    const program& p = s.group == 0 ? scenario_->first : scenario_->second;
    return s.done < p.size;
}

op world::next_op(int me) {
    slot& s = at(me);
    op o;
    if (random_ != nullptr) {
        --ops_left_;
        s.timed = random_->below(4) == 0;
        o = primitive_.any[random_->below(primitive_.any.size())];
    } else {
        const program& p = s.group == 0 ? scenario_->first : scenario_->second;
        o = p.ops[static_cast<std::size_t>(s.done)];
    }
    ++s.done;
    o.value = ++values_;
    s.doing = o;
    s.since = 0;
    note("starts", me, o.kind, o.arg);
    const bool could_wait = primitive_.checkpoint[static_cast<std::size_t>(o.kind)];
    in_a_row_ += could_wait ? 1 : 0;
    if (s.cancelled && could_wait) {
        make_ready(me, was_cancelled);
    } else if (o.kind == yield_op) {
        make_ready(me, 0);
    } else {
        woken_.clear();
        const std::optional<int> r = model_->start(me, o, woken_);
        flush();
        s.result = r.value_or(0);
        if (could_wait && in_a_row_ == budget && r.has_value() && *r != was_misuse) {
            make_ready(me, *r); // it has what it wanted, but gives way
        } else if (!r.has_value()) {
            s.at = stage::waiting;
            s.since = ++count_;
            s.armed_at = clock_;
        }
    }
    return o;
}

void world::finish(int me, int result) {
    slot& s = at(me);
    note("ends", me, result);
    if (turn_ != me || s.at != stage::running) fail("an operation ended that should wait");
    int should_be = s.result;
    if (should_be == was_timed_out && s.cancelled) should_be = was_cancelled; // D6: the outer one outranks
    if (result != should_be) fail("the operation should have ended with " + std::to_string(should_be));
    if (result >= 0 && s.doing.kind != yield_op) model_->taken(me);
}

void world::left(int me) {
    note("left", me);
    at(me).at = stage::over;
    if (gone_) return;
    woken_.clear();
    model_->drop(me, woken_);
    flush();
}

// ---- telling

void world::note(const char* what, int who, int a, int b) {
    trace_.push_back({what, who, a, b});
    if (verbose_) print(trace_.back());
}

void world::print(const event& e) const {
    const std::string_view what = e.what;
    if (e.who == nobody)
        std::printf("  %s\n", e.what);
    else if (e.who == agent)
        std::printf("  %s agent\n", e.what);
    else if (what == "starts")
        std::printf("  %s %d: %s %d\n", e.what, e.who, primitive_.op_names[static_cast<std::size_t>(e.a)].c_str(), e.b);
    else if (what == "ends" || what == "ready")
        std::printf("  %s %d: %d\n", e.what, e.who, e.a);
    else
        std::printf("  %s %d\n", e.what, e.who);
}

void world::fail(const std::string& what) {
    std::printf("eddy model: %s\n", what.c_str());
    // The end is what matters in a long one.
    const std::size_t most = 200;
    if (!verbose_)
        for (std::size_t i = trace_.size() < most ? 0 : trace_.size() - most; i < trace_.size(); ++i)
            print(trace_[i]);
    std::printf("EDDY_MODEL_REPLAY='%s%s%s'\n", replay_.c_str(), random_ == nullptr ? ":" : "",
                random_ == nullptr ? choices_->text().c_str() : "");
    std::fflush(stdout);
    std::_Exit(1);
}

int ended_by_exception() {
    try {
        throw;
    } catch (const eddy::cancelled&) {
        return was_cancelled;
    } catch (const eddy::queue_closed&) {
        return was_closed;
    } catch (const eddy::object_destroyed&) {
        return was_destroyed;
    } catch (const eddy::broken_barrier&) {
        return was_broken;
    } catch (const std::logic_error&) {
        return was_misuse;
    }
}

} // namespace eddy_model
