// What task_local<T> stands on: an immutable list of values that tasks, callbacks and offloaded functions point at.
//
// Setting a value makes a new list that shares its tail with the old one, so whoever holds the old one keeps seeing
// that: inheriting is one counted pointer, whatever the number of values. Lists cross threads and may outlive the loop
// (offload_abandon): hence the atomic counts, and memory that is not the loop's.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace eddy::detail {

// A value of some type.
struct local_value {
    explicit local_value(void (*d)(local_value&) noexcept) noexcept : dispose(d) {}
    local_value(const local_value&) = delete;
    local_value& operator=(const local_value&) = delete;
    std::atomic<std::uint32_t> refs{1};
    void (*dispose)(local_value&) noexcept; // destroys and frees it
};

// Owns one reference of a value; null: the key has none.
class local_value_ref {
public:
    local_value_ref() noexcept = default;
    explicit local_value_ref(local_value* owned) noexcept : value_(owned) {}
    local_value_ref(const local_value_ref& o) noexcept : value_(o.value_) {
        if (value_ != nullptr) value_->refs.fetch_add(1, std::memory_order_relaxed);
    }
    local_value_ref(local_value_ref&& o) noexcept : value_(std::exchange(o.value_, nullptr)) {}
    local_value_ref& operator=(local_value_ref o) noexcept {
        std::swap(value_, o.value_);
        return *this;
    }
    ~local_value_ref() {
        if (value_ != nullptr && value_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) value_->dispose(*value_);
    }
    [[nodiscard]] local_value* get() const noexcept { return value_; }

private:
    local_value* value_ = nullptr;
};

// One key with its value in a list. Never changed once others can see it.
struct local_node {
    std::atomic<std::uint32_t> refs{1};
    std::uint64_t key = 0;
    local_value_ref value;
    local_node* next = nullptr; // owns a reference
};

// A list, by reference; copying it is O(1).
class local_values {
public:
    local_values() noexcept = default;
    local_values(const local_values& o) noexcept : first_(o.first_) {
        if (first_ != nullptr) first_->refs.fetch_add(1, std::memory_order_relaxed);
    }
    local_values(local_values&& o) noexcept : first_(std::exchange(o.first_, nullptr)) {}
    local_values& operator=(local_values o) noexcept {
        std::swap(first_, o.first_);
        return *this;
    }
    ~local_values() {
        if (first_ != nullptr) drop(first_);
    }

    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
    [[nodiscard]] bool same_as(const local_values& o) const noexcept { return first_ == o.first_; }
    // Null when the key has no value here. O(n) in the number of keys.
    [[nodiscard]] local_value* find(std::uint64_t key) const noexcept {
        for (const local_node* n = first_; n != nullptr; n = n->next)
            if (n->key == key) return n->value.get();
        return nullptr;
    }
    // The same list but for the one key. Throws std::bad_alloc, and has changed nothing then.
    [[nodiscard]] local_values with(std::uint64_t key, local_value_ref v) const;
    // Takes `spare` (not linked) to the front: hides what the key had, and needs no memory.
    void push(local_node& spare) noexcept {
        spare.next = first_;
        first_ = &spare;
    }

private:
    static void drop(local_node* n) noexcept;
    local_node* first_ = nullptr;
};

// Somebody has set a value, in this process: until then spawning need not ask. Never goes back.
inline constinit std::atomic<bool> locals_in_use{false};

// The list of the running task, callback or offloaded function; null where there is none (yet).
local_values* current_locals() noexcept;
// The same, made if need be; no_running_loop outside of those three.
local_values& require_locals();
// A copy to run something else with.
inline local_values captured_locals() noexcept {
    if (!locals_in_use.load(std::memory_order_relaxed)) [[likely]]
        return {};
    const local_values* now = current_locals();
    return now == nullptr ? local_values() : *now;
}

// While it lives, code of this thread that is no task sees (and sets) these values: callbacks, offloaded functions.
class locals_scope {
public:
    explicit locals_scope(local_values v) noexcept;
    locals_scope(const locals_scope&) = delete;
    locals_scope& operator=(const locals_scope&) = delete;
    ~locals_scope();

private:
    local_values values_;
    local_values* before_;
};

} // namespace eddy::detail
