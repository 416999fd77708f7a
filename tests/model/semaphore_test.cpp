// Small worlds of a semaphore: SM-2 to SM-9, SM-11, SM-13, CL-2, CL-3, X-1 to.
#include <eddy/sync/semaphore.hpp>

#include "model/world.hpp"

#include <doctest/doctest.h>

using namespace eddy_model;

namespace {

enum kind : int { acquire = yield_op + 1, try_acquire, give, forget, release, resize };

// How many there are, who has how many, and who waits for how many.
class semaphore_model final : public model {
public:
    semaphore_model(long n, bool bounded)
        : value_(n), total_(n), bounded_(bounded), hands_(tasks), served_(tasks, none) {}
    std::optional<int> start(int who, const op& o, woken& w) override {
        switch (o.kind) {
        case acquire:
            if (!available(o.arg)) {
                line_.emplace_back(who, o.arg);
                return std::nullopt;
            }
            hand_out(who, o.arg);
            return 0;
        case try_acquire:
            if (!available(o.arg)) return 0;
            hand_out(who, o.arg);
            return 1;
        case give:
        case forget: {
            if (hand(who).empty()) return was_misuse;
            const long k = pop_front(hand(who));
            if (o.kind == give)
                come_back(k, w);
            else
                held_ -= k;
            return 0;
        }
        case release:
            if (bounded_ && value_ + held_ + o.arg > total_) return was_misuse;
            value_ += o.arg;
            serve(w);
            return 0;
        default:
            value_ += o.arg - total_;
            total_ = o.arg;
            serve(w);
            return 0;
        }
    }
    void leave(int who, woken& w) override {
        remove_from(line_, who);
        serve(w); // it may have been in the way
    }
    void undo(int who, woken& w) override { come_back(std::exchange(served(who), none), w); }
    void taken(int who) override {
        if (const long k = std::exchange(served(who), none); k != none) hand(who).push_back(k);
    }
    void drop(int who, woken& w) override {
        while (!hand(who).empty())
            come_back(pop_front(hand(who)), w);
    }
    void destroy(woken& w) override {
        for (const auto& [who, k] : line_)
            w.emplace_back(who, was_destroyed);
        line_.clear();
    }
    [[nodiscard]] figures numbers() const override { return {value_, held_, total_, static_cast<long>(line_.size())}; }
    [[nodiscard]] const char* broken() const override {
        if (!line_.empty() && line_.front().second <= value_) return "the first waits although there is enough";
        long held = 0;
        for (std::size_t i = 0; i < tasks; ++i) {
            held += served_[i] == none ? 0 : served_[i];
            for (const long k : hands_[i])
                held += k;
        }
        return held != held_ ? "what is held is in nobody's hands" : nullptr;
    }

private:
    static constexpr std::size_t tasks = 8;
    static constexpr long none = -1;
    std::vector<long>& hand(int who) { return hands_[static_cast<std::size_t>(who)]; }
    long& served(int who) { return served_[static_cast<std::size_t>(who)]; }
    [[nodiscard]] bool available(long k) const { return k == 0 || (line_.empty() && value_ >= k); }
    void hand_out(int who, long k) {
        value_ -= k;
        held_ += k;
        served(who) = k;
    }
    void come_back(long k, woken& w) {
        held_ -= k;
        value_ += k;
        serve(w);
    }
    void serve(woken& w) {
        while (!line_.empty() && line_.front().second <= value_) {
            const auto [who, k] = pop_front(line_);
            hand_out(who, k);
            w.emplace_back(who, 0);
        }
    }
    long value_;
    long held_ = 0;
    long total_;
    bool bounded_;
    std::vector<std::vector<long>> hands_;
    std::vector<long> served_; // and not taken yet
    std::vector<std::pair<int, long>> line_;
};

class semaphore_subject final : public subject {
public:
    explicit semaphore_subject(std::ptrdiff_t n) : s_(n) {}
    semaphore_subject(std::ptrdiff_t n, eddy::bounded_t) : s_(n, eddy::bounded) {}
    struct hand {
        std::vector<eddy::semaphore::permit> permits;
        eddy::semaphore::permit none;
        // The one that was taken first goes first.
        eddy::semaphore::permit pop() {
            if (permits.empty()) return std::move(none);
            return pop_front(permits);
        }
        static eddy::semaphore::permit pop_front(std::vector<eddy::semaphore::permit>& from) {
            eddy::semaphore::permit p = std::move(from.front());
            from.erase(from.begin());
            return p;
        }
        hand() = default;
        ~hand() {
            while (!permits.empty())
                static_cast<void>(pop());
        }
    };
    eddy::task_handle<void> spawn(eddy::loop& l, world& w, int me) override {
        return spawn_actor<semaphore_subject>(l, w, me);
    }
    [[nodiscard]] figures numbers() const override {
        const eddy::semaphore_statistics s = s_.statistics();
        return {s.available, s.held, s.total, static_cast<long>(s.waiters)};
    }
    eddy::task<int> perform(world& w, int me, hand& h, op o) {
        int r = 0;
        try {
            switch (o.kind) {
            case yield_op:
                co_await eddy::yield();
                break;
            case acquire:
                if (w.timed(me)) {
                    auto p = co_await eddy::move_on_after(limit, s_.acquire(o.arg));
                    if (p.has_value())
                        h.permits.push_back(std::move(*p));
                    else
                        r = was_timed_out;
                } else {
                    auto p = co_await s_.acquire(o.arg);
                    h.permits.push_back(std::move(p));
                }
                break;
            case try_acquire:
                if (auto p = s_.try_acquire(o.arg); p.has_value()) {
                    h.permits.push_back(std::move(*p));
                    r = 1;
                }
                break;
            case give:
                h.pop().release();
                break;
            case forget:
                h.pop().forget();
                break;
            case release:
                s_.release(o.arg);
                break;
            default:
                s_.resize(o.arg);
            }
        } catch (...) {
            r = ended_by_exception();
        }
        w.finish(me, r);
        co_return r;
    }

private:
    eddy::semaphore s_;
};

primitive semaphore_worlds() {
    primitive p;
    p.name = "semaphore";
    p.op_names = {"yield", "acquire", "try_acquire", "give", "forget", "release", "resize"};
    p.checkpoint = {true, true, false, false, false, false, false};
    p.configurations = 2;
    p.make_model = [](int c) -> std::unique_ptr<model> {
        return std::make_unique<semaphore_model>(c == 0 ? 1 : 2, c == 1);
    };
    p.make_subject = [](int c) -> std::unique_ptr<subject> {
        if (c == 0) return std::make_unique<semaphore_subject>(1);
        return std::make_unique<semaphore_subject>(2, eddy::bounded);
    };
    p.first = {make_program({{acquire, 1}, {yield_op}}), make_program({{acquire, 2}, {give}}),
               make_program({{acquire, 1}, {acquire, 1}})};
    p.second = all_programs({{acquire, 1}, {acquire, 2}, {give}, {release, 1}}, 2);
    for (const op o : {op{try_acquire, 1}, op{forget}, op{resize, 1}, op{resize, 3}}) {
        p.second.push_back(make_program({{acquire, 1}, o}));
        p.second.push_back(make_program({o, {acquire, 2}}));
    }
    p.first_long = {make_program({{acquire, 1}, {yield_op}, {acquire, 2}}),
                    make_program({{acquire, 2}, {give}, {acquire, 1}})};
    p.second_long = all_programs({{acquire, 1}, {acquire, 2}, {give}}, 3);
    p.second_long.push_back(make_program({{resize, 1}, {acquire, 1}, {resize, 3}}));
    p.second_long.push_back(make_program({{try_acquire, 2}, {forget}, {release, 1}}));
    p.any = {{yield_op}, {acquire, 1}, {acquire, 1}, {acquire, 2}, {acquire, 3}, {acquire, 0}, {try_acquire, 1}, {give},
             {give},     {give},       {forget, 0},  {release, 1}, {release, 1}, {resize, 2},  {resize, 5}};
    return p;
}

} // namespace

TEST_CASE("SM-2 SM-3 SM-4 SM-5 SM-6 SM-7 SM-11 X-1 X-2 X-4 a semaphore in every small world does what its model does") {
    explore(semaphore_worlds());
}
TEST_CASE("a semaphore does what its model does in long random runs") { explore_at_random(semaphore_worlds()); }
