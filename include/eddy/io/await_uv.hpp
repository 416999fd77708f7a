// Any libuv request, awaited in one line. The only header of eddy that includes <uv.h>; <eddy/eddy.hpp> leaves it out.
//
//     auto op = eddy::await_uv<uv_fs_t>([](uv_loop_t* loop, uv_fs_t* req, uv_fs_cb done) {
//         return uv_fs_stat(loop, req, "/etc/passwd", done);
//     });
//     uv_fs_t& req = co_await op;                     // throws uv_error (ENOENT …)
//     std::uint64_t size = req.statbuf.st_size;       // the request lives as long as `op`
//
// The request and the callable, with all that it captured, lie in a heap block of their own until libuv has called
// back, whatever becomes of the frame that awaits.
#pragma once

#include <eddy/core/lent_block.hpp>
#include <eddy/core/loop.hpp>
#include <eddy/core/operation.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <uv.h>

namespace eddy {

namespace detail {

// How the kinds of requests differ: the callback, what is to be freed, and what a result that nobody took leaves open.
template <class Req>
struct uv_request_traits {
    using callback = void (*)(Req*, int);
    template <class Block>
    static void done(Req* r, int status) {
        Block::finished(r, status);
    }
    static void clean_up(Req&) noexcept {}
    static void discard(Req&) noexcept {}
};

template <>
struct uv_request_traits<uv_fs_t> {
    using callback = uv_fs_cb;
    template <class Block>
    static void done(uv_fs_t* r) {
        Block::finished(r, r->result < 0 ? static_cast<int>(r->result) : 0);
    }
    static void clean_up(uv_fs_t& r) noexcept { uv_fs_req_cleanup(&r); }
    static void discard(uv_fs_t& r) noexcept {
        uv_fs_t close;
        if (r.fs_type == UV_FS_OPEN || r.fs_type == UV_FS_MKSTEMP) {
            uv_fs_close(nullptr, &close, static_cast<uv_file>(r.result), nullptr);
            uv_fs_req_cleanup(&close);
        } else if (r.fs_type == UV_FS_OPENDIR) {
            uv_fs_closedir(nullptr, &close, static_cast<uv_dir_t*>(r.ptr), nullptr);
            uv_fs_req_cleanup(&close);
        }
    }
};

template <>
struct uv_request_traits<uv_getaddrinfo_t> {
    using callback = uv_getaddrinfo_cb;
    template <class Block>
    static void done(uv_getaddrinfo_t* r, int status, addrinfo*) {
        Block::finished(r, status);
    }
    static void clean_up(uv_getaddrinfo_t& r) noexcept { uv_freeaddrinfo(std::exchange(r.addrinfo, nullptr)); }
    static void discard(uv_getaddrinfo_t&) noexcept {}
};

template <>
struct uv_request_traits<uv_getnameinfo_t> {
    using callback = uv_getnameinfo_cb;
    template <class Block>
    static void done(uv_getnameinfo_t* r, int status, const char*, const char*) {
        Block::finished(r, status);
    }
    static void clean_up(uv_getnameinfo_t&) noexcept {}
    static void discard(uv_getnameinfo_t&) noexcept {}
};

template <>
struct uv_request_traits<uv_random_t> {
    using callback = uv_random_cb;
    template <class Block>
    static void done(uv_random_t* r, int status, void*, std::size_t) {
        Block::finished(r, status);
    }
    static void clean_up(uv_random_t&) noexcept {}
    static void discard(uv_random_t&) noexcept {}
};

std::size_t describe_uv_request(int type, char* out, std::size_t room) noexcept;
[[noreturn]] void throw_uv_request(int type, int code);

// The request, from its submission until the operation is gone and libuv has called back, whichever is later.
template <class Req, class Submit>
class uv_request final : public lent_block, public Req {
    using traits = uv_request_traits<Req>;

public:
    explicit uv_request(Submit&& s) : Req{}, submit_(std::move(s)) {}
    ~uv_request() {
        if (status_ == 0 && !taken_) traits::discard(*this);
        if (submitted_) traits::clean_up(*this);
    }
    static void* operator new(std::size_t size) noexcept { return engine::allocate(size); }
    static void operator delete(void* p) noexcept { engine::deallocate(p, sizeof(uv_request)); }

    // A negative number of libuv's when it did not begin. Throws what the callable throws.
    int submit(loop& l) {
        uv_loop_t* const uv = l.uv();
        Req* const me = this;
        const typename traits::callback done = &traits::template done<uv_request>;
        const int e = submit_(uv, me, done);
        if (e < 0) return e;
        submitted_ = in_flight_ = true;
        lend(l);
        return 0;
    }
    // libuv's answer. From any moment between two callbacks.
    static void finished(Req* r, int status) noexcept {
        auto& b = static_cast<uv_request&>(*r);
        b.in_flight_ = false;
        b.status_ = status;
        b.give_back();
        if (b.waiter_ == nullptr) {
            delete &b;
            return;
        }
        engine::waiter& w = *std::exchange(b.waiter_, nullptr);
        const bool by_us = b.cancel_asked_ && (status == UV_ECANCELED || status == UV_EAI_CANCELED);
        w.where->loop->grant(w, by_us        ? engine::status::cancelled
                                : status < 0 ? engine::status::exception
                                             : engine::status::ok);
    }
    void wait(engine::waiter& w) noexcept { waiter_ = &w; }
    // False: it goes on, and will answer.
    bool cancel() noexcept {
        cancel_asked_ = uv_cancel(base()) == 0;
        return cancel_asked_;
    }
    // Nobody waits for it any more.
    void leave() noexcept {
        waiter_ = nullptr;
        if (in_flight_)
            uv_cancel(base());
        else
            delete this;
    }
    Req& take() noexcept {
        taken_ = true;
        return *this;
    }
    [[nodiscard]] int status() const noexcept { return status_; }
    [[nodiscard]] int type() noexcept { return base()->type; }

private:
    uv_req_t* base() noexcept { return reinterpret_cast<uv_req_t*>(static_cast<Req*>(this)); }
    void let_go() noexcept override { uv_cancel(base()); }

    Submit submit_;
    engine::waiter* waiter_ = nullptr;
    int status_ = UV_ECANCELED;
    bool submitted_ = false;
    bool in_flight_ = false;
    bool cancel_asked_ = false;
    bool taken_ = false;
};

template <class Req, class Submit>
class uv_operation final : public leaf_operation<uv_operation<Req, Submit>> {
    using base = leaf_operation<uv_operation<Req, Submit>>;
    using block = uv_request<Req, Submit>;
    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        return static_cast<uv_operation&>(w).block_->cancel() ? engine::abort_result::later
                                                              : engine::abort_result::cannot;
    }
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
        return describe_uv_request(static_cast<const uv_operation&>(w).block_->type(), out, room);
    }

public:
    using result_type = Req&;
    // Pinned: libuv may be using memory of the awaiting frame (a buffer that is read into).
    static constexpr engine::wait_kind kind{.name = "uv request",
                                            .outside = true,
                                            .pinned = true,
                                            .abort = &abort_it,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};

    explicit uv_operation(Submit&& s) : submit_(std::move(s)) {}
    uv_operation(uv_operation&& o) : base(std::move(o)), submit_(std::move(o.submit_)) {}
    ~uv_operation() {
        base::end();
        if (block_ != nullptr) block_->leave();
    }

    bool attempt() noexcept {
        try {
            std::unique_ptr<block> b(new block(std::move(*submit_)));
            submit_.reset();
            if (b == nullptr) throw std::bad_alloc();
            code_ = b->submit(loop::current());
            if (code_ == 0) {
                block_ = b.release();
                return false;
            }
            type_ = b->type();
        } catch (...) {
            error_ = std::current_exception();
        }
        this->result = engine::status::exception;
        return true;
    }
    void enqueue() noexcept { block_->wait(*this); }
    Req& take() noexcept { return block_->take(); }
    [[noreturn]] void fail() {
        if (base::state() != engine::status::exception) base::fail();
        if (error_ != nullptr) std::rethrow_exception(error_);
        if (block_ != nullptr) throw_uv_request(block_->type(), block_->status());
        throw_uv_request(type_, code_);
    }

private:
    std::optional<Submit> submit_;
    block* block_ = nullptr;
    std::exception_ptr error_;
    int code_ = 0;
    int type_ = 0;
};

} // namespace detail

// Submits a request to libuv and waits for its answer. Req: uv_fs_t, uv_getaddrinfo_t, uv_getnameinfo_t, uv_random_t,
// uv_work_t, uv_write_t, uv_connect_t, uv_shutdown_t, uv_udp_send_t …
//
// submit(uv_loop_t*, Req*, callback) -> int calls libuv's function with that callback and gives its result; it is
// called once, when the operation is awaited, and kept until libuv has called back: buffers that it owns are safe.
// `req->data` is the callable's to use. Gives `Req&`, which lives as long as the operation: keep the operation in a
// variable where the result is used after the statement. Its clean-up (uv_fs_req_cleanup, uv_freeaddrinfo) is eddy's;
// to keep an addrinfo list set `req.addrinfo` to null.
//
// A checkpoint. Throws uv_error with libuv's number, what submit throws, std::logic_error on loops with simulated time.
// Cancelling asks uv_cancel: what has not begun ends as cancelled; what runs already, or can't be cancelled (writes,
// connects: close the handle instead), goes on to its end and gives its result, and the cancellation waits for the next
// checkpoint. A file that was opened for an operation that was destroyed before it took the result is closed.
// Memory that libuv uses may lie in the awaiting frame: shutdown does not destroy a frame with a request in flight.
template <class Req, class Submit>
[[nodiscard]] detail::uv_operation<Req, std::decay_t<Submit>> await_uv(Submit&& submit) {
    using F = std::decay_t<Submit>;
    static_assert(
        std::is_invocable_r_v<int, F&, uv_loop_t*, Req*, typename detail::uv_request_traits<Req>::callback>,
        "await_uv<Req>(submit): submit(uv_loop_t*, Req*, callback) must give an int, as libuv's functions do");
    return detail::uv_operation<Req, F>(F(std::forward<Submit>(submit)));
}

} // namespace eddy
