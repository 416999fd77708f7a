// Small worlds of a latch.
#include <eddy/sync/latch.hpp>

#include "model/world.hpp"

#include <doctest/doctest.h>

using namespace eddy_model;

namespace {

enum kind : int { wait = yield_op + 1, count_down, arrive };

// How many are missing, and who waits for them.
class latch_model final : public model {
public:
    explicit latch_model(long n) : missing_(n) {}
    std::optional<int> start(int who, const op& o, woken& w) override {
        if (o.kind != wait) {
            const long k = o.kind == arrive ? 1 : o.arg;
            if (k > missing_) return was_misuse;
            missing_ -= k;
            if (missing_ == 0) wake_all(w, 0);
            if (o.kind == count_down) return 0;
        }
        if (missing_ == 0) return 0;
        line_.push_back(who);
        return std::nullopt;
    }
    // What it has counted stays counted.
    void leave(int who, woken&) override { remove_from(line_, who); }
    void undo(int, woken&) override {}
    void drop(int, woken&) override {}
    void destroy(woken& w) override { wake_all(w, was_destroyed); }
    [[nodiscard]] figures numbers() const override { return {missing_, static_cast<long>(line_.size())}; }
    [[nodiscard]] const char* broken() const override {
        if (missing_ < 0) return "more have come than there are";
        return missing_ == 0 && !line_.empty() ? "somebody waits for an open latch" : nullptr;
    }

private:
    void wake_all(woken& w, int how) {
        for (const int who : line_)
            w.emplace_back(who, how);
        line_.clear();
    }
    long missing_;
    std::vector<int> line_;
};

class latch_subject final : public subject {
public:
    explicit latch_subject(std::ptrdiff_t n) : l_(n) {}
    struct hand {};
    eddy::task_handle<void> spawn(eddy::loop& l, world& w, int me) override {
        return spawn_actor<latch_subject>(l, w, me);
    }
    [[nodiscard]] figures numbers() const override {
        const eddy::latch_statistics s = l_.statistics();
        return {s.count, static_cast<long>(s.waiters)};
    }
    eddy::task<int> perform(world& w, int me, hand&, op o) {
        int r = 0;
        try {
            switch (o.kind) {
            case yield_op:
                co_await eddy::yield();
                break;
            case count_down:
                l_.count_down(o.arg);
                break;
            default: {
                auto waits = o.kind == wait ? l_.wait() : l_.arrive_and_wait();
                if (w.timed(me)) {
                    const bool in_time = co_await eddy::move_on_after(limit, std::move(waits));
                    if (!in_time) r = was_timed_out;
                } else {
                    co_await waits;
                }
            }
            }
        } catch (...) {
            r = ended_by_exception();
        }
        w.finish(me, r);
        co_return r;
    }

private:
    eddy::latch l_;
};

primitive latch_worlds() {
    primitive p;
    p.name = "latch";
    p.op_names = {"yield", "wait", "count_down", "arrive"};
    p.checkpoint = {true, true, false, true};
    p.configurations = 2;
    p.make_model = [](int c) -> std::unique_ptr<model> { return std::make_unique<latch_model>(c == 0 ? 2 : 4); };
    p.make_subject = [](int c) -> std::unique_ptr<subject> { return std::make_unique<latch_subject>(c == 0 ? 2 : 4); };
    const std::vector<op> all{{yield_op}, {wait}, {count_down, 1}, {count_down, 2}, {arrive}};
    p.first = {make_program({{wait}, {count_down, 1}}), make_program({{arrive}, {wait}})};
    p.second = all_programs(all, 2);
    p.first_long = {make_program({{wait}, {arrive}, {wait}})};
    p.second_long = all_programs({{wait}, {count_down, 1}, {arrive}}, 3);
    p.any = {{yield_op}, {yield_op}, {wait}, {wait}, {count_down, 0}, {count_down, 1}, {arrive}};
    return p;
}

} // namespace

TEST_CASE("X-2 X-3 X-4 X-11 X-12 a latch in every small world does what its model does") { explore(latch_worlds()); }
TEST_CASE("a latch does what its model does in long random runs") { explore_at_random(latch_worlds()); }
