#include <eddy/sync/waiting.hpp>

#include <eddy/core/loop.hpp>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
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
        if (w.kind->resume != &resume_frame) return; // not a coroutine that waits
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
    if (const auto* x = static_cast<const task_extension*>(r.extension); x != nullptr && !x->name.empty())
        return describe_as(out, room, "%s", x->name.c_str());
    return describe_as(out, room, "task-%llu", static_cast<unsigned long long>(r.id));
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

void check_running_loop(const engine::loop_core& bound, const char* what) {
    loop* const l = loop::try_current();
    if (l != nullptr && root_of(*l).loop != &bound) throw_other_loop(what);
}

const engine::task_record* running_task() noexcept {
    loop* const l = loop::try_current();
    engine::scope* const s = l == nullptr ? nullptr : root_of(*l).loop->running;
    return s == nullptr ? nullptr : engine::task_of(*s);
}

void detach_waiters(const char* what, std::initializer_list<waiting_line*> lines) noexcept {
    const engine::waiter* first = nullptr;
    std::size_t n = 0;
    for (const waiting_line* line : lines) {
        if (first == nullptr) first = static_cast<const engine::waiter*>(line->front());
        n += line->size();
    }
    if (first == nullptr) return;
    if (!first->where->loop->root.has(engine::scope::cancelled)) {
        const wait_text text(*first);
        std::fprintf(stderr, "eddy: %s was destroyed while somebody waited for it: %s", what, text.c_str());
        n == 1 ? std::fputs("\n", stderr) : std::fprintf(stderr, " and %zu more\n", n - 1);
    }
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
