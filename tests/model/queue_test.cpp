// Small worlds of a queue, of every order, bounded and not: QU-1 to QU-16, X-1 to.
#include <eddy/sync/queue.hpp>

#include "model/world.hpp"

#include <doctest/doctest.h>

using namespace eddy_model;

namespace {

enum kind : int { get = yield_op + 1, next, take, put, try_put, try_get, done, end_job, join, close, shutdown };

struct item {
    int rank = 0;
    int id = 0;
    bool operator<(const item& o) const noexcept { return rank < o.rank; }
};

// Items with the numbers in which they were put; who gets, who puts what, who joins.
class queue_model final : public model {
public:
    enum order { by_age, by_youth, by_rank };
    queue_model(order o, std::size_t capacity) : order_(o), capacity_(capacity), served_(tasks), jobs_(tasks) {}
    std::optional<int> start(int who, const op& o, woken& w) override {
        switch (o.kind) {
        case get:
        case next:
        case take: {
            if (store_.empty()) {
                if (closed_) return was_closed;
                getters_.emplace_back(who, o.kind == take);
                return std::nullopt;
            }
            const numbered n = pop_best();
            served(who) = served_item{n, o.kind == take};
            admit(w);
            return n.what.id;
        }
        case put:
            if (closed_) return was_closed;
            if (getters_.empty() && full()) {
                putters_.emplace_back(who, item{o.arg, o.value});
                return std::nullopt;
            }
            accept(item{o.arg, o.value}, w);
            return 0;
        case try_put:
            if (closed_ || full()) return 0;
            accept(item{o.arg, o.value}, w);
            return 1;
        case try_get: {
            if (store_.empty()) return was_empty;
            const numbered n = pop_best();
            admit(w);
            return n.what.id;
        }
        case done:
            if (unfinished_ == static_cast<long>(store_.size()) + not_reportable()) return was_misuse;
            finished(1, w);
            return 0;
        case end_job:
            if (jobs(who) == 0) return 0;
            --jobs(who);
            finished(1, w);
            return 1;
        case join:
            if (unfinished_ == 0) return 0;
            joiners_.push_back(who);
            return std::nullopt;
        case close:
            end(w);
            return 0;
        default: {
            end(w);
            const std::vector<int> dropped = left();
            if (!dropped.empty()) finished(static_cast<long>(dropped.size()), w);
            int sum = 0;
            for (const int id : dropped)
                sum = (sum * 31 + id) % 1000003;
            return sum;
        }
        }
    }
    void leave(int who, woken&) override {
        if (!remove_from(getters_, who) && !remove_from(putters_, who)) remove_from(joiners_, who);
    }
    // A put stays, as a join does; an item that was handed over goes to the next, or to its place.
    void undo(int who, woken& w) override {
        if (!served(who).has_value()) return;
        const numbered n = served(who)->what;
        served(who).reset();
        if (getters_.empty())
            store_.push_back(n);
        else
            hand_over(n, w);
    }
    void taken(int who) override {
        if (!served(who).has_value()) return;
        if (served(who)->as_job) ++jobs(who);
        served(who).reset();
    }
    void drop(int who, woken& w) override {
        for (; jobs(who) > 0; --jobs(who))
            finished(1, w);
    }
    void destroy(woken& w) override {
        for (const auto& g : getters_)
            w.emplace_back(g.first, was_destroyed);
        for (const auto& p : putters_)
            w.emplace_back(p.first, was_destroyed);
        for (const int j : joiners_)
            w.emplace_back(j, was_destroyed);
        getters_.clear();
        putters_.clear();
        joiners_.clear();
    }
    [[nodiscard]] figures numbers() const override {
        return {static_cast<long>(store_.size()),   unfinished_,
                static_cast<long>(getters_.size()), static_cast<long>(putters_.size()),
                static_cast<long>(joiners_.size()), closed_ ? 1 : 0};
    }
    [[nodiscard]] const char* broken() const override {
        if (!getters_.empty() && !store_.empty()) return "somebody waits for an item that is there";
        if (!putters_.empty() && !full()) return "somebody waits for room that is there";
        if (!joiners_.empty() && unfinished_ == 0) return "somebody waits for the end of nothing";
        if (closed_ && !(getters_.empty() && putters_.empty())) return "somebody waits at a closed queue";
        return unfinished_ < static_cast<long>(store_.size()) + not_reportable() ? "more items than were put" : nullptr;
    }
    std::vector<int> left() override {
        std::vector<int> ids;
        while (!store_.empty())
            ids.push_back(pop_best().what.id);
        return ids;
    }

private:
    struct numbered {
        long number;
        item what;
    };
    struct served_item {
        numbered what;
        bool as_job;
    };
    static constexpr std::size_t tasks = 8;
    std::optional<served_item>& served(int who) { return served_[static_cast<std::size_t>(who)]; }
    int& jobs(int who) { return jobs_[static_cast<std::size_t>(who)]; }
    [[nodiscard]] bool full() const { return capacity_ != 0 && store_.size() >= capacity_; }
    [[nodiscard]] bool before(const numbered& a, const numbered& b) const {
        if (order_ == by_youth) return a.number > b.number;
        if (order_ == by_rank && a.what.rank != b.what.rank) return a.what.rank < b.what.rank;
        return a.number < b.number;
    }
    numbered pop_best() {
        std::size_t best = 0;
        for (std::size_t i = 1; i < store_.size(); ++i)
            if (before(store_[i], store_[best])) best = i;
        const numbered n = store_[best];
        store_.erase(store_.begin() + static_cast<std::ptrdiff_t>(best));
        return n;
    }
    void hand_over(const numbered& n, woken& w) {
        const auto [who, as_job] = pop_front(getters_);
        served(who) = served_item{n, as_job};
        w.emplace_back(who, n.what.id);
    }
    void accept(const item& i, woken& w) {
        ++unfinished_;
        const numbered n{next_number_++, i};
        if (getters_.empty())
            store_.push_back(n);
        else
            hand_over(n, w);
    }
    // Room has been made: whoever waits to put, as far as it goes.
    void admit(woken& w) {
        while (!putters_.empty() && !full()) {
            const auto [who, i] = pop_front(putters_);
            accept(i, w);
            w.emplace_back(who, 0);
        }
    }
    void finished(long n, woken& w) {
        unfinished_ -= n;
        if (unfinished_ != 0) return;
        for (const int j : joiners_)
            w.emplace_back(j, 0);
        joiners_.clear();
    }
    void end(woken& w) {
        if (closed_) return;
        closed_ = true;
        for (const auto& g : getters_)
            w.emplace_back(g.first, was_closed);
        for (const auto& p : putters_)
            w.emplace_back(p.first, was_closed);
        getters_.clear();
        putters_.clear();
    }
    // Served and not taken, or in a job.
    [[nodiscard]] long not_reportable() const {
        long n = 0;
        for (std::size_t i = 0; i < tasks; ++i)
            n += (served_[i].has_value() ? 1 : 0) + jobs_[i];
        return n;
    }
    order order_;
    std::size_t capacity_;
    bool closed_ = false;
    long unfinished_ = 0;
    long next_number_ = 0;
    std::vector<numbered> store_;
    std::vector<std::optional<served_item>> served_;
    std::vector<int> jobs_;
    std::vector<std::pair<int, bool>> getters_;
    std::vector<std::pair<int, item>> putters_;
    std::vector<int> joiners_;
};

template <class Order>
class queue_subject final : public subject {
    using queue = eddy::queue<item, Order>;

public:
    explicit queue_subject(std::size_t capacity) : q_(capacity) {}
    struct hand {
        std::vector<std::unique_ptr<typename queue::job>> jobs;
        void keep(typename queue::job&& j) { jobs.push_back(std::make_unique<typename queue::job>(std::move(j))); }
    };
    eddy::task_handle<void> spawn(eddy::loop& l, world& w, int me) override {
        return spawn_actor<queue_subject>(l, w, me);
    }
    [[nodiscard]] figures numbers() const override {
        const eddy::queue_statistics s = q_.statistics();
        return {static_cast<long>(s.size),    static_cast<long>(s.unfinished), static_cast<long>(s.getters),
                static_cast<long>(s.putters), static_cast<long>(s.joiners),    s.closed ? 1 : 0};
    }
    std::vector<int> left() override {
        std::vector<int> ids;
        for (const item& i : q_.shutdown())
            ids.push_back(i.id);
        return ids;
    }
    eddy::task<int> perform(world& w, int me, hand& h, op o) {
        int r = 0;
        try {
            if (o.kind == yield_op)
                co_await eddy::yield();
            else if (o.kind > put && o.kind != join)
                r = at_once(h, o);
            else
                r = co_await wait(w.timed(me), h, o);
        } catch (...) {
            r = ended_by_exception();
        }
        w.finish(me, r);
        co_return r;
    }

private:
    int at_once(hand& h, op o) {
        switch (o.kind) {
        case try_put:
            return q_.try_put(item{o.arg, o.value}) ? 1 : 0;
        case try_get: {
            const std::optional<item> i = q_.try_get();
            return i.has_value() ? i->id : int{was_empty};
        }
        case done:
            q_.task_done();
            return 0;
        case end_job:
            if (h.jobs.empty()) return 0;
            h.jobs.erase(h.jobs.begin());
            return 1;
        case close:
            q_.close();
            return 0;
        default: {
            int sum = 0;
            for (const item& i : q_.shutdown())
                sum = (sum * 31 + i.id) % 1000003;
            return sum;
        }
        }
    }
    eddy::task<int> wait(bool timed, hand& h, op o) {
        if (timed) return in_time(h, o);
        return wait(h, o);
    }
    eddy::task<int> wait(hand& h, op o) {
        switch (o.kind) {
        case get: {
            const item i = co_await q_.get();
            co_return i.id;
        }
        case next: {
            const std::optional<item> i = co_await q_.next();
            co_return i.has_value() ? i->id : int{was_closed};
        }
        case take: {
            auto j = co_await q_.take();
            const int id = j->id;
            h.keep(std::move(j));
            co_return id;
        }
        case put: {
            const item i{o.arg, o.value};
            co_await q_.put(i);
            co_return 0;
        }
        default:
            co_await q_.join();
            co_return 0;
        }
    }
    eddy::task<int> in_time(hand& h, op o) {
        switch (o.kind) {
        case get: {
            const auto i = co_await eddy::move_on_after(limit, q_.get());
            co_return i.has_value() ? i->id : int{was_timed_out};
        }
        case next: {
            const auto i = co_await eddy::move_on_after(limit, q_.next());
            if (!i.has_value()) co_return was_timed_out;
            co_return i->has_value() ? (*i)->id : int{was_closed};
        }
        case take: {
            auto j = co_await eddy::move_on_after(limit, q_.take());
            if (!j.has_value()) co_return was_timed_out;
            const int id = (*j)->id;
            h.keep(std::move(*j));
            co_return id;
        }
        case put: {
            const item i{o.arg, o.value};
            const bool in_time = co_await eddy::move_on_after(limit, q_.put(i));
            co_return in_time ? 0 : int{was_timed_out};
        }
        default: {
            const bool in_time = co_await eddy::move_on_after(limit, q_.join());
            co_return in_time ? 0 : int{was_timed_out};
        }
        }
    }
    queue q_;
};

// fifo, lifo, priority; without limit and with room for one or two.
struct form {
    queue_model::order order;
    std::size_t capacity;
};
form form_of(int configuration) {
    static constexpr form forms[] = {{queue_model::by_age, 1},   {queue_model::by_age, 0},  {queue_model::by_youth, 2},
                                     {queue_model::by_youth, 0}, {queue_model::by_rank, 1}, {queue_model::by_rank, 0}};
    return forms[configuration];
}

primitive queue_worlds() {
    primitive p;
    p.name = "queue";
    p.op_names = {"yield",   "get",  "next",    "take", "put",   "try_put",
                  "try_get", "done", "end_job", "join", "close", "shutdown"};
    p.checkpoint = {true, true, true, true, true, false, false, false, false, true, false, false};
    p.configurations = 6;
    p.make_model = [](int c) -> std::unique_ptr<model> {
        return std::make_unique<queue_model>(form_of(c).order, form_of(c).capacity);
    };
    p.make_subject = [](int c) -> std::unique_ptr<subject> {
        const form f = form_of(c);
        if (f.order == queue_model::by_age) return std::make_unique<queue_subject<eddy::fifo>>(f.capacity);
        if (f.order == queue_model::by_youth) return std::make_unique<queue_subject<eddy::lifo>>(f.capacity);
        return std::make_unique<queue_subject<eddy::priority<>>>(f.capacity);
    };
    p.first = {make_program({{get}, {done}}), make_program({{put, 1}, {get}}), make_program({{take}, {join}}),
               make_program({{put, 1}, {put, 0}})};
    p.second = {make_program({{put, 1}, {put, 0}}), make_program({{put, 0}, {close}}),
                make_program({{get}, {take}}),      make_program({{try_get}, {get}}),
                make_program({{put, 0}, {join}}),   make_program({{next}, {next}}),
                make_program({{shutdown}, {next}}), make_program({{try_put}, {shutdown}})};
    p.first_long = {make_program({{put, 1}, {get}, {done}}), make_program({{put, 1}, {put, 0}, {join}})};
    p.second_long = {make_program({{take}, {end_job}, {get}}), make_program({{put, 0}, {put, 1}, {close}}),
                     make_program({{get}, {put, 0}, {get}}), make_program({{try_put}, {next}, {shutdown}})};
    p.any = {{yield_op},   {get},    {get},    {get},    {get},     {next},    {take},       {take},
             {put, 0},     {put, 1}, {put, 2}, {put, 1}, {put, 0},  {put, 2},  {try_put, 1}, {try_put, 0},
             {try_get, 0}, {done},   {done},   {done},   {end_job}, {end_job}, {join}};
    return p;
}

// The same with an end, which comes early.
primitive ending_queue_worlds() {
    primitive p = queue_worlds();
    p.name = "ending queue";
    for (int i = 0; i < 3; ++i)
        p.any.insert(p.any.end(), {{get}, {put, 1}, {put, 0}, {take}, {join}});
    p.any.push_back({shutdown});
    p.any.push_back({close});
    return p;
}

} // namespace

TEST_CASE("QU-1 QU-4 QU-5 QU-6 QU-7 QU-8 QU-9 QU-10 QU-11 QU-12 QU-13 QU-14 QU-15 QU-16 X-1 X-2 X-4 a queue in every "
          "small world does what its model does") {
    explore(queue_worlds());
}
TEST_CASE("a queue does what its model does in long random runs") { explore_at_random(queue_worlds()); }
TEST_CASE("a queue that is closed early does what its model does") { explore_at_random(ending_queue_worlds()); }
