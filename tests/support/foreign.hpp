// An operation that no coroutine waits in: this is how the C face uses them.
#pragma once

#include <eddy/core/operation.hpp>

#include "core/state.hpp"

#include <optional>
#include <utility>

namespace eddy_test {

// An operation with a wait kind of its own, waiting in a scope of its own below the loop's root.
template <class Op>
class foreign {
public:
    template <class... Args>
    explicit foreign(eddy::loop& l, Args&&... args) : op(std::in_place, std::forward<Args>(args)...) {
        eddy::engine::open_scope(place, l.detail_state().root);
        eddy::context c;
        c.where = &place;
        op->bind(c);
        if (op->start()) return;
        static_cast<eddy::engine::waiter&>(*op).kind = &kind;
        op->suspend(this);
    }
    foreign(const foreign&) = delete;
    ~foreign() {
        op.reset();
        eddy::engine::unlink_scope(place);
    }
    eddy::engine::scope place;
    std::optional<Op> op;
    int resumed = 0;

private:
    static void resume_it(eddy::engine::runnable& r) noexcept {
        auto& w = static_cast<eddy::engine::waiter&>(r);
        eddy::engine::loop_core::begin_resume(w);
        ++static_cast<foreign*>(w.target)->resumed;
    }
    static constexpr eddy::engine::wait_kind make_kind() noexcept {
        eddy::engine::wait_kind k = Op::kind;
        k.resume = &resume_it;
        return k;
    }
    static constexpr eddy::engine::wait_kind kind = make_kind();
};

} // namespace eddy_test
