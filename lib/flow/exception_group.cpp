#include <eddy/flow/exception_group.hpp>

#include "core/state.hpp"

#include <algorithm>

namespace eddy {

namespace {

using errors = std::vector<std::exception_ptr>;

std::shared_ptr<const errors> without_nulls(errors all) {
    std::erase(all, nullptr);
    return std::make_shared<const errors>(std::move(all));
}

// "eddy: all of first_success failed (4 exceptions: no route; refused; refused; …)"
std::string text_of(std::string_view what, const errors& all) {
    constexpr std::size_t shown = 3;
    std::string text = "eddy: " + std::string(what) + " (" + std::to_string(all.size()) +
                       (all.size() == 1 ? " exception" : " exceptions");
    for (std::size_t i = 0; i < std::min(all.size(), shown); ++i)
        text += (i == 0 ? ": " : "; ") + detail::describe(all[i]);
    if (all.size() > shown) text += "; …";
    return text + ")";
}

} // namespace

exception_group::exception_group(std::string_view what, list exceptions)
    : error(text_of(what, *exceptions)), exceptions_(std::move(exceptions)) {}

exception_group::exception_group(std::string_view what, std::vector<std::exception_ptr> exceptions)
    : exception_group(what, without_nulls(std::move(exceptions))) {}

} // namespace eddy
