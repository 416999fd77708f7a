// expect: the items of a queue are movable objects
#include <eddy/sync/queue.hpp>

#ifdef WRONG
eddy::queue<int&>* q = nullptr;
std::size_t size() { return q->size(); }
#else
eddy::queue<int*>* q = nullptr;
std::size_t size() { return q->size(); }
#endif
