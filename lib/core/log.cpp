#include "core/log.hpp"

#include "core/state.hpp"

#include <array>
#include <atomic>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>

namespace eddy {

namespace {

struct log_target {
    std::mutex guard;
    std::atomic<log_level> most{log_level::warning};
    std::shared_ptr<const log_sink> sink; // shared: it is called without the lock, and may replace itself
};

// Never destroyed: threads log until the process ends.
log_target& target() noexcept {
    alignas(log_target) static std::byte room[sizeof(log_target)];
    static log_target* const t = ::new (static_cast<void*>(room)) log_target;
    return *t;
}

void write_line(std::string_view message) noexcept {
    // One call: lines of several threads do not mix.
    std::fprintf(stderr, "eddy: %.*s\n", static_cast<int>(message.size()), message.data());
}

} // namespace

std::string_view to_string(log_level l) noexcept {
    switch (l) {
    case log_level::off:
        return "off";
    case log_level::misuse:
        return "misuse";
    case log_level::error:
        return "error";
    case log_level::warning:
        return "warning";
    case log_level::info:
        return "info";
    case log_level::debug:
        return "debug";
    }
    return "unknown";
}

void set_log(log_level most, log_sink sink) {
    if (most > log_level::debug)
        throw std::logic_error("eddy: set_log(" + std::to_string(static_cast<int>(most)) +
                               "): a level is off (0) to debug (5)");
    std::shared_ptr<const log_sink> next;
    if (sink) next = std::make_shared<const log_sink>(std::move(sink));
    log_target& t = target();
    {
        const std::lock_guard lock(t.guard);
        t.sink.swap(next);
        t.most.store(most, std::memory_order_relaxed);
    }
}

namespace detail {

void open_log_after_fork() noexcept { ::new (&target().guard) std::mutex; }

void log(log_level l, std::string_view message) noexcept {
    log_target& t = target();
    if (l > t.most.load(std::memory_order_relaxed)) return;
    std::shared_ptr<const log_sink> sink;
    {
        const std::lock_guard lock(t.guard);
        sink = t.sink;
    }
    if (sink == nullptr) {
        write_line(message);
        return;
    }
    try {
        log_record r;
        r.level = l;
        r.message = message;
        (*sink)(r);
    } catch (...) {
        write_line(message);
        write_line("the log's sink threw an exception");
    }
}

void log_as(log_level l, const char* format, ...) noexcept {
    std::array<char, 1024> text{};
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text.data(), text.size(), format, arguments);
    va_end(arguments);
    log(l, text.data());
}

} // namespace detail
} // namespace eddy
