/* What the three programs share, and what is not counted among their lines: the clock, the resident set, the report. */
#ifndef EDDY_BENCH_MEASURE_H
#define EDDY_BENCH_MEASURE_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct measure {
    long items, consumers;
    long memory; /* bytes: before the consumers, then what they took */
    double began;
};

static double cpu_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static long resident_bytes(void) {
    long size = 0, resident = 0;
    FILE* const f = fopen("/proc/self/statm", "r");
    if (f != NULL) {
        if (fscanf(f, "%ld %ld", &size, &resident) != 2) resident = 0;
        fclose(f);
    }
    return resident * sysconf(_SC_PAGESIZE);
}

/* PROGRAM [ITEMS [CONSUMERS]] */
static struct measure measure_begin(int argc, char** argv) {
    struct measure m;
    m.items = argc > 1 ? atol(argv[1]) : 1000000;
    m.consumers = argc > 2 ? atol(argv[2]) : 50;
    m.memory = resident_bytes();
    m.began = 0;
    return m;
}

/* All consumers wait; nothing is produced yet. */
static void measure_waiting(struct measure* m) {
    m->memory = resident_bytes() - m->memory;
    m->began = cpu_nanoseconds();
}

/* Prints nanoseconds an item, bytes a consumer, and how many items were done in time. */
static int measure_end(const struct measure* m, long done) {
    const double took = cpu_nanoseconds() - m->began;
    printf("%.1f %.1f %ld\n", took / (double)m->items, (double)m->memory / (double)m->consumers, done);
    return done == m->items ? 0 : 1;
}

#endif
