// libuv's pool of threads, which offload(), files and DNS share: how many threads it has, and whether the system has
// them. libuv makes them at the first request, reads UV_THREADPOOL_SIZE then and never again, tells nobody whether it
// has, and aborts the process when it gets fewer than it wants.
#pragma once

namespace eddy::detail {

// Threads that the pool has, or will have when it starts. Any thread.
[[nodiscard]] unsigned uv_pool_size() noexcept;

// Any thread: 0 when the system would let this process have `n` more threads of `stack` bytes at once, else UV_EAGAIN.
[[nodiscard]] int probe_threads(unsigned n, unsigned long stack) noexcept;

// uv_error (UV_EAGAIN) when the system has not `n` threads for the pool; `why` ends the sentence.
void check_uv_threads(unsigned n, const char* why);

// Starts the pool with `n` threads (1 to 1024), unless that is the number it has anyway. std::logic_error when it has
// started with another number; uv_error when there are no threads, or no descriptors for a moment's loop. Any thread.
void start_uv_pool(unsigned n);

} // namespace eddy::detail
