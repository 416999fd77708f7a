// Takes what comes out of a pipe and keeps it as stdio::capture() or stdio::spill() say.
#pragma once

#include <eddy/io/captured_output.hpp>
#include <eddy/io/process_options.hpp>

namespace eddy::detail {

class output_sink {
public:
    explicit output_sink(const stdio& how) noexcept : limit_(how.limit()), spills_(how.type() == stdio::kind::spill) {}

    // Never fails: where the bytes can't be kept, captured_output says so to whoever wants them.
    void append(const char* bytes, std::size_t n) noexcept;
    // Reading the pipe failed with this libuv number.
    void fail(int error) noexcept;
    // More may have come; nobody waited for it.
    void cut_off() noexcept { out_.truncated_ = true; }
    [[nodiscard]] std::uint64_t total() const noexcept { return out_.total_; }
    [[nodiscard]] captured_output take() noexcept { return std::move(out_); }

private:
    void keep_in_memory(const char* bytes, std::size_t n);
    int keep_in_file(const char* bytes, std::size_t n) noexcept;

    captured_output out_;
    std::size_t limit_;
    bool spills_;
};

} // namespace eddy::detail
