// The drain loop: one place that resumes, in order, with a look at the clock now and then.
#include <eddy/engine/loop_core.hpp>

#include <core/state.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>

using namespace eddy::engine;
using namespace eddy_test;

namespace {

// A driver that counts, and whose clock moves a little at each look.
struct fake final : eddy::engine::driver {
    std::int64_t time = 0;
    std::int64_t step = 0;
    int looks = 0;
    int polls = 0;
    std::int64_t last_deadline = 0;
    int settled = 0;
    std::int64_t now() noexcept override {
        ++looks;
        return time += step;
    }
    void poll(std::int64_t deadline) noexcept override {
        ++polls;
        last_deadline = deadline;
        if (deadline != never && deadline > time) time = deadline;
    }
    void wake() noexcept override {}
    bool has_outside_work() noexcept override { return false; }
    void settle(std::int64_t, bool, bool) noexcept override { ++settled; }
};

struct engine_place {
    fake io;
    mailbox box;
    pool* memory = pool::make(allocator::system());
    loop_core core{io, *memory, box};
    engine_place() {
        box.open({&io, [](void* d) noexcept { static_cast<eddy::engine::driver*>(d)->wake(); }});
    }
    ~engine_place() {
        box.close();
        memory->release();
    }
};

struct step : runnable {
    std::function<void(step&)> f;
    explicit step(std::function<void(step&)> g) : f(std::move(g)) { kind = &kind_of; }
    static void run(runnable& r) noexcept { static_cast<step&>(r).f(static_cast<step&>(r)); }
    static constexpr wait_kind kind_of{
        .name = "step", .outside = false, .pinned = false, .abort = nullptr, .describe = nullptr, .resume = &run};
};

} // namespace

TEST_CASE("X-12 CP-4 ready runnables run in order, and what they make ready runs in a later tick") {
    engine_place p;
    std::string order;
    step third([&](step&) { order += "3"; });
    step first([&](step&) {
        order += "1";
        p.core.make_ready(third);
        order += "-";
    });
    step second([&](step&) { order += "2"; });
    p.core.make_ready(first);
    p.core.make_ready(second);
    CHECK(order.empty());
    p.core.drain();
    CHECK(order == "1-23");
    CHECK(p.core.statistics().resumptions == 3);
    CHECK(p.core.statistics().ticks == 2);
    CHECK(p.io.settled == 1);
}

TEST_CASE("a drain inside a drain does nothing") {
    engine_place p;
    int runs = 0;
    step other([&](step&) { ++runs; });
    step s([&](step&) {
        p.core.make_ready(other);
        p.core.drain();
        CHECK(runs == 0);
        CHECK(p.core.draining());
    });
    p.core.make_ready(s);
    p.core.drain();
    CHECK(runs == 1);
    CHECK(!p.core.draining());
}

TEST_CASE("X-9 CS-8 the clock is looked at every 256 resumptions: timers fire though something is always ready") {
    engine_place p;
    p.io.step = 1000;
    bool fired = false;
    struct flag_timer : timer {
        bool* out = nullptr;
    } t;
    t.out = &fired;
    t.fire = [](timer& x) noexcept { *static_cast<flag_timer&>(x).out = true; };
    int runs = 0;
    step busy([&](step& s) {
        ++runs;
        if (!fired) p.core.make_ready(s);
    });
    step arm([&](step&) { CHECK(p.core.arm(t, p.io.time + 2500)); });
    p.core.make_ready(arm);
    p.core.make_ready(busy);
    while (!fired && runs < 100'000)
        p.core.drain();
    CHECK(fired);
    CHECK(runs <= 4 * 256);
}

TEST_CASE("a drain gives I/O its turn after 1024 resumptions or a millisecond") {
    engine_place p;
    int runs = 0;
    step busy([&](step& s) {
        ++runs;
        p.core.make_ready(s);
    });
    p.core.make_ready(busy);
    p.core.turn();
    CHECK(runs >= 1000);
    CHECK(runs <= 1300);
    CHECK(p.io.polls == 1);
    CHECK(p.io.last_deadline == 0); // only a look: something is ready
    busy.unlink();
}

TEST_CASE("a turn waits for the next timer, or for ever") {
    engine_place p;
    p.core.turn();
    CHECK(p.io.last_deadline == never);
    timer t;
    t.fire = [](timer&) noexcept {};
    CHECK(p.core.arm(t, 5000));
    p.core.turn();
    CHECK(p.io.last_deadline == 5000);
    CHECK(p.io.time == 5000);
    p.core.drain();
    CHECK(!t.armed());
    p.core.poll_once(7000);
    CHECK(p.io.last_deadline == 7000);
}

TEST_CASE("LP-18 stop ends the drain after its tick") {
    engine_place p;
    int runs = 0;
    step busy([&](step& s) {
        if (++runs == 3) p.core.stop();
        p.core.make_ready(s);
    });
    p.core.make_ready(busy);
    p.core.turn();
    CHECK(runs == 3);
    CHECK(p.io.polls == 0);
    CHECK(p.core.stopping());
    p.core.clear_stop();
    CHECK(!p.core.stopping());
    busy.unlink();
}

TEST_CASE("stuck: nothing ready, no timer, no mail, no guard, nothing outside") {
    engine_place p;
    CHECK(p.core.is_stuck());
    CHECK(!p.core.is_pending());
    step s([](step&) {});
    p.core.make_ready(s);
    CHECK(!p.core.is_stuck());
    CHECK(p.core.is_pending());
    p.core.drain();
    CHECK(p.core.is_stuck());
    timer t;
    t.fire = [](timer&) noexcept {};
    CHECK(p.core.arm(t, 10));
    CHECK(!p.core.is_stuck());
    CHECK(p.core.is_pending());
    p.core.disarm(t);
    p.box.hold();
    CHECK(!p.core.is_stuck());
    CHECK(p.core.is_pending());
    p.box.let_go();
    mail m;
    m.deliver = [](mail&) noexcept {};
    m.discard = [](mail&) noexcept {};
    CHECK(p.box.post(m));
    CHECK(!p.core.is_stuck());
    CHECK(p.core.is_pending());
    p.core.drain();
    CHECK(p.core.is_stuck());
    static constexpr wait_kind outside{
        .name = "outside", .outside = true, .pinned = false, .abort = nullptr, .describe = nullptr, .resume = nullptr};
    waiter w;
    w.kind = &outside;
    w.where = &p.core.root;
    p.core.park(w);
    CHECK(!p.core.is_stuck());
    CHECK(p.core.waits_outside());
    loop_core::abandon(w);
    CHECK(p.core.is_stuck());
}

TEST_CASE("one tick runs what is ready now, and no more") {
    engine_place p;
    int runs = 0;
    step busy([&](step& s) {
        ++runs;
        p.core.make_ready(s);
    });
    p.core.make_ready(busy);
    p.core.tick();
    CHECK(runs == 1);
    p.core.tick();
    CHECK(runs == 2);
    busy.unlink();
}
