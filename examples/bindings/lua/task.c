/* Tasks: Lua coroutines as step functions, and eddy.run(), which runs them. */
#include "eddy_lua.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* ---- inside of the coroutine */

static int to_text(lua_State* L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* Called where the error is raised, with the stack still there: what went wrong, for people, becomes the message of the
 * op (shown when nobody awaits the task). The error itself stays what it is. */
static int describe(lua_State* L) {
    struct task* const t = eddy_lua_runtime(L)->current;
    const char* text;
    if (t == NULL || eddy_lua_is_cancelled(L, 1)) return 1;
    lua_pushcfunction(L, to_text); /* whose __tostring may fail, and is not to take the error's place */
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        lua_pop(L, 1);
        lua_pushliteral(L, "an error that can't be shown");
    }
    luaL_traceback(L, L, lua_tostring(L, -1), 1);
    text = lua_tostring(L, -1);
    free(t->message);
    t->message = malloc(strlen(text) + 1);
    if (t->message != NULL) strcpy(t->message, text);
    lua_settop(L, 1);
    return 1;
}

static int after_function(lua_State* L, int status, lua_KContext context) {
    struct task* const t = eddy_lua_runtime(L)->current;
    (void)context;
    if (status != LUA_OK && status != LUA_YIELD) {
        t->failed = 1;
        lua_insert(L, 1);
        lua_settop(L, 1);
        return 1;
    }
    return lua_gettop(L) - 1; /* but for the handler */
}

/* The coroutine's own function. Errors are caught inside, not by lua_resume: so what is to be closed on the way out may
 * wait. */
static int body(lua_State* L) {
    lua_pushcfunction(L, describe);
    lua_insert(L, 1);
    return after_function(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, after_function), 0);
}

static int step(eddy_task* task, void* user) {
    struct task* const t = user;
    struct runtime* const rt = t->rt;
    int results = 0, status;
    rt->current = t;
    t->step = task;
    t->waiting = 0;
    if (t->interrupt && t->awaited != NULL && eddy_op_status(t->awaited) == EDDY_ECANCELED)
        t->interrupt = 0; /* heard */
    t->awaited = NULL;
    status = lua_resume(t->co, rt->from, t->arguments, &results);
    t->arguments = 0;
    rt->current = NULL;
    t->step = NULL;
    if (status == LUA_YIELD) {
        /* coroutine.yield() in a task lets the others go; what it yields is nobody's. */
        lua_pop(t->co, results);
        return t->waiting ? EDDY_STEP_WAIT : EDDY_STEP_YIELD;
    }
    if (status != LUA_OK) t->failed = 1; /* no memory for the coroutine's own function */
    t->results = status == LUA_OK ? results : 1;
    if (!t->failed) return eddy_return(task, NULL, NULL);
    if (eddy_lua_is_cancelled(t->co, -1)) return eddy_fail(task, EDDY_ECANCELED, NULL);
    eddy_lua_group_failed(t);
    return eddy_fail(task, EDDY_EUSER, t->message);
}

void eddy_lua_interrupt(struct task* t) {
    t->interrupt = 1;
    if (t->awaited != NULL) eddy_op_cancel(t->awaited);
}

/* The task has ended, or the loop is closed: then what is to be closed in the coroutine is, without waiting. */
static void drop(void* user) {
    struct task* const t = user;
    lua_State* const L = t->rt->scratch;
    if (lua_status(t->co) == LUA_YIELD) lua_resetthread(t->co);
    free(t->message);
    t->message = NULL;
    t->awaited = NULL;
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, t); /* the collector's, from now on */
}

/* ---- for Lua */

struct task* eddy_lua_spawn(lua_State* L, struct runtime* rt, int group, int arguments) {
    struct task* t;
    lua_State* co;
    eddy_lua_loop(L, rt);
    luaL_checktype(L, -arguments - 1, LUA_TFUNCTION);
    t = lua_newuserdatauv(L, sizeof *t, 2);
    memset(t, 0, sizeof *t);
    t->rt = rt;
    luaL_setmetatable(L, "eddy.task");
    if (group != 0) {
        lua_pushvalue(L, group);
        lua_setiuservalue(L, -2, 2);
    }
    t->co = co = lua_newthread(L);
    lua_setiuservalue(L, -2, 1);
    lua_insert(L, -arguments - 2);
    if (!lua_checkstack(co, arguments + 2)) luaL_error(L, "too many arguments");
    lua_pushcfunction(co, body);
    lua_xmove(L, co, arguments + 1);
    t->arguments = arguments + 1;
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, t);
    t->op = eddy_spawn(rt->loop, step, t, drop);
    if (t->op == NULL) eddy_lua_raise(L, EDDY_ENOMEM, NULL);
    return t;
}

int eddy_lua_outcome(lua_State* L, struct task* t, int status, const char* message) {
    int i, n = t->results;
    /* Other failures are of what was made of the task: too late, cancelled, while it goes on. */
    if (status < 0 && !(status == EDDY_EUSER && t->failed)) return eddy_lua_raise(L, status, message);
    luaL_checkstack(L, n, "too many results");
    if (!lua_checkstack(t->co, n)) return luaL_error(L, "too many results");
    /* Copies: others may await it too. */
    for (i = 0; i < n; i++)
        lua_pushvalue(t->co, -n);
    lua_xmove(t->co, L, n);
    return t->failed ? lua_error(L) : n;
}

static struct task* to_task(lua_State* L, int index) { return luaL_checkudata(L, index, "eddy.task"); }

/* spawn(f, ...) */
static int spawn(lua_State* L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    eddy_lua_spawn(L, eddy_lua_runtime(L), 0, lua_gettop(L) - 1);
    return 1;
}

static int joined(lua_State* L, int status, lua_KContext context) {
    struct task* const t = to_task(L, 1);
    eddy_op* const op = eddy_task_awaited(t->rt->current->step);
    (void)status;
    (void)context;
    return eddy_lua_outcome(L, t, eddy_op_status(op), eddy_op_message(op));
}

/* task:await(): what the function returned; raises what it raised. As often as you like. */
static int await(lua_State* L) {
    struct task* const t = to_task(L, 1);
    const int status = eddy_op_status(t->op);
    lua_settop(L, 1);
    if (status != EDDY_PENDING) return eddy_lua_outcome(L, t, status, eddy_op_message(t->op));
    return eddy_lua_await(L, eddy_lua_here(L, t->rt), eddy_op_join(t->op), 0, joined);
}

static int cancel(lua_State* L) {
    eddy_op_cancel(to_task(L, 1)->op);
    return 0;
}

static int is_done(lua_State* L) {
    lua_pushboolean(L, eddy_op_status(to_task(L, 1)->op) != EDDY_PENDING);
    return 1;
}

/* task:name([new]) */
static int name(lua_State* L) {
    struct task* const t = to_task(L, 1);
    if (!lua_isnoneornil(L, 2)) eddy_lua_require(L, eddy_op_set_name(t->op, luaL_checkstring(L, 2)));
    lua_pushstring(L, eddy_op_name(t->op));
    return 1;
}

static int collect_task(lua_State* L) {
    struct task* const t = to_task(L, 1);
    eddy_unref(t->op);
    t->op = NULL;
    return 0;
}

static int current(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    if (rt->current == NULL) return 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, rt->current);
    return 1;
}

/* dump(): a tree of all tasks, as text. The lines come while eddy holds its own data: they are collected without Lua.
 */
struct lines {
    char* text;
    size_t used, size;
};

static void add_line(const char* line, void* user) {
    struct lines* const l = user;
    const size_t n = strlen(line) + 1;
    if (l->text == NULL) {
        l->size += n; /* the first time: how much room it takes */
    } else if (l->used + n <= l->size) {
        memcpy(l->text + l->used, line, n - 1);
        l->used += n;
        l->text[l->used - 1] = '\n';
    }
}

static int dump(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    struct lines l = {NULL, 0, 0};
    eddy_lua_require(L, eddy_loop_dump(eddy_lua_loop(L, rt), add_line, &l));
    l.text = lua_newuserdatauv(L, l.size + 1, 0);
    eddy_lua_require(L, eddy_loop_dump(rt->loop, add_line, &l));
    lua_pushlstring(L, l.text, l.used);
    return 1;
}

/* ---- running */

/* Ctrl-C. One loop of the process has it: the first that runs. */
static eddy_loop* volatile interruptible;
static volatile sig_atomic_t interrupts;

static void interrupt(int number) {
    (void)number;
    interrupts++;
    eddy_loop_stop(interruptible);
}

/* Until the main task has ended. The first Ctrl-C cancels it, the second does not wait for it. */
static int run_main(eddy_loop* loop, eddy_op* main_op) {
    int seen = 0;
    for (;;) {
        const int status = eddy_loop_run_until(loop, main_op, EDDY_FOREVER);
        if (interruptible != loop || interrupts == seen || eddy_op_status(main_op) != EDDY_PENDING) return status;
        seen = interrupts;
        if (seen > 1) return status;
        eddy_op_cancel(main_op);
    }
}

/* run(f, ...): runs the function as a task on a loop of its own, cancels what it left behind and waits for that, at
 * most five seconds; then returns what the function returned, or raises what it raised. */
static int run(lua_State* L) {
    struct runtime* const rt = eddy_lua_runtime(L);
    struct sigaction before, ours;
    struct task* t;
    int status, interrupted = 0, mine;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (rt->loop != NULL) return luaL_error(L, "eddy.run() inside of eddy.run()");
    eddy_lua_require(L, eddy_loop_new(NULL, &rt->loop));
    rt->from = L;

    /* Lua's errors (no memory) must not leave the loop behind: the task is made in a protected call. */
    lua_pushcfunction(L, spawn);
    lua_insert(L, 1);
    status = lua_pcall(L, lua_gettop(L) - 1, 1, 0);
    t = status == LUA_OK ? lua_touserdata(L, -1) : NULL;
    if (t != NULL) {
        mine = interruptible == NULL;
        if (mine) {
            interrupts = 0;
            interruptible = rt->loop;
            memset(&ours, 0, sizeof ours);
            ours.sa_handler = interrupt;
            sigemptyset(&ours.sa_mask);
            sigaction(SIGINT, &ours, &before);
        }
        status = run_main(rt->loop, t->op);
        interrupted = mine && interrupts > 0;
        while (eddy_loop_close(rt->loop, interrupts > 1 && mine ? 0 : EDDY_SEC(5)) == EDDY_EBUSY) {
        } /* an offloaded function still runs */
        if (mine) {
            sigaction(SIGINT, &before, NULL);
            interruptible = NULL;
        }
    } else {
        eddy_loop_close(rt->loop, 0);
    }
    eddy_unref(rt->loop);
    rt->loop = NULL;
    rt->from = NULL;
    if (t == NULL) return lua_error(L);
    if (interrupted && (status == EDDY_ECANCELED || status == EDDY_ECLOSED)) return luaL_error(L, "interrupted!");
    if (status == EDDY_EDEADLK) return luaL_error(L, "eddy: nothing can finish the main task any more");
    return eddy_lua_outcome(L, t, eddy_op_status(t->op), eddy_op_message(t->op));
}

void eddy_lua_open_tasks(lua_State* L) {
    static const luaL_Reg functions[] = {
        {"current", current}, {"dump", dump}, {"run", run}, {"spawn", spawn}, {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"await", await}, {"cancel", cancel}, {"done", is_done}, {"name", name}, {NULL, NULL},
    };
    luaL_setfuncs(L, functions, 0);
    eddy_lua_type(L, "eddy.task", methods, collect_task, NULL);
}
