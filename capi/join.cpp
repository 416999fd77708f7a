// eddy_op_join and eddy_op_shield: another op for one that exists.
#include "op.hpp"

using eddy::capi::failed_op;
using eddy::capi::make;
using eddy::capi::settled_op;

namespace {

// An observer: the joined op knows of it, and has its own consumer.
struct join_op final : settled_op {
    join_op(eddy_loop& l, eddy_op& s) noexcept : settled_op(l), source(&s) { s.retain(); }
    ~join_op() { join_op::let_go(); }
    void begin() noexcept {
        if (source->is_done()) {
            settle(source->peek());
            return;
        }
        enlist();
        next = source->joins;
        link = &source->joins;
        if (next != nullptr) static_cast<join_op*>(next)->link = &next;
        source->joins = this;
    }
    void leave() noexcept {
        if (link == nullptr) return;
        *link = next;
        if (next != nullptr) static_cast<join_op*>(next)->link = link;
        next = nullptr;
        link = nullptr;
    }
    void source_has_ended() noexcept {
        leave();
        settle(source->peek());
    }

private:
    void absorb() noexcept override {
        if (cancelled) {
            std::exchange(source, nullptr)->release();
            return end(EDDY_ECANCELED);
        }
        out.number = source->out.number;
        out.message.set(source->out.message.c_str());
        out.set_value(source->out.value, nullptr); // borrowed
        end(source->out.status);
    }
    void cancel_wait() noexcept override {
        if (settled) return;
        leave();
        cancelled = true;
        settle(EDDY_ECANCELED);
    }
    void let_go() noexcept override {
        leave();
        if (source != nullptr && !ended) std::exchange(source, nullptr)->release();
    }
    void destroy() noexcept override {
        if (source != nullptr) std::exchange(source, nullptr)->release(); // the value was borrowed from it
        eddy::capi::destroy_block(this);
    }
    [[nodiscard]] eddy_op* unlooked_part() noexcept override { return cancelled || source->looked ? nullptr : source; }
    [[nodiscard]] const char* kind_name() const noexcept override { return "join"; }
    [[nodiscard]] std::uint32_t kind_number() const noexcept override { return EDDY_KIND_COMBINED; }

    eddy_op* source;
    eddy_op* next = nullptr; // another join of the same op
    eddy_op** link = nullptr;
    bool cancelled = false;
};

// Its consumer. When the shield is cancelled or dropped, the op it stands for goes on and nobody is told.
struct shield_op final : settled_op {
    shield_op(eddy_loop& l, eddy_op& i) noexcept : settled_op(l), inner(&i) {}
    ~shield_op() { shield_op::let_go(); }
    void begin() noexcept {
        enlist();
        inner->consume_by(&inner_told).part.parent = this;
        if (!inner->is_done()) return;
        inner->told = nullptr;
        settle(inner->peek());
    }

private:
    static void inner_told(eddy_op& i) noexcept {
        auto& self = *static_cast<shield_op*>(i.consumer.part.parent);
        self.settle(i.peek());
    }
    void absorb() noexcept override {
        if (inner == nullptr) return end(EDDY_ECANCELED);
        out.take_from(inner->out);
        std::exchange(inner, nullptr)->release();
        end(out.status);
    }
    void cancel_wait() noexcept override {
        if (settled) return;
        let_go();
        settle(EDDY_ECANCELED);
    }
    void let_go() noexcept override {
        if (inner != nullptr) std::exchange(inner, nullptr)->leave_alone();
    }
    void destroy() noexcept override { eddy::capi::destroy_block(this); }
    [[nodiscard]] eddy_op* unlooked_part() noexcept override {
        return inner == nullptr || inner->looked ? nullptr : inner;
    }
    [[nodiscard]] const char* kind_name() const noexcept override { return "shield"; }
    [[nodiscard]] std::uint32_t kind_number() const noexcept override { return EDDY_KIND_COMBINED; }

    eddy_op* inner;
};

} // namespace

void eddy::capi::tell_joins(eddy_op& op) noexcept {
    while (op.joins != nullptr)
        static_cast<join_op*>(op.joins)->source_has_ended();
}

eddy_op* eddy_op_join(eddy_op* op) noexcept {
    if (op == nullptr) return nullptr;
    eddy_loop& l = *op->loop;
    if (const int s = l.over(); s != EDDY_OK) return failed_op(l, s);
    l.sync();
    auto* const j = make<join_op>(l, *op);
    if (j != nullptr) j->begin();
    return j;
}

eddy_op* eddy_op_shield(eddy_op* op) noexcept {
    if (op == nullptr) return nullptr;
    eddy_loop& l = *op->loop;
    int s = l.over();
    if (s == EDDY_OK) {
        l.sync();
        s = eddy::capi::check_consumable(l, *op);
    }
    if (s != EDDY_OK) {
        op->release();
        return failed_op(l, s);
    }
    auto* const shield = make<shield_op>(l, *op);
    if (shield == nullptr) {
        // Shielded or not, it was to run to its end.
        op->consume_by(&eddy_op::tell_nobody);
        if (op->is_done() && !op->delivery_pending()) op->deliver_later();
        return nullptr;
    }
    shield->begin();
    l.touched();
    return shield;
}
