// Small worlds of an event: EV-1 to EV-7, X-2, X-3, X-4, X-10, X-11, X-12.
#include <eddy/sync/event.hpp>

#include "model/world.hpp"

#include <doctest/doctest.h>

using namespace eddy_model;

namespace {

enum kind : int { wait = yield_op + 1, set, clear };

// A flag, and who waits for it.
class event_model final : public model {
public:
    std::optional<int> start(int who, const op& o, woken& w) override {
        switch (o.kind) {
        case wait:
            if (set_) return 0;
            line_.push_back(who);
            return std::nullopt;
        case set:
            set_ = true;
            wake_all(w, 0);
            return 0;
        default:
            set_ = false;
            return 0;
        }
    }
    void leave(int who, woken&) override { remove_from(line_, who); }
    void undo(int, woken&) override {}
    void drop(int, woken&) override {}
    void destroy(woken& w) override { wake_all(w, was_destroyed); }
    [[nodiscard]] figures numbers() const override { return {set_ ? 1 : 0, static_cast<long>(line_.size())}; }
    [[nodiscard]] const char* broken() const override {
        return set_ && !line_.empty() ? "somebody waits for an event that is set" : nullptr;
    }

private:
    void wake_all(woken& w, int how) {
        for (const int who : line_)
            w.emplace_back(who, how);
        line_.clear();
    }
    bool set_ = false;
    std::vector<int> line_;
};

class event_subject final : public subject {
public:
    struct hand {};
    eddy::task_handle<void> spawn(eddy::loop& l, world& w, int me) override {
        return spawn_actor<event_subject>(l, w, me);
    }
    [[nodiscard]] figures numbers() const override {
        const eddy::event_statistics s = e_.statistics();
        return {s.is_set ? 1 : 0, static_cast<long>(s.waiters)};
    }
    eddy::task<int> perform(world& w, int me, hand&, op o) {
        int r = 0;
        try {
            switch (o.kind) {
            case yield_op:
                co_await eddy::yield();
                break;
            case wait:
                if (w.timed(me)) {
                    const bool in_time = co_await eddy::move_on_after(limit, e_.wait());
                    if (!in_time) r = was_timed_out;
                } else {
                    co_await e_.wait();
                }
                break;
            case set:
                e_.set();
                break;
            default:
                e_.clear();
            }
        } catch (...) {
            r = ended_by_exception();
        }
        w.finish(me, r);
        co_return r;
    }

private:
    eddy::event e_;
};

primitive event_worlds() {
    primitive p;
    p.name = "event";
    p.op_names = {"yield", "wait", "set", "clear"};
    p.checkpoint = {true, true, false, false};
    p.make_model = [](int) -> std::unique_ptr<model> { return std::make_unique<event_model>(); };
    p.make_subject = [](int) -> std::unique_ptr<subject> { return std::make_unique<event_subject>(); };
    const std::vector<op> all{{yield_op}, {wait}, {set}, {clear}};
    p.first = {make_program({{wait}, {wait}}), make_program({{wait}, {clear}})};
    p.second = all_programs(all, 2);
    p.first_long = {make_program({{wait}, {clear}, {wait}})};
    p.second_long = all_programs(all, 3);
    p.any = {{yield_op}, {wait}, {wait}, {set}, {clear}};
    return p;
}

} // namespace

TEST_CASE("EV-2 EV-4 EV-5 EV-6 EV-7 X-2 X-3 X-11 X-12 an event in every small world does what its model does") {
    explore(event_worlds());
}
TEST_CASE("an event does what its model does in long random runs") { explore_at_random(event_worlds()); }
