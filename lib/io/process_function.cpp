#include <eddy/io/process_function.hpp>

#include "io/frame.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <mutex>

namespace eddy::detail {

namespace {

// Constant-initialised both: the lines register before main(), in any order of source files.
constinit std::mutex registering;
constinit process_function* first = nullptr;

} // namespace

void process_function::link() noexcept {
    const std::lock_guard lock(registering);
    next_ = first;
    first = this;
}

process_function::~process_function() {
    const std::lock_guard lock(registering);
    for (process_function** at = &first; *at != nullptr; at = &(*at)->next_)
        if (*at == this) {
            *at = next_;
            return;
        }
}

std::shared_ptr<const process_function_table> process_function_table::make() {
    const auto order = [](const process_function& a, const process_function& b) {
        if (const int c = std::strcmp(a.name_, b.name_); c != 0) return c;
        if (const int c = std::strcmp(a.type_, b.type_); c != 0) return c;
        if (const int c = std::strcmp(a.file_, b.file_); c != 0) return c;
        return a.line_ < b.line_ ? -1 : a.line_ > b.line_ ? 1 : 0;
    };
    const auto table = std::make_shared<process_function_table>();
    std::vector<const process_function*> all;
    {
        const std::lock_guard lock(registering);
        for (const process_function* f = first; f != nullptr; f = f->next_)
            all.push_back(f);
    }
    std::sort(all.begin(), all.end(), [&](const auto* a, const auto* b) { return order(*a, *b) < 0; });
    std::vector<std::byte> names;
    byte_writer out(names);
    for (const process_function* f : all) {
        // A line in a header that several sources include is one function.
        if (table->functions_.empty() || order(*table->functions_.back(), *f) != 0) {
            table->functions_.push_back(f);
            out.put(std::string(f->name_), std::string(f->type_));
        }
        table->places_.push_back({f->address_, f->type_, table->functions_.size() - 1});
    }
    std::sort(table->places_.begin(), table->places_.end(), [](const place& a, const place& b) {
        return std::less<>()(reinterpret_cast<void*>(a.address), reinterpret_cast<void*>(b.address));
    });
    table->hash_ = hash_bytes(names, frame_header::current_version);
    return table;
}

std::size_t process_function_table::find(void (*address)(), const char* type) const noexcept {
    const auto wanted = reinterpret_cast<void*>(address);
    auto at = std::lower_bound(places_.begin(), places_.end(), wanted, [](const place& p, void* a) {
        return std::less<>()(reinterpret_cast<void*>(p.address), a);
    });
    // A linker that folds equal code may give one address to functions of several types.
    for (; at != places_.end() && at->address == address; ++at)
        if (std::strcmp(at->type, type) == 0) return at->index;
    return functions_.size();
}

} // namespace eddy::detail
