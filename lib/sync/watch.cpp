#include <eddy/sync/watch.hpp>

#include <string>

namespace eddy::detail {

void throw_watch_closed(const char* what) { throw closed(std::string("eddy: ") + what + ": the watch is closed"); }

} // namespace eddy::detail
