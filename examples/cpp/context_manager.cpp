// An async context manager: a resource whose opening and closing have to wait. (asyncio: async with)
#include <eddy/eddy.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

class connection {
public:
    static eddy::task<connection> open(std::string host) {
        co_await eddy::sleep(1ms);
        std::printf("open %s\n", host.c_str());
        co_return connection(std::move(host));
    }
    eddy::task<int> ask(int question) {
        co_await eddy::sleep(1ms);
        if (question < 0) throw std::invalid_argument("negative question");
        co_return question + 1;
    }
    // Awaited on every way out, and not interrupted.
    eddy::task<void> close() {
        co_await eddy::sleep(1ms);
        std::printf("close %s\n", host_.c_str());
    }

private:
    explicit connection(std::string host) : host_(std::move(host)) {}
    std::string host_;
};

eddy::task<void> main_task() {
    auto good = eddy::with(connection::open("example.org"),
                           [](connection& c) -> eddy::task<int> { co_return co_await c.ask(41); });
    const int answer = co_await good;
    std::printf("answer %d\n", answer);

    auto bad = eddy::with(connection::open("example.net"),
                          [](connection& c) -> eddy::task<int> { co_return co_await c.ask(-1); });
    try {
        co_await bad;
    } catch (const std::invalid_argument& e) {
        std::printf("failed: %s\n", e.what());
    }
}

int main() { return eddy::run_main(main_task()); }
