// One sweep over all primitives: k waiters, the resource becomes available, and in the same turn waiter i leaves; in
// both orders, in every way of leaving, and with a second cancel one step later. Whatever happens: nothing is lost,
// nothing is given twice, the others are served in their order, and nobody waits for what is there.
//
// LK-5 to LK-9, SM-6, SM-7, QU-5 to QU-8, EV-5, EV-6, CV-2, CV-7, LK-16, WF-10.
#include "sync/handoff_subjects.hpp"

#include <eddy/flow/settle.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>

using namespace eddy;
using namespace eddy_test;
using namespace eddy_test::handoff;

namespace {

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

TEST_CASE("X-1 X-2 X-4 LK-6 LK-9 LK-16 SM-7 QU-6 QU-7 QU-8 EV-6 CV-2 CV-7 the hand-over survives whoever leaves, "
          "whenever and however") {
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
