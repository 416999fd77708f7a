// batch: a command for every line of the input, several at a time. See --help.
//
// for_each() keeps the jobs coming and retry() their attempts. A race() between the jobs and the first signal is all
// there is to a clean Ctrl-C: the jobs lose, are cancelled, end their processes, and are recorded on their way out.
#include "options.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

// A line of the input, and what came of it.
struct job {
    job() = default;
    std::uint64_t number = 0; // from 1
    std::string line, status; // exit status, SIGNAME or "timeout"
    std::chrono::system_clock::time_point start;
    seconds took{};
    std::size_t attempts = 0;
    eddy::process_result result; // of the last attempt
    std::string message;         // why that could not be started
};

class joblog {
public:
    explicit joblog(const options& o) : path_(o.joblog) {
        if (path_.empty()) return;
        fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (o.resume ? 0 : O_TRUNC), 0666);
        if (fd_ < 0) fail();
        if (o.resume) read_back();
    }
    // An earlier run has done it.
    bool has(const job& j) const { return !done_.empty() && done_.contains({j.number, escaped(j.line)}); }
    // One write() a record: whenever we are killed, the file holds whole records.
    void add(const job& j) {
        if (fd_ < 0) return;
        char numbers[80];
        std::snprintf(numbers, sizeof numbers, "%ju\t%.3f\t%.3f\t", static_cast<std::uintmax_t>(j.number),
                      seconds(j.start.time_since_epoch()).count(), j.took.count());
        const std::string r = numbers + j.status + '\t' + std::to_string(j.attempts) + '\t' + escaped(j.line) + '\n';
        errno = ENOSPC; // what a short write means
        if (::write(fd_, r.data(), r.size()) != static_cast<ssize_t>(r.size())) fail();
    }
    void sync() {
        if (fd_ >= 0 && ::fdatasync(fd_) != 0 && errno != EINVAL) fail(); // EINVAL: a pipe, a terminal
    }
    eddy::task<void> sync_each_second() {
        for (eddy::interval ticks(1s);;) {
            co_await ticks.next();
            co_await eddy::offload(&joblog::sync, this);
        }
    }

private:
    [[noreturn]] void fail() const { throw std::runtime_error("joblog " + path_ + ": " + std::strerror(errno)); }
    static std::string escaped(const std::string& line) {
        std::string s;
        for (const char c : line) {
            if (c == '\\' || c == '\t' || c == '\n') s += '\\';
            s += c == '\t' ? 't' : c == '\n' ? 'n' : c;
        }
        return s;
    }
    void read_back() {
        std::ifstream in(path_, std::ios::binary);
        off_t end = 0;
        for (std::string r; std::getline(in, r) && !in.eof(); end += static_cast<off_t>(r.size()) + 1) {
            char status[16];
            std::uintmax_t number = 0;
            int at = 0;
            if (std::sscanf(r.c_str(), "%ju\t%*f\t%*f\t%15[^\t]\t%*u%n", &number, status, &at) != 2 || at == 0)
                throw std::runtime_error("joblog " + path_ + ": not a record: '" + r.substr(0, 60) + "'");
            if (std::strcmp(status, "0") == 0) done_.emplace(number, r.substr(static_cast<std::size_t>(at) + 1));
        }
        if (::ftruncate(fd_, end) != 0) fail(); // cuts off a torn last record
    }

    std::string path_;
    int fd_ = -1;
    std::set<std::pair<std::uint64_t, std::string>> done_; // number and line, escaped
};

// Reads ahead, as far as the queue has room.
class input {
public:
    input(const options& o, const joblog& log) : options_(o), log_(log) {
        if (!o.file.empty()) fd_ = ::open(o.file.c_str(), O_RDONLY | O_CLOEXEC);
        struct stat about{};
        if (fd_ < 0 || ::fstat(fd_, &about) != 0) throw std::runtime_error(o.file + ": " + std::strerror(errno));
        if (S_ISREG(about.st_mode)) file_size_ = static_cast<double>(about.st_size);
    }
    eddy::queue<job> jobs{300};
    std::size_t skipped = 0;
    // How many lines there are: known at the end, before that estimated for a file; 0 when nobody knows.
    double expected() const { return jobs.closed() || bytes_ == 0 ? lines_ : lines_ * file_size_ / bytes_; }

    eddy::task<void> read() {
        job j;
        while (true) {
            // Reading blocks (a terminal, a pipe): it gets a thread that can be left behind.
            const std::string piece = co_await eddy::offload_abandon(read_piece, fd_, options_.file);
            if (piece.empty()) break;
            bytes_ += static_cast<double>(piece.size());
            for (std::size_t at = 0, end = 0; at < piece.size(); at = end + 1) {
                end = std::min(piece.find(options_.separator, at), piece.size());
                j.line.append(piece, at, std::min(end - at, longest - j.line.size()));
                if (end != piece.size()) co_await give(std::exchange(j, job()));
            }
        }
        if (!j.line.empty()) co_await give(std::move(j)); // the last one, without its newline
        jobs.close();
    }

private:
    // No system takes a longer argument. The rest of such a line need not be kept: the job fails in any case.
    static constexpr std::size_t longest = std::size_t{1} << 20;

    static std::string read_piece(int fd, const std::string& name) {
        std::string piece(64 * 1024, '\0');
        const ssize_t n = ::read(fd, piece.data(), piece.size());
        if (n < 0) throw std::runtime_error((name.empty() ? "standard input" : name) + ": " + std::strerror(errno));
        return piece.substr(0, static_cast<std::size_t>(n));
    }
    eddy::task<void> give(job j) {
        j.number = static_cast<std::uint64_t>(++lines_);
        skipped += log_.has(j);
        if (!log_.has(j)) co_await jobs.put(std::move(j)); // waits while the queue is full
    }

    const options& options_;
    const joblog& log_;
    int fd_ = STDIN_FILENO;
    double file_size_ = 0, bytes_ = 0, lines_ = 0;
};

// What is printed: the output of jobs, each in one piece, and between them the progress.
class output {
public:
    output(const options& o, const input& in) : progress_(o.progress), input_(in) {}
    ~output() { clear_bar(); }
    std::size_t done = 0, failed = 0;
    std::set<eddy::process*> running;

    // Writing blocks while the reader is slow, so another thread does it; one job at a time, in the order of asking.
    eddy::task<void> print(const job& j) {
        if (j.result.out.empty() && j.result.err.empty() && j.message.empty()) co_return;
        eddy::mutex::guard turn = co_await turn_.lock();
        clear_bar();
        co_await eddy::offload([&] {
            j.result.out.write_to(STDOUT_FILENO);
            j.result.err.write_to(STDERR_FILENO);
            std::fputs(j.message.c_str(), stderr);
        });
    }
    eddy::task<void> show_progress() {
        const bool terminal = ::isatty(STDERR_FILENO) != 0;
        for (eddy::interval ticks(terminal ? 200ms : 2000ms); progress_;) {
            const eddy::clock::time_point tick = co_await ticks.next();
            co_await eddy::sleep_until(tick + ticks.period());
            eddy::mutex::guard turn = co_await turn_.lock();
            show_state(terminal);
        }
    }
    void show_state(bool as_bar) {
        clear_bar();
        bar_ = as_bar;
        if (progress_) std::fprintf(stderr, as_bar ? "%s" : "batch: %s\n", state().c_str());
    }
    void clear_bar() {
        if (std::exchange(bar_, false)) std::fputs("\r\033[K", stderr);
    }

private:
    std::string state() const {
        const double ended = static_cast<double>(done + failed), skipped = static_cast<double>(input_.skipped);
        const double all = input_.expected() - skipped, time = seconds(eddy::clock::now() - began_).count();
        char bar[32] = "", left[32] = "", text[200];
        if (all > 0 && all >= ended)
            std::snprintf(bar, sizeof bar, "[%-20.*s] ", static_cast<int>(20 * ended / all), "####################");
        if (all > ended && ended > 0) std::snprintf(left, sizeof left, ", %.0f s left", (all - ended) / ended * time);
        std::snprintf(text, sizeof text, "%s%zu done, %zu failed, %zu running, %.1f s, %.1f/s%s", bar, done, failed,
                      running.size(), time, ended / time, left);
        return text;
    }

    bool progress_, bar_ = false;
    const input& input_;
    eddy::mutex turn_;
    eddy::clock::time_point began_ = eddy::clock::now();
};

struct attempt_failed {};

class batch {
public:
    explicit batch(const options& o) : options_(o), log_(options_), input_(options_, log_), output_(options_, input_) {
        // For "at most N in any one second" a hundredth more: from our leave to a program's start is a while, too.
        if (o.rate != 0) rate_.emplace(o.rate, 1010ms);
        last_turn_->set();
    }

    eddy::task<int> run() {
        eddy::loop::current().set_exception_handler([this](const eddy::error_context& c) { error_ = c.exception; });
        eddy::signal_set signals{SIGINT, SIGTERM};
        int signal = 0;
        co_await eddy::with_task_group([&](eddy::task_group& helpers) -> eddy::task<void> {
            helpers.spawn(input_.read());
            helpers.spawn(log_.sync_each_second());
            helpers.spawn(output_.show_progress());
            helpers.spawn(kill_at_second_signal());
            auto first = co_await eddy::race(jobs(), signals.next(), first_failure_.wait());
            if (first.index == 1) signal = std::get<1>(first.value);
            helpers.cancel();
        });
        if (error_) std::rethrow_exception(error_);
        log_.sync();
        output_.show_state(false);
        co_return signal != 0 ? 128 + signal : static_cast<int>(std::min<std::size_t>(output_.failed, 101));
    }

private:
    // More jobs than places: one that waits for its next attempt, or for its turn to print, holds up nobody.
    eddy::task<void> jobs() {
        auto one = [this](job j) { return run_job(std::move(j)); };
        co_await eddy::for_each(input_.jobs, one, eddy::for_each_options().concurrency(options_.jobs + 100));
    }

    eddy::task<void> run_job(job j) {
        const auto before = std::exchange(last_turn_, std::make_shared<eddy::event>());
        const std::shared_ptr<void> at_end(nullptr, [mine = last_turn_](void*) { mine->set(); });
        bool failed = false;
        auto policy = eddy::retry_policy().attempts(options_.retries + 1).backoff(eddy::exponential(100ms, 30s, 0.5));
        try {
            co_await eddy::retry([&] { return attempt(j); }, policy);
        } catch (const attempt_failed&) {
            failed = true;
            if (options_.fail_fast) first_failure_.set();
        } catch (const eddy::cancelled&) {
            if (j.attempts == 0) throw;                             // it never began
            if (!j.status.starts_with("SIG")) j.status = "SIGTERM"; // it was between two attempts
        }
        j.took = std::chrono::system_clock::now() - j.start;
        co_await eddy::shield(conclude(j, *before));
        if (j.status == "0") ++output_.done;
        if (failed) ++output_.failed;
        co_await eddy::checkpoint(); // a cancellation goes on from here
    }

    // One start of the program. Throws attempt_failed.
    eddy::task<void> attempt(job& j) {
        const eddy::semaphore::permit place = co_await places_.acquire();
        if (rate_) co_await rate_->acquire();
        if (first_failure_.is_set()) co_await eddy::sleep_forever(); // until it cancels us
        co_await eddy::checkpoint();
        if (j.attempts++ == 0) j.start = std::chrono::system_clock::now();
        std::optional<eddy::process> program;
        try {
            program.emplace(eddy::process::start(options_for(j.line)));
        } catch (const std::exception& e) {
            j.status = "127";
            j.message = "batch: line " + std::to_string(j.number) + ": " + e.what() + "\n";
            throw attempt_failed();
        }
        output_.running.insert(&*program);
        auto end = co_await eddy::settle(eddy::move_on_after(options_.timeout, program->finished()));
        const bool interrupted = end.is_cancelled();
        const bool by_itself = program->done(); // though perhaps its output was still open
        if (interrupted || !end.value()) {
            co_await eddy::shield(program->terminate());
            j.result = co_await eddy::shield(program->finished());
        } else {
            j.result = *std::move(end).value();
        }
        output_.running.erase(&*program);
        const int signal = j.result.status.signal();
        const std::string code = std::to_string(j.result.status.code());
        j.status = signal != 0 ? eddy::signal_name(signal) : by_itself ? code : "SIGTERM";
        if (!by_itself && !interrupted) j.status = "timeout";
        if (!by_itself) co_await eddy::checkpoint(); // interrupted: goes on as cancelled
        if (j.status != "0") throw attempt_failed();
    }

    // Printed first: what the joblog has, somebody has seen.
    eddy::task<void> conclude(const job& j, eddy::event& turn) {
        if (options_.keep_order) co_await turn.wait();
        co_await output_.print(j);
        log_.add(j);
    }

    eddy::process_options options_for(const std::string& line) const {
        std::vector<std::string> words = options_.command;
        bool placed = false;
        for (std::string& w : words)
            for (std::size_t at = 0; (at = w.find("{}", at)) != std::string::npos; at += line.size(), placed = true)
                w.replace(at, 2, line);
        if (!placed) words.push_back(line);
        const auto kept = eddy::stdio::spill(512 * 1024); // each; what is more goes to an unlinked temporary file
        const std::vector<std::string> arguments(words.begin() + 1, words.end());
        return eddy::process_options(words[0], arguments).out(kept).err(kept).grace(options_.grace);
    }

    // The first is run()'s business. With the second nothing is waited for any more.
    eddy::task<void> kill_at_second_signal() {
        eddy::signal_set signals{SIGINT, SIGTERM};
        co_await signals.next();
        const int second = co_await signals.next();
        for (eddy::process* p : output_.running)
            p->kill(SIGKILL);
        output_.clear_bar();
        std::_Exit(128 + second);
    }

    options options_;
    joblog log_;
    input input_;
    output output_;
    eddy::semaphore places_{static_cast<std::ptrdiff_t>(options_.jobs)};
    std::optional<eddy::rate_limiter> rate_;
    std::exception_ptr error_;  // of a job that was being ended: one is enough
    eddy::event first_failure_; // with --fail-fast
    std::shared_ptr<eddy::event> last_turn_ = std::make_shared<eddy::event>(); // set once that job has printed
};

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN); // a reader that has gone away is a write error
    for (const int fd : {0, 1, 2}) // one that is closed must not become another file
        if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
    try {
        batch b(options({argv + 1, argv + argc}));
        return eddy::run(b.run(), eddy::run_options().handle_sigint(false));
    } catch (const std::exception& e) {
        std::cerr << "batch: " << e.what() << std::endl;
        return 255;
    }
}
