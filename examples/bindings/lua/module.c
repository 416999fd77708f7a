/* The Lua binding: the module, its errors, and how a task waits.
 *
 * Rules that all of it keeps:
 * - lua_error and lua_yield are longjmps. They never leave a callback of eddy (a step, a drop): a step is one
 * lua_resume, which catches both. In functions that Lua calls, memory of Lua is allocated first and the call of eddy
 * comes last, so that an error for want of memory leaves nothing of eddy's behind.
 * - Callbacks of eddy allocate nothing in Lua.
 * - Lua values are held where Lua's collector sees them, never through eddy: a value that leads back to what holds it
 * would not be collected.
 */
#include "eddy_lua.h"

#include <math.h>
#include <string.h>

static const char runtime_key = 'r';
static const char cancelled_key = 'c';
static const char timed_out_key = 't';
static const char closed_key = 'q';

struct runtime* eddy_lua_runtime(lua_State* L) {
    struct runtime* rt;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &runtime_key);
    rt = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return rt;
}

eddy_loop* eddy_lua_loop(lua_State* L, struct runtime* rt) {
    if (rt->loop == NULL) luaL_error(L, "eddy: nothing runs; call this inside of eddy.run()");
    return rt->loop;
}

/* ---- errors */

int eddy_lua_raise(lua_State* L, int status, const char* message) {
    switch (status) {
    case EDDY_ECANCELED:
        lua_rawgetp(L, LUA_REGISTRYINDEX, &cancelled_key);
        break;
    case EDDY_ETIMEDOUT:
        lua_rawgetp(L, LUA_REGISTRYINDEX, &timed_out_key);
        break;
    case EDDY_ECLOSED:
        lua_rawgetp(L, LUA_REGISTRYINDEX, &closed_key);
        break;
    case EDDY_ENOMEM:
        lua_pushliteral(L, "not enough memory");
        break;
    default:
        lua_pushfstring(L, "eddy: %s", message != NULL && *message != 0 ? message : eddy_strerror(status));
    }
    return lua_error(L);
}

void eddy_lua_require(lua_State* L, int status) {
    if (status < 0) eddy_lua_raise(L, status, NULL);
}

int eddy_lua_is_cancelled(lua_State* L, int index) {
    int is;
    index = lua_absindex(L, index);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &cancelled_key);
    is = lua_rawequal(L, -1, index);
    lua_pop(L, 1);
    return is;
}

static int error_name(lua_State* L) {
    lua_getfield(L, 1, "name");
    return 1;
}

/* A value that is like no other, and says its name. */
static void new_error(lua_State* L, const char* name, const void* key) {
    lua_createtable(L, 0, 1);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    luaL_setmetatable(L, "eddy.error");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
    lua_setfield(L, -2, name);
}

/* pcall(f, ...) that lets cancellation through: for what handles errors and goes on. */
static int after_pcall(lua_State* L, int status, lua_KContext context) {
    (void)context;
    if (status != LUA_OK && status != LUA_YIELD) {
        if (eddy_lua_is_cancelled(L, -1)) return lua_error(L);
        lua_pushboolean(L, 0);
        lua_insert(L, -2);
        return 2;
    }
    return lua_gettop(L); /* `true` and the results */
}

static int pcall(lua_State* L) {
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return after_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, after_pcall), 0);
}

/* ---- waiting */

struct task* eddy_lua_here(lua_State* L, struct runtime* rt) {
    struct task* const t = rt->current;
    if (t == NULL) luaL_error(L, "eddy: only a task can wait; call this inside of eddy.run()");
    if (t->co != L) luaL_error(L, "eddy: a coroutine inside of a task can't wait; spawn a task for it");
    if (!lua_isyieldable(L)) luaL_error(L, "eddy: can't wait across a C function (a sort, a gsub, a finalizer)");
    if (t->interrupt) {
        t->interrupt = 0;
        eddy_lua_raise(L, EDDY_ECANCELED, NULL);
    }
    return t;
}

int eddy_lua_await(lua_State* L, struct task* t, eddy_op* op, lua_KContext context, lua_KFunction k) {
    if (eddy_await(t->step, op, 0) == EDDY_STEP_WAIT) {
        t->waiting = 1;
        t->awaited = op; /* the task's, until it awaits again */
        return lua_yieldk(L, 0, context, k);
    }
    return k(L, LUA_YIELD, context);
}

eddy_op* eddy_lua_check(lua_State* L, struct runtime* rt) {
    eddy_op* const op = eddy_task_awaited(rt->current->step);
    const int status = eddy_op_status(op);
    if (status < 0) eddy_lua_raise(L, status, eddy_op_message(op));
    return op;
}

int eddy_lua_nothing(lua_State* L, int status, lua_KContext context) {
    (void)status;
    (void)context;
    eddy_lua_check(L, eddy_lua_runtime(L));
    return 0;
}

uint64_t eddy_lua_nanoseconds(lua_State* L, int index) {
    const lua_Number seconds = luaL_optnumber(L, index, HUGE_VAL);
    luaL_argcheck(L, seconds == seconds, index, "not a number of seconds");
    if (seconds <= 0) return 0;
    return seconds < 1.8e10 ? (uint64_t)(seconds * 1e9) : EDDY_FOREVER; /* 570 years */
}

/* sleep([seconds]) */
static int l_sleep(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    const uint64_t duration = eddy_lua_nanoseconds(L, 1);
    struct task* const t = eddy_lua_here(L, rt);
    return eddy_lua_await(L, t, eddy_sleep(rt->loop, duration), 0, eddy_lua_nothing);
}

static int ready(lua_State* L, int status, lua_KContext context) {
    int64_t events;
    (void)status;
    (void)context;
    events = eddy_op_number(eddy_lua_check(L, eddy_lua_runtime(L)));
    lua_pushboolean(L, (events & EDDY_READABLE) != 0);
    lua_pushboolean(L, (events & EDDY_WRITABLE) != 0);
    return 2;
}

/* wait_fd(descriptor, "r" | "w" | "rw"): readable, writable. For other libraries' sockets (luasocket's getfd()). */
static int wait_fd(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    const lua_Integer fd = luaL_checkinteger(L, 1);
    const char* const mode = luaL_optstring(L, 2, "r");
    struct task* const t = eddy_lua_here(L, rt);
    uint32_t events = 0;
    if (strchr(mode, 'r') != NULL) events |= EDDY_READABLE;
    if (strchr(mode, 'w') != NULL) events |= EDDY_WRITABLE;
    luaL_argcheck(L, events != 0, 2, "'r', 'w' or 'rw' expected");
    return eddy_lua_await(L, t, eddy_fd_wait(rt->loop, (intptr_t)fd, events), 0, ready);
}

static int now(lua_State* L) {
    lua_pushnumber(L, (lua_Number)eddy_loop_now(eddy_lua_loop(L, eddy_lua_runtime(L))) / 1e9);
    return 1;
}

/* ---- the module */

void eddy_lua_type(lua_State* L, const char* name, const luaL_Reg* methods, lua_CFunction gc, lua_CFunction close) {
    luaL_newmetatable(L, name);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    if (close != NULL) {
        lua_pushcfunction(L, close);
        lua_setfield(L, -2, "__close");
    }
    lua_pop(L, 1);
}

LUAMOD_API int luaopen_eddy(lua_State* L);
LUAMOD_API int luaopen_eddy(lua_State* L) {
    static const luaL_Reg functions[] = {
        {"now", now}, {"pcall", pcall}, {"sleep", l_sleep}, {"wait_fd", wait_fd}, {NULL, NULL},
    };
    struct runtime* rt;
    luaL_checkversion(L);
    luaL_newlib(L, functions);
    if (eddy_lua_runtime(L) == NULL) {
        rt = lua_newuserdatauv(L, sizeof *rt, 1);
        memset(rt, 0, sizeof *rt);
        rt->scratch = lua_newthread(L);
        luaL_checkstack(rt->scratch, LUA_MINSTACK, NULL);
        lua_setiuservalue(L, -2, 1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &runtime_key);
    }
    if (luaL_newmetatable(L, "eddy.error")) {
        lua_pushcfunction(L, error_name);
        lua_setfield(L, -2, "__tostring");
    }
    lua_pop(L, 1);
    new_error(L, "cancelled", &cancelled_key);
    new_error(L, "timed_out", &timed_out_key);
    new_error(L, "closed", &closed_key);
    eddy_lua_open_tasks(L);
    eddy_lua_open_combining(L);
    eddy_lua_open_groups(L);
    eddy_lua_open_queues(L);
    eddy_lua_open_sync(L);
    eddy_lua_open_offload(L);
    return 1;
}
