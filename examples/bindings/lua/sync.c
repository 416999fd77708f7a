/* Locks, semaphores, events. Who waits is served in order.
 *
 *     local guard <close> = lock:hold() -- released at the end of the block, however that is left
 */
#include "eddy_lua.h"

#include <string.h>

/* Userdata "eddy.lock", "eddy.semaphore", "eddy.event". */
struct shared {
    struct runtime* rt;
    void* object;
};

/* Userdata "eddy.guard". Its user value: what it holds. */
struct guard {
    eddy_mutex* mutex; /* or a semaphore:                                        */
    eddy_sem* sem;
    uint64_t permits;
};

static struct shared* new_shared(lua_State* L, const char* type) {
    struct runtime* const rt = eddy_lua_runtime(L);
    struct shared* s;
    eddy_lua_loop(L, rt);
    s = lua_newuserdatauv(L, sizeof *s, 0);
    s->rt = rt;
    s->object = NULL;
    luaL_setmetatable(L, type);
    return s;
}

static int collect(lua_State* L) {
    struct shared* const s = lua_touserdata(L, 1);
    eddy_unref(s->object);
    s->object = NULL;
    return 0;
}

static int tried(lua_State* L, int status) {
    if (status != EDDY_EAGAIN) eddy_lua_require(L, status);
    lua_pushboolean(L, status == EDDY_OK);
    return 1;
}

/* ---- guards */

static int held(lua_State* L, int resumed, lua_KContext permits) {
    struct shared* const s = lua_touserdata(L, 1);
    struct guard* const g = lua_touserdata(L, -1); /* made before, so that nothing can fail now */
    (void)resumed;
    eddy_lua_check(L, s->rt);
    if (permits == 0) {
        g->mutex = s->object;
    } else {
        g->sem = s->object;
        g->permits = (uint64_t)permits;
    }
    return 1;
}

static void push_guard(lua_State* L) {
    memset(lua_newuserdatauv(L, sizeof(struct guard), 1), 0, sizeof(struct guard));
    luaL_setmetatable(L, "eddy.guard");
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1); /* which is alive as long as the guard */
}

/* guard:release(), and what closing it does: once. */
static int let_go(lua_State* L) {
    struct guard* const g = luaL_checkudata(L, 1, "eddy.guard");
    if (g->mutex != NULL) eddy_mutex_unlock(g->mutex);
    if (g->sem != NULL) eddy_sem_release(g->sem, g->permits);
    g->mutex = NULL;
    g->sem = NULL;
    return 0;
}

/* ---- locks: not tied to a task, whoever has it may release it */

static struct shared* to_lock(lua_State* L) { return luaL_checkudata(L, 1, "eddy.lock"); }

static int new_lock(lua_State* L) {
    struct shared* const s = new_shared(L, "eddy.lock");
    eddy_mutex* mutex;
    eddy_lua_require(L, eddy_mutex_new(s->rt->loop, &mutex));
    s->object = mutex;
    return 1;
}

static int lock_acquire(lua_State* L) {
    struct shared* const s = to_lock(L);
    struct task* const here = eddy_lua_here(L, s->rt);
    return eddy_lua_await(L, here, eddy_mutex_lock(s->object), 0, eddy_lua_nothing);
}

static int lock_hold(lua_State* L) {
    struct shared* const s = to_lock(L);
    struct task* const here = eddy_lua_here(L, s->rt);
    push_guard(L);
    return eddy_lua_await(L, here, eddy_mutex_lock(s->object), 0, held);
}

static int lock_try_acquire(lua_State* L) { return tried(L, eddy_mutex_try_lock(to_lock(L)->object)); }

static int lock_release(lua_State* L) {
    eddy_lua_require(L, eddy_mutex_unlock(to_lock(L)->object));
    return 0;
}

/* ---- semaphores: any number at once; a big request is not starved by small ones behind it */

static struct shared* to_semaphore(lua_State* L) { return luaL_checkudata(L, 1, "eddy.semaphore"); }

static uint64_t permits(lua_State* L, int index) {
    const lua_Integer n = luaL_optinteger(L, index, 1);
    luaL_argcheck(L, n > 0, index, "a positive number of permits expected");
    return (uint64_t)n;
}

static int new_semaphore(lua_State* L) {
    const lua_Integer n = luaL_checkinteger(L, 1);
    struct shared* s;
    eddy_sem* sem;
    luaL_argcheck(L, n >= 0, 1, "negative number of permits");
    s = new_shared(L, "eddy.semaphore");
    eddy_lua_require(L, eddy_sem_new(s->rt->loop, (uint64_t)n, &sem));
    s->object = sem;
    return 1;
}

static int semaphore_acquire(lua_State* L) {
    struct shared* const s = to_semaphore(L);
    const uint64_t n = permits(L, 2);
    struct task* const here = eddy_lua_here(L, s->rt);
    return eddy_lua_await(L, here, eddy_sem_acquire(s->object, n), 0, eddy_lua_nothing);
}

static int semaphore_hold(lua_State* L) {
    struct shared* const s = to_semaphore(L);
    const uint64_t n = permits(L, 2);
    struct task* const here = eddy_lua_here(L, s->rt);
    push_guard(L);
    return eddy_lua_await(L, here, eddy_sem_acquire(s->object, n), (lua_KContext)n, held);
}

static int semaphore_try_acquire(lua_State* L) {
    return tried(L, eddy_sem_try_acquire(to_semaphore(L)->object, permits(L, 2)));
}

static int semaphore_release(lua_State* L) {
    eddy_lua_require(L, eddy_sem_release(to_semaphore(L)->object, permits(L, 2)));
    return 0;
}

/* ---- events */

static struct shared* to_event(lua_State* L) { return luaL_checkudata(L, 1, "eddy.event"); }

static int new_event(lua_State* L) {
    struct shared* const s = new_shared(L, "eddy.event");
    eddy_event* event;
    eddy_lua_require(L, eddy_event_new(s->rt->loop, &event));
    s->object = event;
    return 1;
}

static int event_wait(lua_State* L) {
    struct shared* const s = to_event(L);
    struct task* const here = eddy_lua_here(L, s->rt);
    return eddy_lua_await(L, here, eddy_event_wait(s->object), 0, eddy_lua_nothing);
}

static int event_set(lua_State* L) {
    eddy_event_set(to_event(L)->object);
    return 0;
}

static int event_clear(lua_State* L) {
    eddy_event_clear(to_event(L)->object);
    return 0;
}

static int event_is_set(lua_State* L) {
    lua_pushboolean(L, eddy_event_is_set(to_event(L)->object));
    return 1;
}

void eddy_lua_open_sync(lua_State* L) {
    static const luaL_Reg functions[] = {
        {"event", new_event},
        {"lock", new_lock},
        {"semaphore", new_semaphore},
        {NULL, NULL},
    };
    static const luaL_Reg guard[] = {{"release", let_go}, {NULL, NULL}};
    static const luaL_Reg lock[] = {
        {"acquire", lock_acquire},         {"hold", lock_hold}, {"release", lock_release},
        {"try_acquire", lock_try_acquire}, {NULL, NULL},
    };
    static const luaL_Reg semaphore[] = {
        {"acquire", semaphore_acquire},
        {"hold", semaphore_hold},
        {"release", semaphore_release},
        {"try_acquire", semaphore_try_acquire},
        {NULL, NULL},
    };
    static const luaL_Reg event[] = {
        {"clear", event_clear}, {"is_set", event_is_set}, {"set", event_set}, {"wait", event_wait}, {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
    eddy_lua_type(L, "eddy.guard", guard, let_go, let_go);
    eddy_lua_type(L, "eddy.lock", lock, collect, NULL);
    eddy_lua_type(L, "eddy.semaphore", semaphore, collect, NULL);
    eddy_lua_type(L, "eddy.event", event, collect, NULL);
}
