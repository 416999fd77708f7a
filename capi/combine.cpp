// eddy_gather and eddy_race: an op made of others.
//
// The parts tell it one after the other, each from the drain loop, and it does not look at them: what a part was
// granted stays in that part until somebody looks at the whole. So a combination that is dropped, or loses a race
// itself, gives everything back. Finishing, cancelling and dropping allocate nothing.
#include "op.hpp"

using eddy::capi::check_consumable;
using eddy::capi::failed_op;
using eddy::capi::settled_op;

namespace {

constexpr std::size_t no_part = SIZE_MAX;

struct combined_op : settled_op {
    // `at`: behind the op, in its block.
    combined_op(eddy_loop& l, eddy_op** at, eddy_op* const* ops, std::size_t n) noexcept
        : settled_op(l), parts(at), count(n), left(n) {
        if (n != 0) std::memcpy(at, ops, n * sizeof *ops);
    }
    template <class Op>
    static std::size_t block_size(std::size_t n) noexcept {
        return sizeof(Op) + n * sizeof(eddy_op*);
    }
    // Takes up the parts; those that have finished count at once.
    void begin() noexcept {
        enlist();
        for (std::size_t i = 0; i < count; ++i) {
            eddy_op* const p = parts[i];
            if (p != nullptr) p->consume_by(&part_told).part.parent = this;
        }
        for (std::size_t i = 0; i < count && !settled && !decided; ++i) {
            eddy_op* const p = parts[i];
            if (p != nullptr && !p->is_done()) continue;
            if (p != nullptr) p->told = nullptr;
            part_done(i);
        }
        if (count == 0) settle(EDDY_OK);
    }
    [[nodiscard]] std::size_t part_count() const noexcept override { return count; }
    [[nodiscard]] eddy_op* part(std::size_t i) const noexcept override { return i < count ? parts[i] : nullptr; }
    [[nodiscard]] std::uint32_t kind_number() const noexcept override { return EDDY_KIND_COMBINED; }

protected:
    ~combined_op() { combined_op::let_go(); }
    static int status_of_part(const eddy_op* p) noexcept { return p == nullptr ? EDDY_ENOMEM : p->peek(); }
    // Each once: tasks that clean up are not interrupted again.
    void cancel_unfinished() noexcept {
        if (std::exchange(asked, true)) return;
        for (std::size_t i = 0; i < count; ++i)
            if (eddy_op* const p = parts[i]; p != nullptr && p->told == &part_told) p->cancel(false);
    }
    virtual void part_done(std::size_t i) noexcept = 0;
    void cancel_wait() noexcept override {
        if (!settled) cancel_unfinished();
    }
    void let_go() noexcept override {
        for (std::size_t i = 0; i < count; ++i) {
            eddy_op* const p = std::exchange(parts[i], nullptr);
            if (p == nullptr) continue;
            if (p->told == &part_told) p->told = nullptr;
            p->release();
        }
        count = 0;
    }
    template <class Op>
    static void destroy_with_parts(Op* op) noexcept {
        const std::size_t size = block_size<Op>(op->room);
        op->~Op();
        eddy::engine::deallocate(op, size);
    }

    eddy_op** const parts;
    std::size_t count;
    std::size_t left;
    const std::size_t room = count; // the block was made for so many
    bool asked = false;             // the parts, to end early
    bool decided = false;           // race: there is a winner

private:
    static void part_told(eddy_op& p) noexcept {
        auto& self = *static_cast<combined_op*>(p.consumer.part.parent);
        std::size_t i = 0;
        while (self.parts[i] != &p)
            ++i;
        self.part_done(i);
    }
};

struct gather_op final : combined_op {
    gather_op(eddy_loop& l, eddy_op** at, eddy_op* const* ops, std::size_t n, std::uint32_t f) noexcept
        : combined_op(l, at, ops, n), keep_going((f & EDDY_GATHER_KEEP_GOING) != 0) {}

private:
    void part_done(std::size_t i) noexcept override {
        const int s = status_of_part(parts[i]);
        if (s < 0) {
            const bool first = failed == no_part;
            // What was cancelled with us is no reason; an error outranks it.
            if (first || (cancel_asked && failure == EDDY_ECANCELED)) {
                failed = i;
                failure = s;
            }
            if (first && !keep_going) cancel_unfinished();
        }
        if (--left == 0) settle(failure);
    }
    void absorb() noexcept override {
        if (failed != no_part) {
            out.number = static_cast<std::int64_t>(failed);
            if (parts[failed] != nullptr) out.message.set(parts[failed]->out.message.c_str());
        }
        end(failure);
    }
    [[nodiscard]] const char* kind_name() const noexcept override { return "gather"; }
    void destroy() noexcept override { destroy_with_parts(this); }

    [[nodiscard]] eddy_op* unlooked_part() noexcept override {
        for (; next_to_look < count; ++next_to_look)
            if (eddy_op* const p = parts[next_to_look]; p != nullptr && !p->looked) return p;
        return nullptr;
    }

    const bool keep_going;
    std::size_t next_to_look = 0;
    std::size_t failed = no_part; // the part that decided
    int failure = EDDY_OK;
};

struct race_op final : combined_op {
    using combined_op::combined_op;

private:
    void part_done(std::size_t i) noexcept override {
        if (winner == no_part) {
            winner = i;
            decided = true;
            for (std::size_t k = 0; k < count; ++k) {
                eddy_op* const p = parts[k];
                if (k == i) continue;
                if (p == nullptr) {
                    --left;
                } else if (p->is_done()) {
                    p->told = nullptr;
                    undo_loser(*p);
                    --left;
                }
            }
            cancel_unfinished();
        } else {
            undo_loser(*parts[i]);
        }
        if (--left == 0) settle(status_of_part(parts[winner]));
    }
    // What a wait was granted goes back. A task or promise that has ended keeps its outcome, for eddy_op_child().
    static void undo_loser(eddy_op& p) noexcept {
        if (!p.ended && !p.is_promise()) p.undo();
    }
    void absorb() noexcept override {
        if (eddy_op* const p = parts[winner]; p != nullptr) {
            out.message.set(p->out.message.c_str());
            out.set_value(std::exchange(p->out.value, nullptr), p->out.value_free);
        }
        out.number = static_cast<std::int64_t>(winner);
        end(settled_with);
    }
    [[nodiscard]] const char* kind_name() const noexcept override { return "race"; }
    void destroy() noexcept override { destroy_with_parts(this); }

    [[nodiscard]] eddy_op* unlooked_part() noexcept override {
        eddy_op* const p = parts[winner];
        return p == nullptr || p->looked ? nullptr : p;
    }

    std::size_t winner = no_part;
};

// Why the ops can't be combined; EDDY_OK when they can. Marks none.
int refusal(const eddy_loop& l, eddy_op* const* ops, std::size_t n) noexcept {
    if (ops == nullptr && n != 0) return EDDY_EINVAL;
    for (std::size_t i = 0; i < n; ++i)
        if (ops[i] != nullptr)
            if (const int s = check_consumable(l, *ops[i]); s != EDDY_OK) return s;
    return EDDY_OK;
}

// The same op twice: the second finds it marked.
bool mark_all(eddy_op* const* ops, std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
        if (ops[i] == nullptr) continue;
        if (ops[i]->consumed) {
            while (i-- > 0)
                if (ops[i] != nullptr) ops[i]->consumed = false;
            return false;
        }
        ops[i]->consumed = true;
    }
    return true;
}

template <class Op, class... Args>
eddy_op* combine(eddy_loop* loop, eddy_op* const* ops, std::size_t n, int refused, Args... args) noexcept {
    if (loop == nullptr) {
        eddy::capi::cancel_and_release(ops, n);
        return nullptr;
    }
    eddy_loop& l = *loop;
    int s = l.over();
    if (s == EDDY_OK) {
        l.sync();
        s = refused != EDDY_OK ? refused : refusal(l, ops, n);
        if (s == EDDY_OK && !mark_all(ops, n)) s = EDDY_EBUSY;
    }
    if (s != EDDY_OK) {
        eddy::capi::cancel_and_release(ops, n);
        return failed_op(l, s);
    }
    const bool fits = n <= (SIZE_MAX / 2 - sizeof(Op)) / sizeof(eddy_op*);
    void* const block = fits ? eddy::capi::allocate_on(l, combined_op::block_size<Op>(n)) : nullptr;
    if (block == nullptr) {
        for (std::size_t i = 0; i < n; ++i)
            if (ops[i] != nullptr) ops[i]->consumed = false;
        eddy::capi::cancel_and_release(ops, n);
        return nullptr;
    }
    auto** const room = reinterpret_cast<eddy_op**>(static_cast<char*>(block) + sizeof(Op));
    auto* const op = ::new (block) Op(l, room, ops, n, args...);
    op->begin();
    l.touched();
    return op;
}

} // namespace

eddy_op* eddy_gather(eddy_loop* loop, eddy_op* const* ops, std::size_t n, std::uint32_t flags) noexcept {
    const int refused = (flags & ~std::uint32_t{EDDY_GATHER_KEEP_GOING}) != 0 ? EDDY_ETOOBIG : EDDY_OK;
    return combine<gather_op>(loop, ops, n, refused, flags);
}

eddy_op* eddy_race(eddy_loop* loop, eddy_op* const* ops, std::size_t n) noexcept {
    return combine<race_op>(loop, ops, n, n == 0 ? EDDY_EINVAL : EDDY_OK);
}

std::size_t eddy_op_child_count(const eddy_op* op) noexcept { return op == nullptr ? 0 : op->part_count(); }

eddy_op* eddy_op_child(const eddy_op* op, std::size_t i) noexcept { return op == nullptr ? nullptr : op->part(i); }
