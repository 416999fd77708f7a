// Small worlds of a barrier: BA-2 to BA-9, X-1 to.
#include <eddy/sync/barrier.hpp>

#include "model/world.hpp"

#include <doctest/doctest.h>

using namespace eddy_model;

namespace {

enum kind : int { arrive = yield_op + 1, abort_it, reset };

// Who is there in this round, in the order of arrival.
class barrier_model final : public model {
public:
    explicit barrier_model(std::size_t n) : parties_(n) {}
    std::optional<int> start(int who, const op& o, woken& w) override {
        switch (o.kind) {
        case arrive: {
            if (broken_) return was_broken;
            there_.push_back(who);
            if (there_.size() < parties_) return std::nullopt;
            there_.pop_back();
            int place = 0;
            for (const int other : there_)
                w.emplace_back(other, place++);
            there_.clear();
            return place;
        }
        case abort_it:
        default:
            broken_ = o.kind == abort_it;
            send_away(w, was_broken);
            return 0;
        }
    }
    void leave(int who, woken&) override { remove_from(there_, who); }
    void undo(int, woken&) override {} // the round is complete, whoever has seen it
    void drop(int, woken&) override {}
    void destroy(woken& w) override { send_away(w, was_destroyed); }
    [[nodiscard]] figures numbers() const override {
        return {static_cast<long>(parties_), static_cast<long>(there_.size()), broken_ ? 1 : 0};
    }
    [[nodiscard]] const char* broken() const override {
        if (there_.size() >= parties_) return "a full round waits";
        return broken_ && !there_.empty() ? "somebody waits at a broken barrier" : nullptr;
    }

private:
    void send_away(woken& w, int how) {
        for (const int who : there_)
            w.emplace_back(who, how);
        there_.clear();
    }
    std::size_t parties_;
    bool broken_ = false;
    std::vector<int> there_;
};

class barrier_subject final : public subject {
public:
    explicit barrier_subject(std::ptrdiff_t n) : b_(n) {}
    struct hand {};
    eddy::task_handle<void> spawn(eddy::loop& l, world& w, int me) override {
        return spawn_actor<barrier_subject>(l, w, me);
    }
    [[nodiscard]] figures numbers() const override {
        const eddy::barrier_statistics s = b_.statistics();
        return {static_cast<long>(s.parties), static_cast<long>(s.waiters), s.broken ? 1 : 0};
    }
    eddy::task<int> perform(world& w, int me, hand&, op o) {
        int r = 0;
        try {
            switch (o.kind) {
            case yield_op:
                co_await eddy::yield();
                break;
            case arrive:
                if (w.timed(me)) {
                    auto place = co_await eddy::move_on_after(limit, b_.arrive_and_wait());
                    r = place.has_value() ? static_cast<int>(*place) : was_timed_out;
                } else {
                    const std::size_t place = co_await b_.arrive_and_wait();
                    r = static_cast<int>(place);
                }
                break;
            case abort_it:
                b_.abort();
                break;
            default:
                b_.reset();
            }
        } catch (...) {
            r = ended_by_exception();
        }
        w.finish(me, r);
        co_return r;
    }

private:
    eddy::barrier b_;
};

primitive barrier_worlds() {
    primitive p;
    p.name = "barrier";
    p.op_names = {"yield", "arrive", "abort", "reset"};
    p.checkpoint = {true, true, false, false};
    p.configurations = 3;
    p.cost = 11;
    p.make_model = [](int c) -> std::unique_ptr<model> {
        return std::make_unique<barrier_model>(static_cast<std::size_t>(c + 1));
    };
    p.make_subject = [](int c) -> std::unique_ptr<subject> { return std::make_unique<barrier_subject>(c + 1); };
    const std::vector<op> all{{yield_op}, {arrive}, {abort_it}, {reset}};
    p.first = {make_program({{arrive}, {arrive}}), make_program({{arrive}, {yield_op}})};
    p.second = all_programs(all, 2);
    p.first_long = {make_program({{arrive}, {arrive}, {arrive}})};
    p.second_long = all_programs(all, 3);
    p.any = {{yield_op}, {arrive}, {arrive}, {arrive}, {arrive}, {reset}, {abort_it}, {reset}, {reset}};
    return p;
}

} // namespace

TEST_CASE(
    "BA-2 BA-3 BA-4 BA-5 BA-6 BA-7 BA-8 BA-9 X-2 X-3 X-4 a barrier in every small world does what its model does") {
    explore(barrier_worlds());
}
TEST_CASE("a barrier does what its model does in long random runs") { explore_at_random(barrier_worlds()); }
