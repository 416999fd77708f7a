// One sweep over all primitives: k waiters, the resource becomes available, and in the same turn waiter i leaves; in
// both orders, in every way of leaving, and with a second cancel one step later. Whatever happens: nothing is lost,
// nothing is given twice, the others are served in their order, and nobody waits for what is there.
//
// LK-5 to LK-9, SM-6, SM-7, QU-5 to QU-8, EV-5, EV-6, WF-10.
#include <eddy/sync/event.hpp>
#include <eddy/sync/mutex.hpp>
#include <eddy/sync/queue.hpp>
#include <eddy/sync/semaphore.hpp>

#include <eddy/flow/settle.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>

#include "sync/support.hpp"

using namespace eddy;
using namespace eddy_test;

namespace {

using numbers = std::vector<int>;

// Virtual time passes only when nothing is ready: an hour of it costs nothing.
constexpr auto a_moment = 1us; // for which who is served keeps what it got
constexpr auto limit = 1h;
inline auto hold() { return sleep(a_moment); }
inline auto settled() { return sleep(1ms); }

// A primitive in a state in which everybody has to wait.
class subject {
public:
    subject() = default;
    subject(const subject&) = delete;
    virtual ~subject() = default;
    virtual task<> prepare() { co_return; }
    // Waits; once served notes `id`, and keeps what it got for a moment (a checkpoint).
    virtual task<> wait(int id) = 0;
    // Makes available what serves one waiter, or all of them.
    virtual void release() = 0;
    [[nodiscard]] virtual std::size_t waiting() const = 0;
    // How many of k one release() serves at once.
    [[nodiscard]] virtual int served_by_release(int) const { return 1; }
    // A waiter that was served and destroyed before it could take it passes it on. (Not what has happened for good.)
    [[nodiscard]] virtual bool passes_on() const { return true; }
    // Serves whoever is left, and checks that all is there: `gone` were destroyed after they had been served.
    virtual task<> finish(const numbers& gone) = 0;

    numbers served;
};

class mutex_subject final : public subject {
public:
    task<> prepare() override { held_ = co_await m_.lock(); }
    task<> wait(int id) override {
        const auto g = co_await m_.lock();
        CHECK(++inside_ == 1);
        const at_end leave([this] { --inside_; });
        served.push_back(id);
        co_await hold();
    }
    void release() override { held_.unlock(); }
    [[nodiscard]] std::size_t waiting() const override { return m_.waiters(); }
    task<> finish(const numbers&) override {
        CHECK(!m_.locked());
        const auto g = m_.try_lock();
        CHECK(g.has_value());
        co_return;
    }

private:
    mutex m_;
    mutex::guard held_;
    int inside_ = 0;
};

// k permits each; there are as many.
class semaphore_subject final : public subject {
public:
    explicit semaphore_subject(std::ptrdiff_t k) : k_(k), s_(k) {}
    task<> prepare() override { held_ = co_await s_.acquire(k_); }
    task<> wait(int id) override {
        const auto p = co_await s_.acquire(k_);
        CHECK(s_.available() + s_.statistics().held == k_);
        served.push_back(id);
        co_await hold();
    }
    void release() override { held_.release(); }
    [[nodiscard]] std::size_t waiting() const override { return s_.statistics().waiters; }
    task<> finish(const numbers&) override {
        CHECK(s_.available() == k_);
        CHECK(s_.statistics().held == 0);
        co_return;
    }

private:
    std::ptrdiff_t k_;
    semaphore s_;
    semaphore::permit held_;
};

// Items 0, 1, 2 …, one for each getter that is left.
template <class Order>
class get_subject final : public subject {
public:
    explicit get_subject(bool as_job) : as_job_(as_job) {}
    task<> wait(int id) override {
        int item = 0;
        if (as_job_) {
            const auto j = co_await q_.take();
            item = *j;
        } else {
            item = co_await q_.get();
            q_.task_done();
        }
        served.push_back(id);
        got_.push_back(item);
        co_await hold();
    }
    void release() override { CHECK(q_.try_put(put_++)); }
    [[nodiscard]] std::size_t waiting() const override { return q_.statistics().getters; }
    task<> finish(const numbers&) override {
        while (waiting() != 0) {
            CHECK(q_.empty());
            release();
            co_await settled();
        }
        while (auto v = q_.try_get()) {
            got_.push_back(*v);
            q_.task_done();
        }
        numbers all;
        for (int i = 0; i < put_; ++i)
            all.push_back(i);
        CHECK(got_ == all);
        CHECK(q_.unfinished() == 0);
    }

private:
    bool as_job_;
    queue<int, Order> q_;
    numbers got_;
    int put_ = 0;
};

// A queue of one, which is full; the putters' items are their ids.
class put_subject final : public subject {
public:
    task<> prepare() override { co_await q_.put(-1); }
    task<> wait(int id) override {
        co_await q_.put(id);
        served.push_back(id);
        co_await hold();
    }
    void release() override { got_.push_back(*q_.try_get()); }
    [[nodiscard]] std::size_t waiting() const override { return q_.statistics().putters; }
    [[nodiscard]] bool passes_on() const override { return false; } // the item is in the queue
    task<> finish(const numbers& gone) override {
        while (!q_.empty()) {
            CHECK(q_.size() == 1);
            release();
            co_await settled();
        }
        // The items of those who were told so, and of those who were destroyed when it had been put.
        numbers all{-1};
        all.insert(all.end(), served.begin(), served.end());
        all.insert(all.end(), gone.begin(), gone.end());
        std::sort(all.begin(), all.end());
        CHECK(got_ == all);
        CHECK(waiting() == 0);
    }

private:
    queue<int> q_{1};
    numbers got_;
};

class event_subject final : public subject {
public:
    task<> wait(int id) override {
        co_await e_.wait();
        served.push_back(id);
        co_await hold();
    }
    void release() override { e_.set(); }
    [[nodiscard]] std::size_t waiting() const override { return e_.statistics().waiters; }
    [[nodiscard]] int served_by_release(int k) const override { return k; }
    task<> finish(const numbers&) override { co_return; }

private:
    event e_;
};

class join_subject final : public subject {
public:
    task<> prepare() override {
        co_await q_.put(1);
        static_cast<void>(co_await q_.get());
    }
    task<> wait(int id) override {
        co_await q_.join();
        served.push_back(id);
        co_await hold();
    }
    void release() override { q_.task_done(); }
    [[nodiscard]] std::size_t waiting() const override { return q_.statistics().joiners; }
    [[nodiscard]] int served_by_release(int k) const override { return k; }
    task<> finish(const numbers&) override { co_return; }

private:
    queue<int> q_;
};

enum class primitive {
    mutex,
    semaphore_one,
    semaphore_three,
    get_fifo,
    get_lifo,
    get_priority,
    take_fifo,
    put,
    event,
    join,
};
constexpr int primitives = 10;

std::unique_ptr<subject> make(primitive p) {
    switch (p) {
    case primitive::mutex:
        return std::make_unique<mutex_subject>();
    case primitive::semaphore_one:
        return std::make_unique<semaphore_subject>(1);
    case primitive::semaphore_three:
        return std::make_unique<semaphore_subject>(3);
    case primitive::get_fifo:
        return std::make_unique<get_subject<fifo>>(false);
    case primitive::get_lifo:
        return std::make_unique<get_subject<lifo>>(false);
    case primitive::get_priority:
        return std::make_unique<get_subject<priority<>>>(false);
    case primitive::take_fifo:
        return std::make_unique<get_subject<fifo>>(true);
    case primitive::put:
        return std::make_unique<put_subject>();
    case primitive::event:
        return std::make_unique<event_subject>();
    case primitive::join:
        break;
    }
    return std::make_unique<join_subject>();
}

enum class leaving { cancel, group_failure, timeout, destruction };
constexpr int ways = 4;

// A waiter, and the means to make it leave in one of the ways.
class participant {
public:
    participant(subject& s, int id, leaving how, testing::virtual_loop& l) : how_(how), loop_(l) {
        switch (how) {
        case leaving::cancel:
        case leaving::destruction:
            task_ = spawn(plain, std::ref(s), id);
            break;
        case leaving::group_failure:
            task_ = spawn(in_group, std::ref(s), id, std::ref(fail_));
            break;
        case leaving::timeout:
            task_ = spawn(limited, std::ref(s), id, deadline_);
            break;
        }
    }
    participant(const participant&) = delete;
    void leave() {
        switch (how_) {
        case leaving::cancel:
            task_.cancel();
            break;
        case leaving::destruction:
            destroy_task(task_);
            break;
        case leaving::group_failure:
            fail_.set();
            break; // the sibling fails a turn later
        // To the very instant; it falls due when the loop next looks at its clock.
        case leaving::timeout:
            loop_.advance(deadline_ - loop_.now());
            break;
        }
    }
    [[nodiscard]] const task_handle<>& task() const { return task_; }
    void cancel() { task_.cancel(); }

private:
    static eddy::task<> plain(subject& s, int id) { co_await s.wait(id); }
    static eddy::task<> fail(event& e) {
        co_await e.wait();
        throw std::runtime_error("a sibling failed");
    }
    static eddy::task<> in_group(subject& s, int id, event& e) {
        auto group = with_task_group([&](task_group& g) -> eddy::task<> {
            g.spawn(plain, std::ref(s), id);
            auto sibling = g.spawn(fail, std::ref(e));
            co_return;
        });
        try {
            co_await group;
        } catch (const std::runtime_error&) {
        }
    }
    static eddy::task<> limited(subject& s, int id, clock::time_point t) {
        auto op = timeout_at(t, s.wait(id));
        try {
            co_await op;
        } catch (const timeout_error&) {
        }
    }
    leaving how_;
    testing::virtual_loop& loop_;
    clock::time_point deadline_ = loop_.now() + limit;
    event fail_;
    task_handle<> task_;
};

struct run_of_sweep {
    primitive what;
    leaving how;
    int k;
    int victim;
    bool release_first;
    bool second; // another one is cancelled a turn later
};

task<> one_run(run_of_sweep r, testing::virtual_loop& l) {
    const std::unique_ptr<subject> s = make(r.what);
    co_await s->prepare();
    std::vector<std::unique_ptr<participant>> all;
    for (int i = 0; i < r.k; ++i) {
        all.push_back(std::make_unique<participant>(*s, i, i == r.victim ? r.how : leaving::cancel, l));
        co_await settled();
    }
    REQUIRE(s->waiting() == static_cast<std::size_t>(r.k));

    const int at_once = s->served_by_release(r.k);
    const bool granted_before = r.release_first && r.victim < at_once;
    participant& victim = *all[static_cast<std::size_t>(r.victim)];
    if (r.how == leaving::group_failure) {
        // The failure arrives a turn after leave(): when the waiter has been granted and has not run, or before.
        victim.leave();
        if (!r.release_first) co_await yield();
        s->release();
    } else if (r.how == leaving::timeout) {
        // At the same instant, before or after the loop has looked at its clock.
        victim.leave();
        if (!r.release_first) co_await sleep(1ns);
        s->release();
    } else if (r.release_first) {
        s->release();
        CHECK(s->waiting() == static_cast<std::size_t>(r.k - at_once)); // at once
        victim.leave();
        const bool passed_on = granted_before && r.how == leaving::destruction && s->passes_on() && at_once == 1;
        const int served = at_once + (passed_on && r.k > 1 ? 1 : 0);
        CHECK(s->waiting() == static_cast<std::size_t>(r.k - served - (granted_before ? 0 : 1)));
    } else {
        victim.leave();
        CHECK(s->waiting() == static_cast<std::size_t>(r.k - 1));
        s->release();
    }

    const int second = (r.victim + 1) % r.k;
    if (r.second && second != r.victim) {
        if (r.how == leaving::timeout)
            co_await sleep(1ns);
        else
            co_await yield();
        all[static_cast<std::size_t>(second)]->cancel();
    }
    co_await settled();

    const bool destroyed_with_grant = granted_before && r.how == leaving::destruction;
    numbers gone;
    if (destroyed_with_grant && !s->passes_on()) gone.push_back(r.victim);
    const numbers so_far = s->served;
    co_await s->finish(gone);
    co_await settled();

    // All have ended, none waits, and those who stayed were served, in their order and once.
    CHECK(s->waiting() == 0);
    for (const auto& p : all)
        CHECK(p->task().done());
    numbers expected;
    for (int i = 0; i < r.k; ++i) {
        const bool has = std::find(s->served.begin(), s->served.end(), i) != s->served.end();
        if (i == r.victim ? granted_before && !destroyed_with_grant : !(r.second && i == second && !has))
            expected.push_back(i);
    }
    CHECK(s->served == expected);
    // what was released was used at once by whoever was next.
    if (!r.second && r.k > 1 && gone.empty()) CHECK(!so_far.empty());
}

std::string text_of_run(const run_of_sweep& r) {
    return "primitive " + std::to_string(static_cast<int>(r.what)) + ", way " +
           std::to_string(static_cast<int>(r.how)) + ", " + std::to_string(r.k) + " waiters, number " +
           std::to_string(r.victim) + " leaves " + (r.release_first ? "after" : "before") + " the release" +
           (r.second ? ", then another" : "");
}

} // namespace

TEST_CASE(
    "X-1 X-2 X-4 LK-6 LK-9 SM-7 QU-6 QU-7 QU-8 EV-6 the hand-over survives whoever leaves, whenever and however") {
    int runs = 0;
    for (int what = 0; what < primitives; ++what)
        for (int how = 0; how < ways; ++how)
            for (int k = 1; k <= 6; ++k)
                for (int victim = 0; victim < k; ++victim)
                    for (const bool release_first : {true, false})
                        for (const bool second : {false, true}) {
                            const run_of_sweep r{static_cast<primitive>(what),
                                                 static_cast<leaving>(how),
                                                 k,
                                                 victim,
                                                 release_first,
                                                 second};
                            const std::string name = text_of_run(r);
                            INFO(name);
                            ++runs;
                            testing::virtual_loop l;
                            l.run(one_run(r, l));
                            l.settle();
                            check_empty(l);
                        }
    CHECK(runs == primitives * ways * 21 * 4);
}
