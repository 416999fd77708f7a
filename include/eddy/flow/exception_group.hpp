// Several failures as one exception.
#pragma once

#include <eddy/core/error.hpp>

#include <exception>
#include <memory>
#include <string_view>
#include <vector>

namespace eddy {

// What first_success() throws when all have failed. what() is one line: `what`, how many there are, and the texts of
// the first three. Copying never throws; copies share the list. Any thread.
class exception_group : public error {
public:
    // `what` says what failed. Null pointers are left out. Throws std::bad_alloc.
    exception_group(std::string_view what, std::vector<std::exception_ptr> exceptions);
    // In the order of whoever threw the group: for first_success() that of its arguments.
    [[nodiscard]] const std::vector<std::exception_ptr>& exceptions() const noexcept { return *exceptions_; }

private:
    using list = std::shared_ptr<const std::vector<std::exception_ptr>>;
    exception_group(std::string_view what, list exceptions);
    list exceptions_;
};

} // namespace eddy
