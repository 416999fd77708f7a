// Small worlds of a mutex: LK-1, LK-3 to LK-9, LK-11, X-1 to.
#include <eddy/sync/mutex.hpp>

#include "model/world.hpp"

#include <doctest/doctest.h>

using namespace eddy_model;

namespace {

enum kind : int { lock = yield_op + 1, try_lock, unlock };

// Who has it, and who waits for it. A task that has it may well wait for it: its guard has been moved, so nobody knows.
class mutex_model final : public model {
public:
    std::optional<int> start(int who, const op& o, woken& w) override {
        switch (o.kind) {
        case lock:
            if (holder_ == nobody) {
                holder_ = who;
                return 0;
            }
            line_.push_back(who);
            return std::nullopt;
        case try_lock:
            if (holder_ != nobody) return 0;
            holder_ = who;
            return 1;
        default:
            if (holder_ != who) return was_misuse;
            pass_on(w);
            return 0;
        }
    }
    void leave(int who, woken&) override { remove_from(line_, who); }
    void undo(int, woken& w) override { pass_on(w); }
    void drop(int who, woken& w) override {
        if (holder_ == who) pass_on(w);
    }
    void destroy(woken& w) override {
        for (const int who : line_)
            w.emplace_back(who, was_destroyed);
        line_.clear();
    }
    [[nodiscard]] figures numbers() const override {
        return {holder_ == nobody ? 0 : 1, static_cast<long>(line_.size())};
    }
    [[nodiscard]] const char* broken() const override {
        return holder_ == nobody && !line_.empty() ? "somebody waits for a free lock" : nullptr;
    }

private:
    static constexpr int nobody = -1;
    void pass_on(woken& w) {
        holder_ = nobody;
        if (line_.empty()) return;
        holder_ = pop_front(line_);
        w.emplace_back(holder_, 0);
    }
    int holder_ = nobody;
    std::vector<int> line_;
};

class mutex_subject final : public subject {
public:
    struct hand {
        eddy::mutex::guard guard;
    };
    eddy::task_handle<void> spawn(eddy::loop& l, world& w, int me) override {
        return spawn_actor<mutex_subject>(l, w, me);
    }
    [[nodiscard]] figures numbers() const override { return {m_.locked() ? 1 : 0, static_cast<long>(m_.waiters())}; }
    eddy::task<int> perform(world& w, int me, hand& h, op o) {
        int r = 0;
        try {
            switch (o.kind) {
            case yield_op:
                co_await eddy::yield();
                break;
            case lock:
                if (w.timed(me)) {
                    auto g = co_await eddy::move_on_after(limit, m_.lock());
                    if (g.has_value())
                        h.guard = std::move(*g);
                    else
                        r = was_timed_out;
                } else {
                    h.guard = co_await m_.lock();
                }
                break;
            case try_lock:
                if (auto g = m_.try_lock(); g.has_value()) {
                    h.guard = std::move(*g);
                    r = 1;
                }
                break;
            default:
                h.guard.unlock();
            }
        } catch (...) {
            r = ended_by_exception();
        }
        w.finish(me, r);
        co_return r;
    }

private:
    eddy::mutex m_;
};

primitive mutex_worlds() {
    primitive p;
    p.name = "mutex";
    p.op_names = {"yield", "lock", "try_lock", "unlock"};
    p.checkpoint = {true, true, false, false};
    p.make_model = [](int) -> std::unique_ptr<model> { return std::make_unique<mutex_model>(); };
    p.make_subject = [](int) -> std::unique_ptr<subject> { return std::make_unique<mutex_subject>(); };
    const std::vector<op> all{{yield_op}, {lock}, {try_lock}, {unlock}};
    p.first = {make_program({{lock}, {yield_op}}), make_program({{lock}, {unlock}}), make_program({{lock}, {lock}})};
    p.second = all_programs(all, 2);
    p.first_long = {make_program({{lock}, {yield_op}, {unlock}}), make_program({{lock}, {unlock}, {lock}})};
    p.second_long = all_programs(all, 3);
    p.any = {{yield_op}, {yield_op}, {lock}, {lock}, {lock}, {try_lock}, {unlock}, {unlock}, {unlock}};
    return p;
}

} // namespace

TEST_CASE(
    "LK-3 LK-4 LK-5 LK-6 LK-7 LK-8 LK-9 LK-11 X-1 X-2 X-4 X-5 a mutex in every small world does what its model does") {
    explore(mutex_worlds());
}
TEST_CASE("a mutex does what its model does in long random runs") { explore_at_random(mutex_worlds()); }
