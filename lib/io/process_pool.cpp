#include <eddy/io/process_pool.hpp>
#include <eddy/io/signal.hpp>

#include "io/pool_worker.hpp"

#include <algorithm>

namespace eddy {

namespace detail {

pool_reference::pool_reference(pool_core& c) noexcept : core_(&c) { ++c.references; }
pool_reference::pool_reference(const pool_reference& o) noexcept : core_(o.core_) {
    if (core_ != nullptr) ++core_->references;
}
pool_reference::~pool_reference() {
    if (core_ != nullptr && --core_->references == 0) delete core_;
}

// ---- run()

std::vector<std::byte> begin_frame(std::size_t index) {
    std::vector<std::byte> frame(frame_header_size);
    byte_writer(frame).put(static_cast<std::uint64_t>(index));
    return frame;
}

const process_function& check_function(pool_core& core, void (*address)(), const char* type, std::size_t& index) {
    index = core.table->find(address, type);
    if (index == core.table->size())
        throw std::logic_error("eddy: process_pool.run() of a function that has no EDDY_PROCESS_FUNCTION line (or one "
                               "in a library that was loaded after the pool was made)");
    return core.table->at(index);
}

void check_frame(const pool_core& core, const process_function& f, std::size_t size) {
    const std::size_t payload = size - frame_header_size - sizeof(std::uint64_t);
    if (payload > core.options.max_message_size())
        throw std::length_error(std::string("eddy: the arguments of ") + f.name() + " have " + std::to_string(payload) +
                                " bytes, and the pool's max_message_size is " +
                                std::to_string(core.options.max_message_size()));
}

void check_pool_job(pool_job& job) {
    pool_core& c = *job.pool.get();
    if (c.closed) throw eddy::closed("eddy: run() on a process_pool that is closed");
    if (c.broken != nullptr) throw worker_protocol_error(std::string("eddy: no worker can be used: ") + c.broken);
    c.bind(*job.where, "run()");
}

void queue_pool_job(pool_job& job) noexcept {
    pool_core& c = *job.pool.get();
    c.queue.add(job);
    ++c.queued;
    c.settle();
}

// The operation goes, wherever it stands.
void leave_pool_job(pool_job& job) noexcept {
    if (job.worker != nullptr) {
        pool_worker& w = *std::exchange(job.worker, nullptr);
        w.job = nullptr;
        ++w.pool->totals.cancelled;
        w.kill_for(pool_job::end::cancelled);
    } else if (is_waiting(job)) {
        job.unlink();
        --job.pool->queued;
        ++job.pool->totals.cancelled;
        job.pool->settle(); // it may be what close() waits for
    }
}

engine::abort_result abort_pool_job(pool_job& job) noexcept {
    if (job.worker != nullptr) {
        job.worker->kill_for(pool_job::end::cancelled);
        return engine::abort_result::later;
    }
    job.unlink();
    --job.pool->queued;
    ++job.pool->totals.cancelled;
    job.ended = pool_job::end::cancelled;
    job.pool->settle();
    return engine::abort_result::gone;
}

std::size_t describe_pool_job(const pool_job& job, char* out, std::size_t room) noexcept {
    if (job.worker != nullptr)
        return describe_as(out, room, "process_pool.run(%s) in process %d", job.function->name(), job.worker->pid);
    return describe_as(out, room, is_waiting(job) ? "process_pool.run(%s), queued" : "process_pool.run(%s)",
                       job.function->name());
}

namespace {

std::string how_it_ended(const pool_job& job) {
    return job.code_b != 0 ? signal_name(job.code_b) : "exit " + std::to_string(job.code_a);
}

std::string process_text(const pool_job& job) { return "process " + std::to_string(job.pid); }

[[noreturn]] void throw_remote(const pool_job& job) {
    std::string type;
    std::string text;
    try {
        byte_reader in(job.message);
        type = in.get<std::string>();
        text = in.get<std::string>();
    } catch (const serialization_error&) {
        type = "an exception that could not be read";
    }
    throw remote_error(std::move(type), text);
}

} // namespace

void throw_pool_job(const pool_job& job) {
    const std::string call = std::string("eddy: ") + job.function->name() + ": ";
    switch (job.ended) {
    case pool_job::end::threw:
        throw_remote(job);
    case pool_job::end::died:
        throw worker_died(call + "its worker died of " + how_it_ended(job) + " (" + process_text(job) + ")", job.pid,
                          job.code_a, job.code_b);
    case pool_job::end::died_at_start:
        throw worker_died(call + "no worker becomes ready, the last one died of " + how_it_ended(job) + " (" +
                              process_text(job) + ")",
                          job.pid, job.code_a, job.code_b);
    case pool_job::end::start_failed:
        throw uv_error(job.code_a, call + "no worker can be started");
    case pool_job::end::timed_out:
        throw timeout_error(
            call + "ran longer than the job_timeout of " +
            std::to_string(
                std::chrono::duration_cast<std::chrono::milliseconds>(job.pool->options.job_timeout()).count()) +
            " ms; its worker was killed (" + process_text(job) + ")");
    case pool_job::end::protocol:
        throw worker_protocol_error(call + "its worker sent " + job.text +
                                    (job.pid != 0 ? " (" + process_text(job) + ", killed)" : std::string()));
    case pool_job::end::none:
    case pool_job::end::value:
    case pool_job::end::cancelled:
    case pool_job::end::destroyed:
        break;
    }
    throw_status(job.result, job.where);
}

// ---- close()

bool pool_close_operation::attempt() {
    pool_core& c = *pool_.get();
    if (!c.workers.empty() || c.queued != 0) c.bind(*where, "close()");
    c.closed = true;
    c.settle();
    return c.workers.empty() && c.queued == 0;
}

void pool_close_operation::enqueue() noexcept { pool_->closers.add(*this); }

} // namespace detail

namespace {

detail::pool_core& make_pool(std::ptrdiff_t n, process_pool_options&& o) {
    if (n < 1 || n > 1024)
        throw std::logic_error("eddy: process_pool(" + std::to_string(n) + "): the workers must be from 1 to 1024");
    if (detail::worker_program_name() == nullptr)
        throw std::logic_error("eddy: a program that has a process_pool must begin its main() with "
                               "eddy::process_worker_main(argc, argv): its workers are started there");
    if (o.output() == process_pool_options::output_kind::handler && !o.output_handler())
        throw std::logic_error("eddy: process_pool_options().on_output() got an empty function");
    for (const auto& [name, value] : o.variables())
        if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != std::string::npos ||
            value.find('\0') != std::string::npos)
            throw std::logic_error("eddy: process_pool_options().variable() got the name '" + name +
                                   "', which can't be one, or a value with a NUL");
    return *new detail::pool_core(static_cast<std::size_t>(n), std::move(o));
}

} // namespace

process_pool::process_pool(std::ptrdiff_t n, process_pool_options options) : core_(make_pool(n, std::move(options))) {}

process_pool::~process_pool() { core_->abandon(); }

detail::pool_close_operation process_pool::close() noexcept { return detail::pool_close_operation(core_); }

process_pool_statistics process_pool::statistics() const noexcept {
    const detail::pool_core& c = *core_.get();
    process_pool_statistics s = c.totals;
    s.workers = c.workers.size();
    s.starting = c.starting;
    s.idle = c.idle.size();
    s.queued = c.queued;
    s.running = static_cast<std::size_t>(
        std::count_if(c.workers.begin(), c.workers.end(), [](const auto* w) { return w->job != nullptr; }));
    return s;
}

} // namespace eddy
