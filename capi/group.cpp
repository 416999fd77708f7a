// eddy_group: ops that must not outlive it.
//
// Its members are an intrusive list in the ops themselves, so adding can fail only for what is wrong with the op.
// A member that ends leaves at once. A group that failed or was cancelled takes what is added to it as well, cancelled:
// nothing that was handed to a group escapes it.
#include "op.hpp"

using eddy::capi::failed_op;
using eddy::capi::make;
using eddy::capi::settled_op;

namespace {
struct group_wait;
}

struct eddy_group final : eddy::capi::loop_object {
    eddy_group(eddy_loop& l, std::uint32_t flags) noexcept
        : loop_object(l), keep_going((flags & EDDY_GATHER_KEEP_GOING) != 0) {}
    ~eddy_group();
    void handle(unsigned requests) noexcept override {
        if ((requests & request::cancel) != 0) cancel();
        if ((requests & request::finalise) != 0) eddy::capi::destroy_block(this);
    }
    int add(eddy_op& op) noexcept;
    void cancel() noexcept;
    // Its outcome is the failure of the group, unless that has failed.
    void fail(eddy::capi::outcome& o) noexcept {
        failed = true;
        failure.take_from(o);
        if (!keep_going && !std::exchange(closed, true)) cancel_members();
    }

    std::size_t size = 0;
    eddy_op* members = nullptr;
    group_wait* waits = nullptr;
    eddy::capi::outcome failure; // the first
    bool failed = false;
    bool closed = false; // cancelled, or failed
    const bool keep_going;

private:
    static void member_told(eddy_op& op) noexcept {
        static_cast<eddy_group*>(op.consumer.part.parent)->member_done(op);
    }
    void member_done(eddy_op& op) noexcept;
    void unlink(eddy_op& op) noexcept {
        auto& p = op.consumer.part;
        *p.link = p.next;
        if (p.next != nullptr) p.next->consumer.part.link = p.link;
        --size;
    }
    void cancel_members() noexcept {
        for (eddy_op* m = members; m != nullptr; m = m->consumer.part.next)
            m->cancel(false);
    }
};

namespace {

struct group_wait final : settled_op {
    group_wait(eddy_loop& l, eddy_group& g) noexcept : settled_op(l), group(&g) { g.retain(); }
    ~group_wait() { group_wait::let_go(); }
    void begin() noexcept {
        if (group->size == 0) {
            settle(group->failure.status);
            return;
        }
        enlist();
        next = group->waits;
        link = &group->waits;
        if (next != nullptr) next->link = &next;
        group->waits = this;
    }
    void group_is_empty() noexcept {
        leave();
        settle(group->failure.status);
    }

private:
    void leave() noexcept {
        if (link == nullptr) return;
        *link = next;
        if (next != nullptr) next->link = link;
        next = nullptr;
        link = nullptr;
    }
    void absorb() noexcept override {
        // The value goes to whoever looks first.
        if (settled_with < 0 && settled_with == group->failure.status) {
            out.message.set(group->failure.message.c_str());
            out.set_value(std::exchange(group->failure.value, nullptr), group->failure.value_free);
        }
        std::exchange(group, nullptr)->release();
        end(settled_with);
    }
    void cancel_wait() noexcept override {
        if (settled) return;
        leave();
        settle(EDDY_ECANCELED);
    }
    void let_go() noexcept override {
        leave();
        if (group != nullptr) std::exchange(group, nullptr)->release();
    }
    void destroy() noexcept override { eddy::capi::destroy_block(this); }
    [[nodiscard]] const char* kind_name() const noexcept override { return "group.wait"; }
    [[nodiscard]] std::uint32_t kind_number() const noexcept override { return EDDY_KIND_COMBINED; }

    eddy_group* group;
    group_wait* next = nullptr;
    group_wait** link = nullptr;
};

} // namespace

// Cancels the members; they are then the loop's.
eddy_group::~eddy_group() {
    cancel_members();
    while (members != nullptr) {
        eddy_op& op = *members;
        unlink(op);
        op.leave_alone();
    }
}

int eddy_group::add(eddy_op& op) noexcept {
    auto& p = op.consume_by(&member_told).part;
    p.parent = this;
    p.next = members;
    p.link = &members;
    if (members != nullptr) members->consumer.part.link = &p.next;
    members = &op;
    ++size;
    if (closed) op.cancel(false);
    if (op.is_done() && !op.delivery_pending()) op.deliver_later();
    return closed ? EDDY_ECLOSED : EDDY_OK;
}

void eddy_group::cancel() noexcept {
    if (loop->over()) return;
    closed = true;
    cancel_members();
    loop->touched();
}

void eddy_group::member_done(eddy_op& op) noexcept {
    unlink(op);
    const int s = op.peek();
    if (s >= 0 || s == EDDY_ECANCELED) {
        op.look();
    } else if (!failed) {
        op.look();
        fail(op.out);
    } // else nobody looks at it: a later error goes to the hook
    op.release();
    while (size == 0 && waits != nullptr)
        waits->group_is_empty();
}

int eddy_group_new(eddy_loop* loop, std::uint32_t flags, eddy_group** out) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    *out = nullptr;
    if (loop == nullptr) return EDDY_EINVAL;
    if (const int s = loop->over(); s != EDDY_OK) return s;
    if ((flags & ~std::uint32_t{EDDY_GATHER_KEEP_GOING}) != 0) return EDDY_ETOOBIG;
    loop->sync();
    *out = make<eddy_group>(*loop, flags);
    return *out == nullptr ? EDDY_ENOMEM : EDDY_OK;
}

int eddy_group_add(eddy_group* group, eddy_op* op) noexcept {
    if (op == nullptr) {
        if (group == nullptr) return EDDY_EINVAL;
        if (const int s = group->loop->over(); s != EDDY_OK) return s;
        group->loop->sync();
        eddy::capi::outcome o;
        o.status = EDDY_ENOMEM;
        if (!group->failed) group->fail(o);
        return EDDY_ENOMEM;
    }
    int s = group == nullptr ? EDDY_EINVAL : group->loop->over();
    if (s == EDDY_OK) {
        group->loop->sync();
        s = eddy::capi::check_consumable(*group->loop, *op);
        static_cast<void>(group->loop->misused(s, "eddy_group_add of an op that has a consumer, or another loop"));
    }
    if (s != EDDY_OK) {
        eddy::capi::cancel_and_release(&op, 1);
        return s;
    }
    s = group->add(*op);
    group->loop->touched();
    return s;
}

void eddy_group_cancel(eddy_group* group) noexcept {
    if (group != nullptr) group->ask(eddy_group::request::cancel);
}

eddy_op* eddy_group_wait(eddy_group* group) noexcept {
    if (group == nullptr) return nullptr;
    eddy_loop& l = *group->loop;
    if (const int s = l.over(); s != EDDY_OK) return failed_op(l, s);
    l.sync();
    auto* const op = make<group_wait>(l, *group);
    if (op != nullptr) op->begin();
    return op;
}

std::size_t eddy_group_size(const eddy_group* group) noexcept {
    if (group == nullptr || group->loop->over() != EDDY_OK) return 0;
    group->loop->sync();
    return group->size;
}
