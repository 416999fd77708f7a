/* Inside of the Lua binding. See README.md for what it does, and module.c for how its parts fit together. */
#ifndef EDDY_LUA_H
#define EDDY_LUA_H

#include <eddy.h>
#include <lauxlib.h>
#include <lua.h>

/* What a Lua state has once: in its registry, as userdata. */
struct runtime {
    eddy_loop* loop;      /* while eddy.run() runs                                          */
    lua_State* from;      /* what called eddy.run()                                         */
    lua_State* scratch;   /* a thread that runs nothing: its stack is for callbacks of eddy */
    struct task* current; /* whose step runs                                                */
};

/* Userdata "eddy.task". User values: the coroutine (results and error stay on its stack, where the collector sees
 * them), and the group that it was spawned into. While eddy may still call the step, the registry holds the userdata.
 */
struct task {
    struct runtime* rt;
    eddy_op* op;
    eddy_op* awaited; /* while it waits                                         */
    eddy_task* step;  /* while its step runs                                    */
    lua_State* co;
    char* message; /* of its error, for people                               */
    int arguments; /* of the first resume                                    */
    int waiting;   /* it has yielded to wait                                 */
    int told;      /* groups whose members failed while it is in their block */
    int interrupt; /* its next wait is to end: it has not heard of that      */
    int results;   /* on top of the stack of `co`, when it has ended         */
    int failed;    /* then the one result is the error                       */
};

struct runtime* eddy_lua_runtime(lua_State* L);

/* The loop that runs, or a Lua error. */
eddy_loop* eddy_lua_loop(lua_State* L, struct runtime* rt);

/* The task that may wait here, or a Lua error (eddy.cancelled: a group wants it out of its block). To be asked before
 * what is waited for is made. */
struct task* eddy_lua_here(lua_State* L, struct runtime* rt);

/* Waits for the op (a reference of ours), then calls `k`, which asks eddy_lua_check() first. For `return`. */
int eddy_lua_await(lua_State* L, struct task* t, eddy_op* op, lua_KContext context, lua_KFunction k);
/* In `k`: the op that was awaited, which succeeded; else a Lua error. */
eddy_op* eddy_lua_check(lua_State* L, struct runtime* rt);
/* For what gives nothing. */
int eddy_lua_nothing(lua_State* L, int status, lua_KContext context);

/* A status as a Lua error: eddy.cancelled, eddy.timed_out, eddy.closed, "not enough memory", or a text. */
int eddy_lua_raise(lua_State* L, int status, const char* message);
/* For functions that return a status. */
void eddy_lua_require(lua_State* L, int status);
/* Whether the value on top is eddy.cancelled. */
int eddy_lua_is_cancelled(lua_State* L, int index);

/* Of seconds at `index`; none and math.huge are for ever. */
uint64_t eddy_lua_nanoseconds(lua_State* L, int index);

/* Makes a task of the function and its arguments, which are on top (they are popped), and pushes it. `group`: the index
 * of the group that it belongs to, or 0. */
struct task* eddy_lua_spawn(lua_State* L, struct runtime* rt, int group, int arguments);
/* Pushes what the task returned, and tells how many values; or raises its error. `status`: of the op that stands for
 * it. */
int eddy_lua_outcome(lua_State* L, struct task* t, int status, const char* message);

/* The task is cancelled where it waits, or at its next wait: it alone, once, not as by task:cancel(). */
void eddy_lua_interrupt(struct task* t);
/* The group of the task, if it has one, is told of its failure. Allocates nothing. */
void eddy_lua_group_failed(struct task* t);

/* Registers a type of userdata. */
void eddy_lua_type(lua_State* L, const char* name, const luaL_Reg* methods, lua_CFunction gc, lua_CFunction close);

void eddy_lua_open_tasks(lua_State* L);
void eddy_lua_open_combining(lua_State* L);
void eddy_lua_open_groups(lua_State* L);
void eddy_lua_open_queues(lua_State* L);
void eddy_lua_open_sync(lua_State* L);
void eddy_lua_open_offload(lua_State* L);

#endif
