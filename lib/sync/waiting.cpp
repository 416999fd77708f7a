#include <eddy/sync/waiting.hpp>

#include <eddy/core/loop.hpp>
#include <eddy/sync/condition.hpp>

#include "core/log.hpp"
#include "core/state.hpp"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <limits>
#include <string>

namespace eddy::detail {

namespace {

// "queue.get of task 'worker' at pump.cpp:12", as far as it fits; allocates nothing.
class wait_text {
public:
    explicit wait_text(const engine::waiter& w) noexcept {
        add(describe_as(end(), room(), "%s", w.kind->name));
        if (const engine::task_record* r = engine::task_of(*w.where); r != nullptr) {
            add(describe_as(end(), room(), " of task '"));
            add(describe_name(*r, end(), room()));
            add(describe_as(end(), room(), "'"));
        }
        if (w.kind->resume != &resume_frame && w.kind->resume != &resume_tested) return; // not a coroutine that waits
        const std::source_location& at = std::coroutine_handle<promise_base>::from_address(w.target).promise().at;
        const std::string_view path = at.file_name();
        const std::string_view file = path.substr(path.find_last_of('/') + 1);
        add(describe_as(end(), room(), " at %s:%u", file.data(), static_cast<unsigned>(at.line())));
    }
    [[nodiscard]] const char* c_str() const noexcept { return text_.data(); }

private:
    char* end() noexcept { return text_.data() + size_; }
    [[nodiscard]] std::size_t room() const noexcept { return text_.size() - size_; }
    void add(std::size_t n) noexcept { size_ += n; }
    std::array<char, 400> text_{};
    std::size_t size_ = 0;
};

} // namespace

std::size_t describe_name(const engine::task_record& r, char* out, std::size_t room) noexcept {
    if (const task_extension* x = find_extension(r); x != nullptr && !x->name.empty())
        return describe_as(out, room, "%s", x->name.c_str());
    return describe_as(out, room, "task-%llu", static_cast<unsigned long long>(number_of(r)));
}

const engine::task_record* find_owner(const engine::scope& root, const engine::task_record* owner,
                                      std::size_t most) noexcept {
    if (owner == nullptr) return nullptr;
    for (const engine::scope* s = &root; s != nullptr && most-- > 0; s = engine::next_in_tree(*s, root, true))
        if (s == owner) return owner;
    return nullptr;
}

std::string name_of_owner(const engine::task_record* owner) {
    loop* const l = loop::try_current();
    if (l == nullptr) return {};
    owner = find_owner(root_of(*l), owner, std::numeric_limits<std::size_t>::max());
    return owner == nullptr ? std::string() : name_of(*owner);
}

std::size_t describe_lock(const char* what, const engine::scope& where, const engine::task_record* owner, char* out,
                          std::size_t room) noexcept {
    // A dump asks once for every waiter: not more than a look at each.
    constexpr std::size_t most = 1000;
    owner = find_owner(where.loop->root, owner, most);
    if (owner == nullptr) return describe_as(out, room, "%s", what);
    std::size_t n = describe_as(out, room, "%s held by '", what);
    n += describe_name(*owner, out + n, room - n);
    return n + describe_as(out + n, room - n, "'");
}

void throw_locks_again(const char* what, const engine::task_record& owner) {
    throw std::logic_error("eddy: task '" + name_of(owner) + "' locks " + what +
                           " that it holds already: it would wait for itself for ever");
}

void throw_owns_no_lock() {
    throw std::logic_error(
        "eddy: unlock() of a guard that owns no lock: unlocked already, moved from, or its mutex is gone");
}

void throw_ended(const engine::waiter& w) {
    if (w.result != engine::status::object_destroyed) throw_status(w.result, w.where);
    throw object_destroyed(std::string("eddy: what was waited for has been destroyed: ") + wait_text(w).c_str());
}

void throw_other_loop(const char* what) {
    throw std::logic_error(
        std::string("eddy: ") + what +
        " from another loop than that of the tasks that wait there; a primitive belongs to one loop at "
        "a time (between loops use a channel)");
}

void throw_negative(const char* what, std::ptrdiff_t value) {
    throw std::logic_error(std::string("eddy: ") + what + "(" + std::to_string(value) +
                           "): the count can't be negative");
}

void check_running_loop(const engine::loop_core& bound, const char* what) {
    loop* const l = loop::try_current();
    if (l != nullptr && root_of(*l).loop != &bound) throw_other_loop(what);
    check_thread(loop_state::of(const_cast<engine::loop_core&>(bound)), what);
}

const engine::task_record* running_task() noexcept {
    loop* const l = loop::try_current();
    engine::scope* const s = l == nullptr ? nullptr : root_of(*l).loop->running;
    return s == nullptr ? nullptr : engine::task_of(*s);
}

bool announce_destroyed(const char* what, std::initializer_list<waiting_line*> lines) noexcept {
    const engine::waiter* first = nullptr;
    std::size_t n = 0;
    for (const waiting_line* line : lines) {
        if (first == nullptr) first = static_cast<const engine::waiter*>(line->front());
        n += line->size();
    }
    if (first == nullptr) return false;
    if (first->where->loop->root.has(engine::scope::cancelled)) return true;
    const wait_text text(*first);
    if (n == 1)
        log_as(log_level::misuse, "%s was destroyed while somebody waited for it: %s", what, text.c_str());
    else
        log_as(log_level::misuse, "%s was destroyed while somebody waited for it: %s and %zu more", what, text.c_str(),
               n - 1);
    return true;
}

void detach_waiters(const char* what, std::initializer_list<waiting_line*> lines) noexcept {
    if (!announce_destroyed(what, lines)) return;
    for (waiting_line* line : lines)
        line->finish_all(engine::status::object_destroyed);
}

std::size_t describe_as(char* out, std::size_t room, const char* format, ...) noexcept {
    va_list arguments;
    va_start(arguments, format);
    const int n = std::vsnprintf(out, room, format, arguments);
    va_end(arguments);
    return room == 0 ? 0 : std::min(static_cast<std::size_t>(n), room - 1);
}

} // namespace eddy::detail
