// A thread_promise that is set at the very moment in which somebody begins to wait for it.
#include <eddy/core/promise.hpp>

#include <support/run.hpp>

#include <thread>

using namespace eddy;

namespace {

// Awaits `op`, and lets another thread set the promise after the look at it and before the wait for it.
template <class Op>
class set_between : public detail::operation_tag {
public:
    using result_type = int;
    set_between(Op&& op, thread_promise<int>& p) : op_(std::move(op)), promise_(p) {}
    void bind(context& c) { op_.bind(c); }
    bool start() {
        const bool finished = op_.start();
        std::thread([this] { promise_.set_value(9); }).join();
        return finished;
    }
    void suspend(void* frame) noexcept { op_.suspend(frame); }
    [[nodiscard]] engine::status state() const noexcept { return op_.state(); }
    int take() { return op_.take(); }
    [[noreturn]] void fail() { op_.fail(); }
    [[nodiscard]] std::exception_ptr error() { return op_.error(); }

private:
    Op op_;
    thread_promise<int>& promise_;
};

} // namespace

TEST_CASE("CP-3 a thread_promise that is set between the look at it and the wait for it wakes who waits") {
    const int v = eddy_test::run([]() -> task<int> {
        thread_promise<int> p;
        set_between op(p.get(), p);
        co_return co_await op;
    });
    CHECK(v == 9);
}
