#include <eddy/flow/scoped.hpp>

#include <algorithm>
#include <new>

namespace eddy::detail {

bool timed_scope::cancel_with(const cancel_reason& r) noexcept {
    if (!is_open() || has(requested)) return false;
    if (!r.text().empty()) live.text = new (std::nothrow) std::string(r.text());
    return engine::cancel_scope_tree(*this, static_cast<engine::why>(r.kind()));
}

void timed_scope::drop_text() noexcept {
    delete static_cast<std::string*>(live.text);
    live.text = nullptr;
}

std::int64_t effective_deadline(const engine::scope& s) noexcept {
    std::int64_t nearest = engine::never;
    for (const engine::scope* at = &s; at != nullptr; at = at->parent) {
        if (at->has(engine::scope::timed))
            nearest = std::min(nearest, static_cast<const timed_scope*>(at)->deadline_ns());
        if (at->has(engine::scope::shielded)) break;
    }
    return nearest;
}

} // namespace eddy::detail
