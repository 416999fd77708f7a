// What happens to exceptions that nobody awaits: a handler for the whole loop, and one for a single task.
#include <eddy/eddy.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

std::string text_of(const std::exception_ptr& e) {
    try {
        std::rethrow_exception(e);
    } catch (const std::exception& x) {
        return x.what();
    }
}

eddy::task<void> fail(std::string why) {
    co_await eddy::sleep(1ms);
    throw std::runtime_error(why);
}

eddy::task<void> main_task() {
    eddy::loop::current().set_exception_handler([](const eddy::error_context& c) {
        std::printf("loop: %s: task '%s': %s\n", std::string(c.message).c_str(), std::string(c.task_name).c_str(),
                    text_of(c.exception).c_str());
    });
    eddy::spawn(eddy::spawn_options().name("forgotten"), fail("disk full"));

    auto own = [](const eddy::error_context& c) { std::printf("own handler: %s\n", text_of(c.exception).c_str()); };
    eddy::spawn(eddy::spawn_options().name("watched").exception_handler(own), fail("no route"));

    auto awaited = eddy::spawn(fail("this one is awaited"));
    try {
        co_await awaited; // received here: no handler hears of it
    } catch (const std::runtime_error& e) {
        std::printf("caught: %s\n", e.what());
    }
}

int main() { return eddy::run_main(main_task()); }
