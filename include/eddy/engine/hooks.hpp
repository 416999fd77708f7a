// Hooks of the simulated driver, compiled into the release library behind one predictable test, so that what is tested
// is what is shipped. Reached through eddy/testing only.
#pragma once

#include <eddy/engine/waiter.hpp>

#include <cstddef>
#include <cstdint>

namespace eddy::engine {

enum class at_await_action : std::uint8_t { go, cancel, timeout, yield };

struct hooks {
    void* user = nullptr;
    // Which of the n ready runnables goes next; nullptr: the first.
    std::size_t (*pick)(void* user, std::size_t n) noexcept = nullptr;
    // At each await of an operation that could wait, before anything else.
    at_await_action (*at_await)(void* user, const wait_kind& site, scope& where) noexcept = nullptr;
    // Whether the allocation of `size` bytes fails.
    bool (*fault)(void* user, std::size_t size) noexcept = nullptr;
};

// Told of everything that the drain loop runs: debug mode (lib/core/debug.cpp). Must not run user code.
struct step_watch {
    void (*begins)(step_watch&, const runnable&) noexcept = nullptr;
    void (*ended)(step_watch&) noexcept = nullptr;
};

} // namespace eddy::engine
