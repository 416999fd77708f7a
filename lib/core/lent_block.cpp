#include <eddy/core/lent_block.hpp>

#include "core/log.hpp"
#include "core/state.hpp"

namespace eddy::detail {

void lent_block::lend(loop& l) noexcept {
    loop_state& s = l.detail_state();
    next_ = s.lent;
    link_ = &s.lent;
    if (next_ != nullptr) next_->link_ = &next_;
    s.lent = this;
}

void lent_block::give_back() noexcept {
    if (link_ == nullptr) return;
    *link_ = next_;
    if (next_ != nullptr) next_->link_ = link_;
    next_ = nullptr;
    link_ = nullptr;
}

void close_lent(loop_state& l) noexcept {
    const bool own = l.uv != nullptr && !l.uv->adopted();
    for (lent_block* b = l.lent; b != nullptr;) {
        lent_block* const next = b->next_;
        b->let_go();
        if (!own) b->give_back();
        b = next;
    }
    constexpr std::chrono::seconds patience{5};
    std::int64_t tell_at = saturating_add(l.now(), patience); // simulated time may be at its end
    while (l.lent != nullptr) {
        l.io().poll(tell_at);
        if (l.lent == nullptr || l.now() < tell_at) continue;
        log(log_level::warning, "a loop can't be closed yet: it waits for a process or request that has not ended");
        tell_at = saturating_add(l.now(), patience);
    }
}

} // namespace eddy::detail
