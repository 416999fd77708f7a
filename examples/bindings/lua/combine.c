/* Several things at once, and things with a limit. What may be given: a function, which becomes a task that belongs to
 * the whole; or a task, which stays yours and goes on when the whole is cancelled. */
#include "eddy_lua.h"

static void check_parts(lua_State* L, int n) {
    int i;
    for (i = 1; i <= n; i++)
        if (!lua_isfunction(L, i)) luaL_checkudata(L, i, "eddy.task");
}

/* The op of a task that is on top, for what takes it: the task's own, or that of a join. */
static eddy_op* op_of(const struct task* t, int own) { return own ? eddy_ref(t->op) : eddy_op_join(t->op); }

/* The arguments, all functions and tasks, become a table of tasks, alone on the stack, and an array of ops. */
static eddy_op** take_parts(lua_State* L, struct runtime* rt, int n) {
    eddy_op** ops;
    int i;
    ops = lua_newuserdatauv(L, (size_t)n * sizeof *ops + 1, 0);
    lua_createtable(L, n, 0);
    for (i = 1; i <= n; i++) {
        lua_pushvalue(L, i);
        if (lua_isfunction(L, i)) eddy_lua_spawn(L, rt, 0, 0);
        lua_rawseti(L, n + 2, i);
    }
    /* From here on nothing can fail in Lua: the references would be lost. */
    for (i = 1; i <= n; i++) {
        lua_rawgeti(L, n + 2, i);
        ops[i - 1] = op_of(lua_touserdata(L, -1), lua_isfunction(L, i));
        lua_pop(L, 1);
    }
    lua_rotate(L, 1, 2); /* the array and the table to the bottom */
    lua_settop(L, 2);
    return ops;
}

static struct task* part(lua_State* L, lua_Integer i) {
    struct task* t;
    lua_rawgeti(L, 2, i);
    t = lua_touserdata(L, -1);
    lua_pop(L, 1); /* the table keeps it */
    return t;
}

static int gathered(lua_State* L, int resumed, lua_KContext n) {
    eddy_op* const op = eddy_task_awaited(eddy_lua_runtime(L)->current->step);
    const int status = eddy_op_status(op);
    int i;
    (void)resumed;
    if (status < 0) {
        const int64_t failed = eddy_op_number(op);
        if (failed >= n) return eddy_lua_raise(L, status, eddy_op_message(op));
        return eddy_lua_outcome(L, part(L, failed + 1), status, eddy_op_message(op));
    }
    luaL_checkstack(L, (int)n, "too many results");
    for (i = 1; i <= n; i++) {
        eddy_lua_outcome(L, part(L, i), EDDY_OK, NULL);
        lua_settop(L, 2 + i); /* the first result, or nil */
    }
    return (int)n;
}

/* gather(...): all at once; the first result of each. The first error cancels the rest, which are waited for, and is
 * raised. */
static int gather(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    const int n = lua_gettop(L);
    struct task* const here = eddy_lua_here(L, rt);
    eddy_op** ops;
    check_parts(L, n);
    ops = take_parts(L, rt, n);
    return eddy_lua_await(L, here, eddy_gather(rt->loop, ops, (size_t)n, 0), n, gathered);
}

static int raced(lua_State* L, int resumed, lua_KContext n) {
    eddy_op* const op = eddy_task_awaited(eddy_lua_runtime(L)->current->step);
    const int status = eddy_op_status(op);
    const int64_t winner = eddy_op_number(op);
    (void)resumed;
    if (status < 0 && winner >= n) return eddy_lua_raise(L, status, eddy_op_message(op));
    lua_pushinteger(L, winner + 1);
    return 1 + eddy_lua_outcome(L, part(L, winner + 1), status, eddy_op_message(op));
}

/* race(...): the first to end: its index and its results, or its error. The others are cancelled and waited for. */
static int race(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    const int n = lua_gettop(L);
    struct task* const here = eddy_lua_here(L, rt);
    eddy_op** ops;
    luaL_argcheck(L, n > 0, 1, "function or task expected");
    check_parts(L, n);
    ops = take_parts(L, rt, n);
    return eddy_lua_await(L, here, eddy_race(rt->loop, ops, (size_t)n), n, raced);
}

static int outcome_of_the_first(lua_State* L, int resumed, lua_KContext context) {
    eddy_op* const op = eddy_task_awaited(eddy_lua_runtime(L)->current->step);
    (void)resumed;
    (void)context;
    return eddy_lua_outcome(L, lua_touserdata(L, 1), eddy_op_status(op), eddy_op_message(op));
}

/* A function and its arguments, or a task, from index 1 on, become a task at index 1, and its op. */
static eddy_op* take_one(lua_State* L, struct runtime* rt) {
    const int own = lua_isfunction(L, 1);
    if (own)
        eddy_lua_spawn(L, rt, 0, lua_gettop(L) - 1);
    else
        luaL_checkudata(L, 1, "eddy.task");
    lua_settop(L, 1);
    return op_of(lua_touserdata(L, 1), own);
}

/* timeout(seconds, f, ...): what f returns; raises eddy.timed_out when it has not ended in time, after it was cancelled
 * and has ended. */
static int timeout(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    const uint64_t limit = eddy_lua_nanoseconds(L, 1);
    struct task* const here = eddy_lua_here(L, rt);
    lua_remove(L, 1);
    return eddy_lua_await(L, here, eddy_op_timeout(take_one(L, rt), limit), 0, outcome_of_the_first);
}

/* shield(f, ...): what f returns. Cancelling who waits leaves f alone. */
static int shield(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    struct task* const here = eddy_lua_here(L, rt);
    return eddy_lua_await(L, here, eddy_op_shield(take_one(L, rt)), 0, outcome_of_the_first);
}

void eddy_lua_open_combining(lua_State* L) {
    static const luaL_Reg functions[] = {
        {"gather", gather}, {"race", race}, {"shield", shield}, {"timeout", timeout}, {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
}
