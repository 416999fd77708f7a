#include <eddy/engine/scope.hpp>

#include <core/state.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <array>

using namespace eddy::engine;
using eddy_test::check_empty;

namespace {

// Scopes and waits without any coroutine.
struct place {
    eddy::testing::virtual_loop l;
    loop_core& core = l.detail_state();
};
struct plain : scope {
    explicit plain(std::uint32_t f = 0) { flags |= f; }
    ~plain() {
        if (is_open()) unlink_scope(*this);
    }
};
struct wait : waiter {
    int aborts = 0;
    int resumed = 0;
    abort_result answer = abort_result::gone;
    static abort_result abort_it(waiter& w) noexcept {
        ++static_cast<wait&>(w).aborts;
        return static_cast<wait&>(w).answer;
    }
    static void resume_it(runnable& r) noexcept {
        auto& w = static_cast<wait&>(r);
        loop_core::begin_resume(w);
        ++w.resumed;
    }
    static constexpr wait_kind kind_of{.name = "test",
                                       .outside = true,
                                       .pinned = false,
                                       .abort = &abort_it,
                                       .describe = nullptr,
                                       .resume = &resume_it};
    void park_in(scope& s) {
        kind = &kind_of;
        where = &s;
        s.loop->park(*this);
    }
};

} // namespace

TEST_CASE("a new scope inherits the cancellation of its parent unless it is shielded") {
    place p;
    plain outer;
    open_scope(outer, p.core.root);
    CHECK(cancel_scope_tree(outer, why::timeout));
    plain inner;
    plain kept(scope::shielded);
    open_scope(inner, outer);
    open_scope(kept, outer);
    CHECK(inner.has(scope::cancelled));
    CHECK(!inner.has(scope::requested));
    CHECK(!kept.has(scope::cancelled));
    CHECK(cancelling_scope(inner) == &outer);
    CHECK(cancelling_scope(kept) == nullptr);
    CHECK(outer.reason() == why::timeout);
    CHECK(task_of(inner) == nullptr);
}

TEST_CASE("of several scopes that were cancelled the outermost decides, up to a shield") {
    place p;
    plain outer;
    plain middle;
    plain inner;
    plain kept(scope::shielded);
    plain in_kept;
    open_scope(outer, p.core.root);
    open_scope(middle, outer);
    open_scope(inner, middle);
    open_scope(kept, middle);
    open_scope(in_kept, kept);
    CHECK(cancel_scope_tree(inner, why::requested));
    CHECK(cancelling_scope(inner) == &inner);
    CHECK(cancel_scope_tree(outer, why::timeout));
    CHECK(cancel_scope_tree(in_kept, why::requested));
    CHECK(cancelling_scope(inner) == &outer);
    CHECK(cancelling_scope(in_kept) == &in_kept);
}

TEST_CASE("CA-12 CA-18 the first request counts, later ones change nothing") {
    place p;
    plain s;
    open_scope(s, p.core.root);
    CHECK(cancel_scope_tree(s, why::shutdown));
    CHECK(!cancel_scope_tree(s, why::timeout));
    CHECK(s.reason() == why::shutdown);
}

TEST_CASE("cancelling reaches every wait below, stops at shields, asks each once") {
    place p;
    plain top;
    open_scope(top, p.core.root);
    std::array<plain, 3> mid;
    plain shield(scope::shielded);
    std::array<wait, 4> waits;
    for (auto& m : mid)
        open_scope(m, top);
    open_scope(shield, mid[1]);
    waits[0].park_in(mid[0]);
    waits[1].park_in(shield);
    waits[2].park_in(mid[2]);
    CHECK(p.l.statistics().waiters == 3);
    cancel_scope_tree(mid[0], why::requested);
    cancel_scope_tree(top, why::requested);
    CHECK(waits[0].aborts == 1);
    CHECK(waits[1].aborts == 0);
    CHECK(waits[2].aborts == 1);
    CHECK(waits[0].result == status::cancelled);
    CHECK(waits[0].resumed == 0); // CP-4: waking is queueing
    p.l.settle();
    CHECK(waits[0].resumed == 1);
    CHECK(waits[2].resumed == 1);
    CHECK(waits[1].resumed == 0);
    p.core.grant(waits[1], status::ok);
    p.l.settle();
    CHECK(waits[1].result == status::ok);
    unlink_scope(shield);
    for (auto& m : mid)
        unlink_scope(m);
    unlink_scope(top);
    check_empty(p.l);
}

TEST_CASE("CA-19 CA-20 answers of an abort: cannot, later") {
    place p;
    plain outer;
    plain inner;
    open_scope(outer, p.core.root);
    open_scope(inner, outer);
    for (const abort_result answer : {abort_result::cannot, abort_result::later}) {
        wait w;
        w.answer = answer;
        plain s;
        open_scope(s, inner);
        s.flags &= ~std::uint32_t{scope::cancelled};
        w.park_in(s);
        cancel_scope_tree(s, why::requested);
        p.l.settle();
        CHECK(w.aborts == 1);
        CHECK(w.resumed == 0);
        CHECK(w.state == wait_state::aborting);
        cancel_scope_tree(inner, why::requested);
        CHECK(w.aborts == 1);
        p.core.grant(w, answer == abort_result::cannot ? status::ok : status::cancelled);
        p.l.settle();
        CHECK(w.resumed == 1);
    }
    unlink_scope(inner);
    unlink_scope(outer);
}

TEST_CASE("CA-13 a wait that was granted is not aborted any more") {
    place p;
    plain s;
    open_scope(s, p.core.root);
    wait w;
    w.park_in(s);
    p.core.grant(w, status::ok);
    cancel_scope_tree(s, why::requested);
    CHECK(w.aborts == 0);
    CHECK(w.result == status::ok);
    p.l.settle();
    CHECK(w.resumed == 1);
}

TEST_CASE("CP-7 the memory of a wait goes: waiting, granted or over") {
    place p;
    plain s;
    open_scope(s, p.core.root);
    {
        wait w;
        w.park_in(s);
        CHECK(!loop_core::abandon(w));
        CHECK(s.wait() == nullptr);
    }
    {
        wait w;
        w.park_in(s);
        p.core.grant(w, status::ok);
        CHECK(loop_core::abandon(w)); // to be undone
        CHECK(!w.linked());
    }
    {
        wait w;
        w.park_in(s);
        p.core.grant(w, status::cancelled);
        CHECK(!loop_core::abandon(w));
    }
    {
        wait w;
        w.park_in(s);
        p.core.grant(w, status::ok);
        p.l.settle();
        CHECK(!loop_core::abandon(w));
    }
    unlink_scope(s);
    check_empty(p.l);
}

TEST_CASE("CA-9 CA-11 a scope of mode `once`: a request interrupts one await, or the next one") {
    place p;
    plain s(scope::once);
    open_scope(s, p.core.root);
    wait w;
    w.park_in(s);
    CHECK(cancel_scope_tree(s, why::requested));
    CHECK(w.result == status::cancelled);
    p.l.settle();
    CHECK(w.resumed == 1);
    wait second;
    second.park_in(s);
    p.l.settle();
    CHECK(second.resumed == 0); // the first request has been delivered
    CHECK(cancel_scope_tree(s, why::requested));
    p.l.settle();
    CHECK(second.result == status::cancelled);
    // While nothing waits: the next unfinished await.
    CHECK(cancel_scope_tree(s, why::requested));
    CHECK(s.has(scope::interrupt));
}

TEST_CASE("walking a tree: pre-order, and not below what is told") {
    place p;
    plain top;
    std::array<plain, 3> c;
    std::array<plain, 2> g;
    open_scope(top, p.core.root);
    for (auto& x : c)
        open_scope(x, top);
    for (auto& x : g)
        open_scope(x, c[1]);
    std::vector<scope*> seen;
    for (scope* s = next_in_tree(top, top, true); s != nullptr; s = next_in_tree(*s, top, true))
        seen.push_back(s);
    CHECK(seen == std::vector<scope*>{&c[0], &c[1], &g[0], &g[1], &c[2]});
    CHECK(next_in_tree(c[1], top, false) == &c[2]);
    CHECK(next_in_tree(c[2], top, false) == nullptr);
    // Unlinking the first, the middle, the only one.
    unlink_scope(c[0]);
    CHECK(top.first_child() == &c[1]);
    unlink_scope(g[1]);
    unlink_scope(g[0]);
    CHECK(c[1].first_child() == nullptr);
}
