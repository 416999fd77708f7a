#include <eddy/io/pipe.hpp>

#include "io/descriptor.hpp"
#include "io/uv_block.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace eddy {

namespace detail {

struct pipe_block final : uv_block {
    static constexpr std::size_t inbox_size = 64 * 1024;

    pipe_block(loop& l, uv_loop_t* u) noexcept : uv_block(l, u) {}

    int open(int descriptor) noexcept {
        if (const int e = set_nonblocking(descriptor); e != 0) return e;
        // Also asks epoll whether it takes one more: libuv would abort later on.
        if (const int e = uv_poll_init(uv(), &poll_, descriptor); e != 0) return e;
        opened(poll_);
        struct stat s;
        is_socket_ = ::fstat(descriptor, &s) == 0 && S_ISSOCK(s.st_mode);
        fd = unique_fd(descriptor);
        return 0;
    }

    void shut(engine::status waiting) noexcept {
        if (!fd) return;
        uv_block::close(poll_); // before the descriptor: its number may be somebody else's by then
        fd.reset();
        for (engine::runnable_list* list : {&readers, &writers})
            while (core() != nullptr && !list->empty())
                core()->grant(static_cast<engine::waiter&>(*list->pop_front()), waiting);
    }

    // ---- reading: one reader at a time is granted what is in the inbox, and has it reserved until it takes it

    // There is an answer for a reader: bytes, the end, or an error. Reads once where there was none.
    bool fill() noexcept {
        if (begin_ < end_ || at_end_ || read_error != 0) return true;
        ssize_t n;
        do
            n = ::read(fd.get(), inbox.get(), inbox_size);
        while (n < 0 && errno == EINTR);
        begin_ = end_ = 0;
        if (n > 0)
            end_ = static_cast<std::size_t>(n);
        else if (n == 0)
            at_end_ = true;
        else if (errno != EAGAIN && errno != EWOULDBLOCK)
            read_error = -errno;
        return n >= 0 || read_error != 0;
    }
    [[nodiscard]] engine::status read_status() const noexcept {
        return begin_ < end_ || at_end_ ? engine::status::ok : engine::status::exception;
    }
    void serve_readers() noexcept {
        while (fd && reserved == nullptr && !readers.empty() && fill()) {
            auto& w = static_cast<engine::waiter&>(*readers.pop_front());
            if (read_status() == engine::status::ok) reserved = &w;
            core()->grant(w, read_status());
        }
        arm();
    }
    void unreserve(const engine::waiter& w) noexcept {
        if (reserved != &w) return;
        reserved = nullptr;
        serve_readers();
    }
    std::size_t take(std::span<std::byte> into) noexcept {
        const std::size_t n = std::min(into.size(), end_ - begin_);
        std::memcpy(into.data(), inbox.get() + begin_, n);
        begin_ += n;
        return n;
    }

    // ---- writing: straight from the caller's memory, by the first in the queue

    // True when the operation has ended, with an error or by having written everything.
    bool advance(pipe_write_operation& op) noexcept {
        // Not for ever: a reader that keeps pace must not keep the loop.
        for (int n = 0; n < 16 && op.written_ < op.data_.size(); ++n) {
            const auto rest = op.data_.subspan(op.written_);
            const ssize_t done = put(rest.data(), rest.size());
            if (done >= 0)
                op.written_ += static_cast<std::size_t>(done);
            else if (errno == EAGAIN || errno == EWOULDBLOCK)
                return false;
            else if (errno != EINTR) {
                op.error_ = -errno;
                return true;
            }
        }
        return op.written_ == op.data_.size();
    }
    void serve_writers(int error) noexcept {
        while (fd && !writers.empty()) {
            auto& op = static_cast<pipe_write_operation&>(*writers.front());
            if (!advance(op)) {
                if (error == 0) break;
                op.error_ = error;
            }
            writers.pop_front();
            core()->grant(op, op.error_ == 0 ? engine::status::ok : engine::status::exception);
        }
        arm();
    }

    // Watches for what somebody waits for.
    void arm() noexcept {
        if (!fd) return;
        const int wanted =
            (!readers.empty() && reserved == nullptr ? UV_READABLE : 0) | (!writers.empty() ? UV_WRITABLE : 0);
        if (wanted == watched_) return;
        watched_ = wanted;
        if (wanted == 0)
            uv_poll_stop(&poll_);
        else
            uv_poll_start(&poll_, wanted, [](uv_poll_t* p, int error, int) { of<pipe_block>(p).on_ready(error); });
    }

    unique_fd fd;
    std::unique_ptr<std::byte[]> inbox;
    engine::runnable_list readers;
    engine::runnable_list writers;
    const engine::waiter* reserved = nullptr;
    int read_error = 0;

private:
    void on_ready(int error) noexcept {
        if (error != 0) watched_ = 0; // libuv has stopped polling it
        if (error != 0 && !readers.empty() && reserved == nullptr && !fill()) read_error = error;
        serve_readers();
        serve_writers(error);
    }
    [[nodiscard]] ssize_t put(const void* bytes, std::size_t n) const noexcept {
#if defined(MSG_NOSIGNAL)
        if (is_socket_) return ::send(fd.get(), bytes, n, MSG_NOSIGNAL);
#endif
        ssize_t done;
        int error;
        {
            const no_sigpipe quiet; // going, it may change errno
            done = ::write(fd.get(), bytes, n);
            error = errno;
        }
        errno = error;
        return done;
    }
    void let_go() noexcept override {
        forget_loop();
        shut(engine::status::closed);
    }

    uv_poll_t poll_;
    std::size_t begin_ = 0; // what is in the inbox
    std::size_t end_ = 0;
    int watched_ = 0;
    bool at_end_ = false;
    bool is_socket_ = false;
};

pipe_reference::pipe_reference(pipe_block& b) noexcept : block_(&b) { b.retain(); }
pipe_reference::pipe_reference(const pipe_reference& o) noexcept : block_(o.block_) {
    if (block_ != nullptr) block_->retain();
}
pipe_reference::~pipe_reference() {
    if (block_ != nullptr) block_->release();
}

namespace {

[[noreturn]] void throw_closed() { throw closed("eddy: the pipe_stream is closed"); }

pipe_block& checked(const pipe_reference& b, const engine::scope& where, const char* what) {
    if (b.get() == nullptr)
        throw std::logic_error(std::string("eddy: ") + what + " on a pipe_stream that was moved from");
    if (!b->fd) throw_closed();
    if (b->core() != where.loop)
        throw std::logic_error(std::string("eddy: ") + what + " of descriptor " + std::to_string(b->fd.get()) +
                               " was awaited on another loop than the one that opened it");
    return *b.get();
}

} // namespace

pipe_read_operation::~pipe_read_operation() {
    end();
    if (block_.get() != nullptr) block_->unreserve(*this);
}

bool pipe_read_operation::attempt() {
    pipe_block& b = checked(block_, *where, "read_some()");
    if (b.inbox == nullptr) b.inbox.reset(new std::byte[pipe_block::inbox_size]);
    if (into_.empty()) return true;
    if (b.reserved != nullptr || !b.readers.empty() || !b.fill()) return false;
    result = b.read_status();
    if (result == engine::status::ok) b.reserved = this;
    return true;
}

void pipe_read_operation::enqueue() noexcept {
    block_->readers.push_back(*this);
    block_->arm();
}

std::size_t pipe_read_operation::take() noexcept {
    if (into_.empty()) return 0;
    const std::size_t n = block_->take(into_);
    block_->unreserve(*this);
    return n;
}

void pipe_read_operation::fail() {
    if (result == engine::status::closed) throw_closed();
    if (result == engine::status::exception)
        throw uv_error(block_->read_error, "eddy: cannot read from descriptor " + std::to_string(block_->fd.get()));
    leaf_operation::fail();
}

pipe_write_operation::~pipe_write_operation() { end(); }

bool pipe_write_operation::attempt() {
    pipe_block& b = checked(block_, *where, "write()");
    if (!b.writers.empty() || !b.advance(*this)) return false;
    if (error_ != 0) result = engine::status::exception;
    return true;
}

void pipe_write_operation::enqueue() noexcept {
    block_->writers.push_back(*this);
    block_->arm();
}

void pipe_write_operation::fail() {
    if (result == engine::status::closed) throw_closed();
    if (result == engine::status::exception)
        throw uv_error(error_, "eddy: cannot write to descriptor " + std::to_string(block_->fd.get()));
    leaf_operation::fail();
}

} // namespace detail

pipe_stream pipe_stream::open(int fd) {
    loop& l = loop::current();
    uv_loop_t* const uv = l.uv();
    if (::fcntl(fd, F_GETFD) < 0)
        throw std::logic_error("eddy: pipe_stream::open() got descriptor " + std::to_string(fd) +
                               ", which is not open");
    auto* const block = new detail::pipe_block(l, uv);
    if (block == nullptr) throw std::bad_alloc();
    detail::pipe_reference mine(*block);
    if (const int e = block->open(fd); e != 0) {
        const char* const why = e == UV_EPERM ? " as a stream: it is a file or directory" : " as a stream";
        throw uv_error(e, "eddy: cannot open descriptor " + std::to_string(fd) + why);
    }
    return pipe_stream(std::move(mine));
}

pipe_stream& pipe_stream::operator=(pipe_stream&& other) noexcept {
    if (this == &other) return *this;
    leave();
    block_ = std::move(other.block_);
    return *this;
}

pipe_stream::~pipe_stream() { leave(); }

void pipe_stream::leave() noexcept {
    if (block_.get() != nullptr) block_->shut(engine::status::object_destroyed);
    block_ = {};
}

detail::pipe_read_operation pipe_stream::read_some(std::span<std::byte> into) const noexcept {
    return detail::pipe_read_operation(block_, into);
}

detail::pipe_write_operation pipe_stream::write(std::span<const std::byte> data) const noexcept {
    return detail::pipe_write_operation(block_, data);
}

void pipe_stream::close() noexcept {
    if (block_.get() != nullptr) block_->shut(engine::status::closed);
}

bool pipe_stream::is_open() const noexcept { return block_.get() != nullptr && static_cast<bool>(block_->fd); }

int pipe_stream::fd() const noexcept { return block_.get() == nullptr ? -1 : block_->fd.get(); }

} // namespace eddy
