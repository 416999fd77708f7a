// A small world: a few tasks on one primitive, run on a simulated loop in every order, beside the primitive's model.
//
// The world decides who runs next (engine hook `pick`), and knows from the model who must be ready, in which order and
// with which result: after every single step it compares the ready queue, the figures of the primitive, and what the
// operations gave. One more runnable, the *agent*, stands in the ready queue like a task; when it is picked it does
// harm: it cancels a task, lets a time limit run out, or destroys a task's frame.
#pragma once

#include "model/choices.hpp"
#include "model/model.hpp"

#include <eddy/testing/virtual_loop.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/flow/timeout.hpp>

#include <core/state.hpp>

namespace eddy_model {

enum class harm { none, request, timeout, destroy };

struct scenario {
    int configuration = 0;
    program first, second;
    int firsts = 0, seconds = 0; // how many tasks run each
    harm what = harm::none;
    int target = 0;
    bool destroy_primitive = false; // at the end, instead of cancelling who is left
};

class world {
public:
    explicit world(const primitive& p);
    world(const world&) = delete;
    ~world();

    // One execution. A difference is printed, with what replays it, and ends the process.
    void run(std::size_t number, const scenario& s, choices& c);
    // A long one: `tasks` tasks, `ops` operations and some harm between them, all drawn from `seed`.
    void run_random(int configuration, int tasks, int ops, std::uint64_t seed);
    // Tells every step on standard output.
    void be_verbose() { verbose_ = true; }

    // ---- for the tasks
    bool wants_more(int me);
    op next_op(int me);
    [[nodiscard]] bool timed(int me) const { return at(me).timed; } // its waits have a time limit, of `limit`
    void finish(int me, int result);
    void left(int me);
    subject& real() { return *subject_; }

private:
    enum class stage { unstarted, running, waiting, ready, over };
    struct slot {
        stage at = stage::over;
        bool cancelled = false;
        bool timed = false;
        int group = 0;
        int done = 0;
        int result = 0;
        op doing;
        long since = 0;    // when the wait began, counted
        long armed_at = 0; // the same, in virtual time
        eddy::task_handle<void> handle;
    };
    struct agent_node : eddy::engine::runnable {
        world* w = nullptr;
    };
    struct event {
        const char* what;
        int who;
        int a;
        int b;
    };
    static constexpr int agent = -1;
    static constexpr int nobody = -2;
    static constexpr int budget = 128; // operations in a row that could have waited

    slot& at(int who) { return slots_[static_cast<std::size_t>(who)]; }
    [[nodiscard]] const slot& at(int who) const { return slots_[static_cast<std::size_t>(who)]; }
    void begin(int configuration, int tasks);
    void spawn(int who);
    void run_ticks();
    void end();
    std::size_t choose(std::size_t n);
    void settle_turn();
    void compare();
    void act();
    void act_at_random();
    void queue_agent();
    [[nodiscard]] bool harm_possible() const;
    void request(int who);
    void destroy(int who);
    void fire_timers();
    void make_ready(int who, int result);
    void flush();
    void forget_ready(int who);
    void note(const char* what, int who = nobody, int a = 0, int b = 0);
    void print(const event& e) const;
    [[noreturn]] void fail(const std::string& what);

    const primitive& primitive_;
    eddy::testing::virtual_loop loop_;
    eddy::engine::hooks hooks_;
    agent_node agent_;
    std::unique_ptr<subject> subject_;
    std::unique_ptr<model> model_;
    std::vector<slot> slots_;
    std::vector<int> now_, next_; // who is ready: in this tick, in the next one
    std::vector<std::size_t> options_;
    woken woken_;
    int turn_ = nobody;
    int in_a_row_ = 0;
    long clock_ = 0;
    long count_ = 0;
    int values_ = 0;
    bool fired_ = true;
    bool quiet_ = false; // the execution is over: who is left is cleared away, first in first out
    bool gone_ = false;
    bool verbose_ = false;
    const scenario* scenario_ = nullptr;
    choices* choices_ = nullptr;
    generator* random_ = nullptr;
    int ops_left_ = 0;
    std::string replay_; // "mutex:17", "mutex:random:…"
    std::vector<event> trace_;
};

// Tells the world that a task's frame is going; declared after what the task holds.
class leaver {
public:
    leaver(world& w, int me) noexcept : world_(w), me_(me) {}
    leaver(const leaver&) = delete;
    ~leaver() { world_.left(me_); }

private:
    world& world_;
    int me_;
};

// The body of every task. Subject has a type `hand`, what a task holds, and
// `task<int> perform(world&, int me, hand&, op)`, which calls world::finish.
template <class Subject>
eddy::task<> act_out(world* w, int me) {
    typename Subject::hand h;
    const leaver l(*w, me);
    while (w->wants_more(me)) {
        const op o = w->next_op(me);
        const int r = co_await static_cast<Subject&>(w->real()).perform(*w, me, h, o);
        if (r == was_cancelled || r == was_destroyed) co_return;
    }
}

template <class Subject>
eddy::task_handle<void> spawn_actor(eddy::loop& l, world& w, int me) {
    return l.spawn(&act_out<Subject>, &w, me);
}

inline constexpr std::chrono::nanoseconds limit{1};

// What the exception in flight says of how an operation ended.
int ended_by_exception();

// Walks the worlds of a primitive: all (EDDY_MODEL=full), or every n-th (EDDY_MODEL=n). EDDY_MODEL_REPLAY, as it is
// printed with a difference, runs that one execution and tells every step.
void explore(const primitive& p);
void explore_at_random(const primitive& p);

} // namespace eddy_model
