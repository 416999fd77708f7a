// The record of a C++ task: the engine's record, the room for the outcome, and the callable the task came from.
#pragma once

#include <eddy/core/error_context.hpp>
#include <eddy/core/local_values.hpp>
#include <eddy/core/task.hpp>

#include <string>
#include <tuple>

namespace eddy {

// How a task is spawned. Chain the setters: spawn(spawn_options().name("reader"), f).
class spawn_options {
public:
    spawn_options(std::source_location at = std::source_location::current()) : at_(at) {}
    // For dumps and messages; "task-7" when there is none.
    spawn_options& name(std::string n) {
        name_ = std::move(n);
        return *this;
    }
    // Told instead of the loop's handler when this task fails and nobody receives it.
    spawn_options& exception_handler(eddy::exception_handler f) {
        handler_ = std::move(f);
        return *this;
    }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const eddy::exception_handler& exception_handler() const noexcept { return handler_; }
    [[nodiscard]] const std::source_location& at() const noexcept { return at_; }

private:
    std::string name_;
    eddy::exception_handler handler_;
    std::source_location at_;
};

namespace detail {

// What few tasks have; made by the call that first needs it.
struct task_extension : engine::record_extension {
    std::string name;
    exception_handler handler;
    std::string cancel_text;
    local_values locals; // while it runs
};

task_extension& extension_of(engine::task_record& r);
// The extension, or null.
inline task_extension* find_extension(const engine::task_record& r) noexcept {
    return static_cast<task_extension*>(r.extension());
}
std::string name_of(const engine::task_record& r);
cancel_reason reason_of(const engine::task_record& r);
// Cancels with a reason; keeps the text where there is memory for it. False when it had ended.
bool cancel_task(engine::task_record& r, const cancel_reason& reason) noexcept;
// The same; std::logic_error in debug mode on another thread than the loop's.
bool cancel_by_handle(engine::task_record& r, const cancel_reason& reason);
// The exception of a failed or cancelled task, as whoever awaits it gets it; null when it has a value.
std::exception_ptr exception_of(engine::task_record& r);
void apply(engine::task_record& r, const spawn_options& o);
// Gives a new task the values of the running one (task_local.hpp). std::bad_alloc.
void inherit_locals(engine::task_record& r);

// Shared by all records.
void destroy_record_frames(engine::task_record& r) noexcept;
void about_to_dispose(engine::task_record& r) noexcept;
void begin_record(engine::runnable& start) noexcept;
const engine::task_record& record_of_start(const engine::runnable& start) noexcept;

// The slot lies at the same place in every record, whatever T (alignments above 16 are refused): slot_of() counts on
// it.
template <class T>
struct record : engine::task_record {
    alignas(16) value_slot<T> slot;
};

inline result_slot& slot_of(engine::task_record& r) noexcept { return static_cast<record<void>&>(r).slot; }
// Unique in its loop, counted from 1.
inline std::uint64_t number_of(const engine::task_record& r) noexcept {
    return static_cast<const record<void>&>(r).slot.up >> 1;
}
// Gives the task of a new record the next number.
inline void set_number(result_slot& s, engine::loop_core& l) noexcept { s.up = 2 * l.next_id++ + 1; }

struct no_callable {};

// F and Args live here: a coroutine lambda's captures are in the lambda, and must outlive its frames.
template <class T, class F = no_callable, class... Args>
struct record_with final : record<T> {
    template <class G, class... As>
    explicit record_with(G&& g, As&&... as) : f(std::forward<G>(g)), args(std::forward<As>(as)...) {}
    [[no_unique_address]] F f;
    [[no_unique_address]] std::tuple<Args...> args;

    static void dispose(engine::task_record& r) noexcept {
        auto& self = static_cast<record_with&>(r);
        if (self.has_more() || self.has(engine::scope::failed)) [[unlikely]]
            about_to_dispose(self);
        self.~record_with();
        engine::deallocate(&self, sizeof(record_with));
    }
    static constexpr engine::record_kind kind_of{{.name = "start",
                                                  .outside = false,
                                                  .pinned = false,
                                                  .abort = nullptr,
                                                  .describe = nullptr,
                                                  .resume = &begin_record},
                                                 &destroy_record_frames,
                                                 &dispose,
                                                 true};

    static void* operator new(std::size_t size) noexcept { return engine::allocate(size); }
    static void operator delete(void* p) noexcept { engine::deallocate(p, sizeof(record_with)); }
};

// A record whose task could not be launched goes with its extension.
struct record_disposer {
    template <class R>
    void operator()(R* r) const noexcept {
        R::dispose(*r);
    }
};

// What a new record needs besides its task.
inline void furnish(engine::task_record& r, const spawn_options* o) {
    if (o != nullptr) detail::apply(r, *o);
    if (locals_in_use.load(std::memory_order_relaxed)) [[unlikely]]
        inherit_locals(r);
}

// Ties a task to its record and hands it to the loop. The record's only reference is the task's own.
template <class T>
void launch(record<T>& r, const engine::record_kind& kind, task<T>&& t, engine::scope& parent,
            const std::source_location& at) noexcept {
    auto h = task_access::release(t);
    task_promise<T>& p = h.promise();
    p.slot = &r.slot;
    p.where = &r;
    r.slot.child = h.address();
    set_number(r.slot, *parent.loop);
    r.spawned_at = at;
    parent.loop->adopt(r, parent, kind);
}

template <class T>
record<T>& spawn_record(engine::scope& parent, task<T>&& t, const spawn_options* o, const std::source_location& at) {
    using R = record_with<T>;
    task<T> mine = std::move(t); // destroyed, never started, should anything below fail
    task_access::check(mine);
    auto* r = new R(no_callable{});
    if (r == nullptr) throw std::bad_alloc();
    std::unique_ptr<R, record_disposer> owner(r);
    furnish(*r, o);
    launch<T>(*owner.release(), R::kind_of, std::move(mine), parent, at);
    return *r;
}

template <class F, class... Args>
auto& spawn_call(engine::scope& parent, const spawn_options* o, const std::source_location& at, F&& f, Args&&... args) {
    using T = task_result_t<std::decay_t<F>, std::decay_t<Args>...>;
    using R = record_with<T, std::decay_t<F>, std::decay_t<Args>...>;
    static_assert(alignof(R) <= 16, "over-aligned callables and arguments are not supported: box them");
    auto* r = new R(std::forward<F>(f), std::forward<Args>(args)...);
    if (r == nullptr) throw std::bad_alloc();
    std::unique_ptr<R, record_disposer> owner(r);
    task<T> t =
        std::apply([r](auto&... as) -> task<T> { return std::invoke(std::move(r->f), std::move(as)...); }, r->args);
    task_access::check(t);
    furnish(*r, o);
    launch<T>(*owner.release(), R::kind_of, std::move(t), parent, at);
    return static_cast<record<T>&>(*r);
}

} // namespace detail
} // namespace eddy
