// Pipes as byte streams.
//
// Nothing of the awaiting frame is ever lent to libuv: the loop watches the descriptor, and bytes move when it is
// ready, reads through a buffer of the stream's own. So a read that is cancelled, destroyed, or loses a race takes no
// byte out of the stream, also when its bytes had come in the same tick.
#pragma once

#include <eddy/core/operation.hpp>

#include <cstddef>
#include <span>
#include <utility>

namespace eddy {

class pipe_stream;

namespace detail {

struct pipe_block;

class pipe_reference {
public:
    pipe_reference() noexcept = default;
    explicit pipe_reference(pipe_block& b) noexcept;
    pipe_reference(const pipe_reference& o) noexcept;
    pipe_reference(pipe_reference&& o) noexcept : block_(std::exchange(o.block_, nullptr)) {}
    pipe_reference& operator=(pipe_reference o) noexcept {
        std::swap(block_, o.block_);
        return *this;
    }
    ~pipe_reference();
    [[nodiscard]] pipe_block* get() const noexcept { return block_; }
    pipe_block* operator->() const noexcept { return block_; }

private:
    pipe_block* block_ = nullptr;
};

class pipe_read_operation final : public leaf_operation<pipe_read_operation> {
public:
    using result_type = std::size_t;
    static constexpr engine::wait_kind kind{.name = "pipe.read_some",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &resume_frame};
    pipe_read_operation(pipe_reference b, std::span<std::byte> into) noexcept : block_(std::move(b)), into_(into) {}
    pipe_read_operation(pipe_read_operation&&) = default;
    ~pipe_read_operation();
    bool attempt();
    void enqueue() noexcept;
    std::size_t take() noexcept;
    [[noreturn]] void fail();

private:
    pipe_reference block_;
    std::span<std::byte> into_;
};

class pipe_write_operation final : public leaf_operation<pipe_write_operation> {
public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "pipe.write",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &resume_frame};
    pipe_write_operation(pipe_reference b, std::span<const std::byte> data) noexcept
        : block_(std::move(b)), data_(data) {}
    pipe_write_operation(pipe_write_operation&&) = default;
    ~pipe_write_operation();
    bool attempt();
    void enqueue() noexcept;
    void take() noexcept {}
    [[noreturn]] void fail();

    // Bytes that the pipe has taken so far; also after the operation was cancelled or failed.
    [[nodiscard]] std::size_t written() const noexcept { return written_; }

private:
    friend pipe_block;
    pipe_reference block_;
    std::span<const std::byte> data_;
    std::size_t written_ = 0;
    int error_ = 0;
};

} // namespace detail

// One end of a pipe, or anything else that can be polled: a socket, a terminal, a character device. Move-only; loop
// thread only. The destructor closes it; operations that wait then end with object_destroyed.
//
// Reads wait in a queue of their own, and so do writes: first come, first served, and writes are never interleaved.
class pipe_stream {
public:
    // Takes over `fd` and makes it non-blocking, which whoever shares the open file description sees too. Where this
    // throws, `fd` is still the caller's: uv_error (EPERM: a regular file or directory, which can't be polled),
    // std::logic_error for a descriptor that is not open and on loops with simulated time, no_running_loop,
    // std::bad_alloc. Not a checkpoint.
    [[nodiscard]] static pipe_stream open(int fd);

    pipe_stream(pipe_stream&& other) noexcept = default;
    pipe_stream& operator=(pipe_stream&& other) noexcept;
    ~pipe_stream();

    // Waits until there is something to read and gives up to into.size() bytes of it: how many, 0 at the end of the
    // stream (and for an empty span, at once). A checkpoint; cancelling it loses no byte. `into` is written to when the
    // operation is taken, never later. Throws uv_error, `closed` when the stream is or gets closed; the first read
    // throws std::bad_alloc where there are no 64 KiB for the buffer.
    [[nodiscard]] detail::pipe_read_operation read_some(std::span<std::byte> into) const noexcept;

    // Writes all of `data`, waiting as often as the pipe is full; the memory must stay until then. A checkpoint.
    // Cancelled in between: `data` has been written up to written() of the operation, which outlives the throw:
    //     auto op = pipe.write(data); try { co_await op; } catch (...) { … op.written() … throw; }
    // Throws uv_error (EPIPE: nobody reads any more; SIGPIPE is not raised), `closed` when the stream is or gets
    // closed.
    [[nodiscard]] detail::pipe_write_operation write(std::span<const std::byte> data) const noexcept;

    // Closes the descriptor at once; operations that wait throw `closed`. Bytes that were read from the pipe and not
    // yet taken are lost. Idempotent. Never blocks.
    void close() noexcept;
    [[nodiscard]] bool is_open() const noexcept;
    // The descriptor, still the stream's; -1 when closed.
    [[nodiscard]] int fd() const noexcept;

private:
    explicit pipe_stream(detail::pipe_reference b) noexcept : block_(std::move(b)) {}
    void leave() noexcept;
    detail::pipe_reference block_;
};

} // namespace eddy
