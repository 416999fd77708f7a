#include <eddy/bulk/for_each.hpp>

#include <eddy/flow/finally.hpp>

#include <limits>
#include <stdexcept>

namespace eddy {

for_each_options& for_each_options::concurrency(std::size_t n) {
    if (n == 0) throw std::logic_error("eddy: for_each_options: concurrency(0) would never run an item");
    // More than can be counted is no limit.
    constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
    concurrency_ = n < most ? n : most;
    return *this;
}

namespace detail {

void for_each_tally::succeeded() {
    ++result.succeeded;
    if (options.progress()) options.progress()(result.succeeded + result.failed);
}

void for_each_tally::failed(std::size_t index, std::exception_ptr e) {
    ++result.failed;
    if (options.on_error() == on_error::stop) std::rethrow_exception(std::move(e));
    if (options.on_error() == on_error::collect)
        result.failures.emplace_back(index, std::move(e));
    else
        report_lost("an item of a for_each failed", std::move(e));
    if (options.progress()) options.progress()(result.succeeded + result.failed);
}

} // namespace detail
} // namespace eddy
