#include "io/pool_worker.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <sys/socket.h>
#include <unistd.h>

namespace eddy::detail {

namespace {

// How long a worker may take to end by itself, or to be seen dead once it has closed its connection.
constexpr duration patience = std::chrono::seconds(1);
constexpr std::size_t inbox_size = 16 * 1024;

ssize_t send_some(int fd, std::span<const std::byte> b) noexcept {
#if defined(MSG_NOSIGNAL)
    constexpr int flags = MSG_NOSIGNAL;
#else
    constexpr int flags = 0;
#endif
    ssize_t n;
    do
        n = ::send(fd, b.data(), b.size(), flags);
    while (n < 0 && errno == EINTR);
    return n;
}

ssize_t receive_some(int fd, std::span<std::byte> b) noexcept {
    ssize_t n;
    do
        n = ::recv(fd, b.data(), b.size(), 0);
    while (n < 0 && errno == EINTR);
    return n;
}

} // namespace

pool_worker::pool_worker(loop& l, uv_loop_t* u, pool_core& p) noexcept
    : uv_block(l, u), pool(&p), decoder_(longest_payload(p.options.max_message_size())) {}

// ---- its connection

void pool_worker::close_link() noexcept {
    if (!link_) return;
    close(link_poll_); // before the descriptor: its number may be somebody else's by then
    link_.reset();
}

void pool_worker::watch() noexcept {
    if (!link_) return;
    const bool more_to_send = job != nullptr && sent_ < job->message.size();
    const int wanted = UV_READABLE | (more_to_send ? int{UV_WRITABLE} : 0);
    if (wanted == watched_) return;
    watched_ = wanted;
    uv_poll_start(&link_poll_, wanted,
                  [](uv_poll_t* p, int status, int events) { of<pool_worker>(p).on_link(status, events); });
}

void pool_worker::set_timer(duration d) noexcept {
    uv_timer_stop(&timer_);
    start_uv_timer(timer_, d, [](uv_timer_t* t) { of<pool_worker>(t).on_timer(); });
}

int pool_worker::send() noexcept {
    // Not for ever: a worker that keeps pace must not keep the loop.
    for (int n = 0; n < 16 && sent_ < job->message.size(); ++n) {
        const ssize_t done = send_some(link_.get(), std::span(job->message).subspan(sent_));
        if (done < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? 0 : -errno;
        sent_ += static_cast<std::size_t>(done);
    }
    if (sent_ == job->message.size()) {
        std::vector<std::byte>().swap(job->message);
        sent_ = 0;
    }
    return 0;
}

bool pool_worker::give(pool_job& j) noexcept {
    job_id_ = pool->next_id + 1;
    seal_frame(j.message, frame_type::job, job_id_);
    job = &j;
    sent_ = 0;
    if (send() != 0 && sent_ == 0) {
        job = nullptr;
        on_hang_up();
        return false;
    }
    // An error behind the first bytes is a death to be seen soon: it may have the job.
    pool->next_id = job_id_;
    j.worker = this;
    at = phase::busy;
    ++jobs_;
    watch();
    set_timer(pool->options.job_timeout());
    return true;
}

void pool_worker::on_link(int status, int events) noexcept {
    if (status != 0) {
        on_hang_up();
        return;
    }
    if ((events & UV_WRITABLE) != 0 && job != nullptr && sent_ < job->message.size()) {
        // An error shows as the end of what can be read, too.
        if (send() != 0) sent_ = job->message.size();
        watch();
    }
    if ((events & UV_READABLE) != 0) receive(16);
}

// Reads up to `most` times.
void pool_worker::receive(int most) noexcept {
    std::byte inbox[inbox_size];
    for (int n = 0; n < most && link_; ++n) {
        std::span<std::byte> direct;
        try {
            direct = decoder_.room();
        } catch (const std::bad_alloc&) {
            bad("an answer that there is no memory for");
            return;
        }
        // Long payloads go where they belong; the rest by way of the inbox, which takes a whole short frame at once.
        const bool is_direct = direct.size() >= inbox_size;
        const std::span<std::byte> into = is_direct ? direct : std::span<std::byte>(inbox);
        const ssize_t got = receive_some(link_.get(), into);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (got <= 0) {
            on_hang_up();
            return;
        }
        std::span<const std::byte> bytes = into.first(static_cast<std::size_t>(got));
        const bool was_full = bytes.size() == into.size();
        frame_decoder::status s;
        try {
            if (is_direct) {
                s = decoder_.advance(bytes.size());
                bytes = {};
            } else {
                s = decoder_.feed(bytes);
            }
            while (s == frame_decoder::status::frame) {
                on_frame();
                if (!link_) return;
                if (bytes.empty()) break;
                s = decoder_.feed(bytes);
            }
        } catch (const std::bad_alloc&) {
            bad("an answer that there is no memory for");
            return;
        }
        if (s == frame_decoder::status::bad) {
            bad(decoder_.fault());
            return;
        }
        if (!was_full && !exited_) return;
    }
}

void pool_worker::on_frame() noexcept {
    const auto type = static_cast<frame_type>(decoder_.header().type);
    if (at == phase::starting && type == frame_type::hello)
        on_hello();
    else if (job != nullptr && sent_ == 0 && job->message.empty() && decoder_.header().id == job_id_ &&
             (type == frame_type::value || type == frame_type::error))
        on_answer(type);
    else
        bad("a frame that nobody waits for");
}

void pool_worker::on_hello() noexcept {
    std::uint64_t hash = 0;
    std::uint64_t count = 0;
    try {
        byte_reader in(decoder_.payload());
        hash = in.get<std::uint64_t>();
        count = in.get<std::uint64_t>();
    } catch (...) {
        bad("a greeting that is none");
        return;
    }
    if (pool == nullptr) return;
    if (hash != pool->table->hash() || count != pool->table->size()) {
        const pool_reference keep(*pool);
        pool_core& p = *pool;
        kill();
        p.break_down("its EDDY_PROCESS_FUNCTION lines are not those of this process; they must all be in the program "
                     "itself, not in libraries that are loaded later");
        return;
    }
    --pool->starting;
    at = phase::idle;
    after_job();
}

void pool_worker::on_answer(frame_type type) noexcept {
    pool_job& j = *job;
    if (type == frame_type::value) {
        if (!j.accept(j, decoder_.payload())) {
            bad("a result that is no value of the function's type");
            return;
        }
    } else {
        j.message.swap(decoder_.payload());
    }
    job = nullptr;
    pool->proved();
    const bool is_value = type == frame_type::value;
    pool->conclude(j, is_value ? pool_job::end::value : pool_job::end::threw,
                   is_value ? engine::status::ok : engine::status::exception);
    if (exited_) return; // it died right behind its answer
    at = phase::idle;
    after_job();
}

// It is ready for the next job, or has done enough.
void pool_worker::after_job() noexcept {
    if (pool == nullptr || exited_) return;
    const pool_reference keep(*pool);
    if (const std::size_t most = pool->options.max_tasks_per_worker(); most != 0 && jobs_ >= most) {
        leave();
    } else {
        set_timer(pool->options.idle_timeout());
        pool->idle.push_back(this);
    }
    keep->settle();
}

void pool_worker::on_hang_up() noexcept {
    close_link();
    if (at == phase::dying || exited_) return;
    if (pool != nullptr) pool->remove_idle(*this);
    if (at == phase::leaving) return; // as it should, and its timer runs
    if (at != phase::starting) at = phase::hung_up;
    set_timer(patience);
}

void pool_worker::bad(const char* why) noexcept {
    text_ = why;
    kill_for(pool_job::end::protocol);
}

// ---- its end

void pool_worker::leave() noexcept {
    if (pool != nullptr) pool->remove_idle(*this);
    at = phase::leaving;
    ours_ = true;
    ::shutdown(link_.get(), SHUT_WR); // it reads the end, and goes
    set_timer(patience);
}

void pool_worker::kill() noexcept {
    if (pool != nullptr) pool->remove_idle(*this);
    close_link();
    if (exited_) return;
    if (at != phase::starting) at = phase::dying;
    uv_timer_stop(&timer_);
    // Not reaped yet, so the number is still its own. The process as well, should it have left its group.
    ::kill(-pid, SIGKILL);
    ::kill(pid, SIGKILL);
}

void pool_worker::kill_for(pool_job::end why) noexcept {
    verdict_ = why;
    ours_ = why != pool_job::end::protocol;
    kill();
}

void pool_worker::lose_pool() noexcept {
    if (at == phase::starting) --pool->starting;
    kill();
    pool->remove(*this);
}

void pool_worker::let_go() noexcept {
    forget_loop();
    out_.shut();
    err_.shut();
    if (pool != nullptr)
        lose_pool();
    else
        kill();
}

void pool_worker::on_timer() noexcept {
    switch (at) {
    case phase::starting:
        kill();
        break;
    case phase::idle:
        // In the list of those who wait for a job, or it would not be idle: nobody has just picked it.
        leave();
        break;
    case phase::busy:
        kill_for(pool_job::end::timed_out);
        break;
    case phase::hung_up:
        bad("no more bytes: it closed its connection and lived on");
        break;
    case phase::leaving:
        kill();
        break;
    case phase::dying:
        break;
    }
}

void pool_worker::on_exit(int code, int signum) noexcept {
    exited_ = true;
    // An answer that it gave before it died counts. (What kill() closed is not asked any more.)
    receive(1 << 20);
    close_link();
    // What it printed is told before its job is.
    out_.finish();
    err_.finish();
    uv_timer_stop(&timer_);
    close(timer_);
    close(child_);
    if (pool == nullptr) return;
    const pool_reference keep(*pool);
    pool_core& p = *pool;
    if (at == phase::starting) --p.starting;
    if (!ours_) ++p.totals.workers_failed;
    if (pool_job* const j = std::exchange(job, nullptr); j != nullptr) {
        j->code_a = code;
        j->code_b = signum;
        j->pid = pid;
        j->text = text_;
        p.conclude(*j, verdict_,
                   verdict_ == pool_job::end::cancelled ? engine::status::cancelled : engine::status::exception);
    }
    p.remove(*this);
    // Also when it greeted and died: or workers that do would be started again and again without a pause.
    if (jobs_ == 0 && !ours_ && p.broken == nullptr) p.start_failed(code, signum, pid);
    p.settle();
}

} // namespace eddy::detail
