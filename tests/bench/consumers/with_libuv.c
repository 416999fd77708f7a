/* One producer, fifty consumers, a queue of ten, a time limit for each item: callbacks on libuv. */
#include "measure.h"

#include <uv.h>

enum { CAPACITY = 10 };

struct consumer {
    uv_timer_t work, limit;
    struct shared* shared;
    struct consumer* next; /* in the line of those that wait for an item */
    int closing;
};

struct shared {
    uv_loop_t loop;
    long queue[CAPACITY];
    int first, count;
    struct consumer *waiting, **last;
    long done, late, produced, items;
    uv_idle_t producer;
    int is_producing; /* or waits for room */
};

static void end_consumer(struct consumer* c);
static void handle_item(struct consumer* c);

static void wait_for_item(struct consumer* c) {
    struct shared* const s = c->shared;
    c->next = NULL;
    *s->last = c;
    s->last = &c->next;
}

static struct consumer* first_waiting(struct shared* s) {
    struct consumer* const c = s->waiting;
    if (c == NULL) return NULL;
    s->waiting = c->next;
    if (s->waiting == NULL) s->last = &s->waiting;
    return c;
}

static void produce(uv_idle_t* producer) {
    struct shared* const s = producer->data;
    struct consumer* c;
    while (s->produced < s->items) {
        if ((c = first_waiting(s)) != NULL) {
            s->produced++;
            handle_item(c);
        } else if (s->count < CAPACITY) {
            s->queue[(s->first + s->count++) % CAPACITY] = s->produced++;
        } else {
            s->is_producing = 0;
            uv_idle_stop(producer);
            return;
        }
    }
    s->is_producing = 0;
    uv_idle_stop(producer);
    if (!uv_is_closing((uv_handle_t*)producer)) uv_close((uv_handle_t*)producer, NULL);
    while ((c = first_waiting(s)) != NULL)
        end_consumer(c);
}

static void on_consumer_closed(uv_handle_t* handle) {
    struct consumer* const c = handle->data;
    if (--c->closing == 0) free(c);
}

static void end_consumer(struct consumer* c) {
    c->closing = 2;
    uv_close((uv_handle_t*)&c->work, on_consumer_closed);
    uv_close((uv_handle_t*)&c->limit, on_consumer_closed);
}

static void next_item(struct consumer* c) {
    struct shared* const s = c->shared;
    if (s->count > 0) {
        s->first = (s->first + 1) % CAPACITY;
        s->count--;
        handle_item(c);
        if (!s->is_producing && s->produced < s->items) {
            s->is_producing = 1;
            uv_idle_start(&s->producer, produce);
        }
    } else if (s->produced < s->items || s->is_producing) {
        wait_for_item(c);
    } else {
        end_consumer(c);
    }
}

static void on_work(uv_timer_t* timer) {
    struct consumer* const c = timer->data;
    uv_timer_stop(&c->limit);
    c->shared->done++;
    next_item(c);
}

static void on_limit(uv_timer_t* timer) {
    struct consumer* const c = timer->data;
    uv_timer_stop(&c->work);
    c->shared->late++;
    next_item(c);
}

static void handle_item(struct consumer* c) {
    uv_timer_start(&c->work, on_work, 0, 0);
    uv_timer_start(&c->limit, on_limit, 200, 0);
}

int main(int argc, char** argv) {
    struct measure m = measure_begin(argc, argv);
    struct shared s = {0};
    long i;
    s.items = m.items;
    s.last = &s.waiting;
    if (uv_loop_init(&s.loop) != 0) return 1;
    for (i = 0; i < m.consumers; i++) {
        struct consumer* const c = calloc(1, sizeof *c);
        if (c == NULL) return 1;
        c->shared = &s;
        uv_timer_init(&s.loop, &c->work);
        uv_timer_init(&s.loop, &c->limit);
        c->work.data = c->limit.data = c;
        wait_for_item(c);
    }
    measure_waiting(&m);
    uv_idle_init(&s.loop, &s.producer);
    s.producer.data = &s;
    s.is_producing = 1;
    uv_idle_start(&s.producer, produce);
    uv_run(&s.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&s.loop) != 0) return 1;
    return measure_end(&m, s.done);
}
