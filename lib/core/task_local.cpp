#include <eddy/core/task_local.hpp>

#include "core/state.hpp"

namespace eddy {

namespace detail {

namespace {

// Of the callback or offloaded function that runs on this thread.
constinit thread_local local_values* borrowed = nullptr;

engine::task_record* running_record() noexcept {
    loop* l = loop::try_current();
    engine::scope* s = l == nullptr ? nullptr : l->detail_state().running;
    return s == nullptr ? nullptr : engine::task_of(*s);
}

local_node* make_node(std::uint64_t key, local_value_ref v) {
    auto* n = new local_node;
    n->key = key;
    n->value = std::move(v);
    return n;
}

} // namespace

std::uint64_t next_local_key() noexcept {
    static constinit std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

// Iterative: a list may be long, and its values' destructors may drop other lists.
void local_values::drop(local_node* n) noexcept {
    while (n != nullptr && n->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        local_node* next = n->next;
        delete n;
        n = next;
    }
}

local_values local_values::with(std::uint64_t key, local_value_ref v) const {
    // What stands behind the last node of this key is shared, the rest copied without it.
    const local_node* last = nullptr;
    for (const local_node* n = first_; n != nullptr; n = n->next)
        if (n->key == key) last = n;
    local_values fresh;
    local_node** end = &fresh.first_;
    const auto add = [&end](std::uint64_t k, local_value_ref value) {
        *end = make_node(k, std::move(value));
        end = &(*end)->next;
    };
    add(key, std::move(v));
    if (last != nullptr)
        for (const local_node* n = first_; n != last; n = n->next)
            if (n->key != key) add(n->key, n->value);
    *end = last == nullptr ? first_ : last->next;
    if (*end != nullptr) (*end)->refs.fetch_add(1, std::memory_order_relaxed);
    return fresh;
}

local_values* current_locals() noexcept {
    if (const engine::task_record* r = running_record(); r != nullptr) {
        task_extension* const x = find_extension(*r);
        return x == nullptr ? nullptr : &x->locals;
    }
    return borrowed;
}

local_values& require_locals() {
    locals_in_use.store(true, std::memory_order_relaxed);
    if (engine::task_record* r = running_record(); r != nullptr) return extension_of(*r).locals;
    if (borrowed == nullptr) throw_no_loop("task_local::set() outside of tasks, callbacks and offloaded functions");
    return *borrowed;
}

void inherit_locals(engine::task_record& r) {
    if (const local_values* now = current_locals(); now != nullptr && !now->empty()) extension_of(r).locals = *now;
}

locals_scope::locals_scope(local_values v) noexcept
    : values_(std::move(v)), before_(std::exchange(borrowed, &values_)) {}
locals_scope::~locals_scope() { borrowed = before_; }

} // namespace detail

local_scope::local_scope(std::uint64_t key, detail::local_value_ref v)
    : where_(&detail::require_locals()), before_(*where_), with_(where_->with(key, std::move(v))),
      spare_(detail::make_node(key, {})) {
    if (detail::local_value* old = before_.find(key); old != nullptr) {
        old->refs.fetch_add(1, std::memory_order_relaxed);
        spare_->value = detail::local_value_ref(old);
    }
    *where_ = with_;
}

local_scope::~local_scope() {
    if (detail::current_locals() == where_) {
        if (where_->same_as(with_))
            *where_ = std::move(before_);
        else
            where_->push(*std::exchange(spare_, nullptr));
    }
    delete spare_;
}

} // namespace eddy
