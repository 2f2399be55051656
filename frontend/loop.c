/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/loop.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <systemd/sd-daemon.h>
#include <time.h>

typedef struct Watch {
        int fd; /* -1: this place is free */
        LoopReady ready;
        void *userdata;
} Watch;

struct Loop {
        bool is_over;
        int code;               /* what was said then */
        LoopTimer *timers;      /* that are on, the earliest first */
        uint64_t watchdog_usec; /* 0: systemd does not want to hear of us */
        LoopTimer watchdog;
        unsigned int n; /* places that have been in use */
        Watch watches[LOOP_WATCHES_MAX];
        struct pollfd fds[LOOP_WATCHES_MAX]; /* theirs, or -1, which poll() passes over */
};

int loop_new(Loop **ret_loop)
{
        Loop *loop = calloc(1, sizeof(*loop));

        if (!loop)
                return -ENOMEM;
        *ret_loop = loop;
        return 0;
}

Loop *loop_free(Loop *loop)
{
        free(loop);
        return NULL;
}

static void place_set(Loop *loop, unsigned int place, int fd)
{
        loop->fds[place] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

/* The place of a descriptor; or of none: -1. loop->n, if there is none. */
static unsigned int place_find(const Loop *loop, int fd)
{
        unsigned int place = 0;

        while (place < loop->n && loop->watches[place].fd != fd)
                place++;
        return place;
}

int loop_watch(Loop *loop, int fd, LoopReady ready, void *userdata)
{
        const unsigned int place = place_find(loop, -1);

        if (place == LOOP_WATCHES_MAX)
                return -ENOSPC;
        if (place == loop->n)
                loop->n++;
        place_set(loop, place, fd);
        loop->watches[place] = (Watch){ .fd = fd, .ready = ready, .userdata = userdata };
        return 0;
}

void loop_unwatch(Loop *loop, int fd)
{
        const unsigned int place = place_find(loop, fd);

        if (place == loop->n)
                return;
        place_set(loop, place, -1);
        loop->watches[place].fd = -1;
}

void loop_watch_enable(Loop *loop, int fd, bool enable)
{
        const unsigned int place = place_find(loop, fd);

        if (place < loop->n)
                place_set(loop, place, enable ? fd : -1);
}

static uint64_t clock_read(clockid_t clock)
{
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t loop_now(void)
{
        return clock_read(CLOCK_MONOTONIC);
}

/*
 * How long to wait for the first timer, milliseconds; -1 without one. The clock that is a tick late
 * takes no system call, which the other one does with some of Xen's clock sources.
 */
static int timers_wait(const Loop *loop)
{
        uint64_t now, msec;

        if (!loop->timers)
                return -1;
        now = clock_read(CLOCK_MONOTONIC_COARSE);
        if (loop->timers->when_usec <= now)
                return 0;
        msec = (loop->timers->when_usec - now + 999) / 1000;
        return msec < INT_MAX ? (int)msec : INT_MAX;
}

/* Runs the first timer, if it has elapsed: no more, as one may start another. Returns whether. */
static bool timer_serve(Loop *loop)
{
        LoopTimer *timer = loop->timers;

        if (!timer || loop->is_over || timer->when_usec > loop_now())
                return false;
        loop_timer_stop(timer);
        timer->elapsed(timer->userdata);
        return true;
}

/* Serves n that are ready, at most: a place that changes meanwhile is not ready any more. */
static void watches_serve(Loop *loop, int n)
{
        for (unsigned int place = 0; n > 0 && place < loop->n && !loop->is_over; place++) {
                const Watch *watch = &loop->watches[place];

                if (loop->fds[place].revents == 0)
                        continue;
                n--;
                watch->ready(watch->userdata);
        }
}

int loop_turn(Loop *loop, bool wait)
{
        const int timeout = wait ? timers_wait(loop) : 0;
        const int n = poll(loop->fds, loop->n, timeout);
        bool elapsed = false;

        if (n < 0)
                return errno == EINTR ? 1 : -errno;
        watches_serve(loop, n);
        if (n == 0 || timeout == 0)
                elapsed = timer_serve(loop);
        return n > 0 || elapsed;
}

int loop_run(Loop *loop, int *ret_code)
{
        int r;

        while (!loop->is_over) {
                r = loop_turn(loop, true);
                if (r < 0)
                        return r;
        }
        *ret_code = loop->code;
        return 0;
}

void loop_exit(Loop *loop, int code)
{
        loop->is_over = true;
        loop->code = code;
}

void loop_timer_init(LoopTimer *timer, Loop *loop, void (*elapsed)(void *userdata), void *userdata)
{
        *timer = (LoopTimer){ .loop = loop, .elapsed = elapsed, .userdata = userdata };
}

void loop_timer_start(LoopTimer *timer, uint64_t usec)
{
        LoopTimer **place = &timer->loop->timers;

        loop_timer_stop(timer);
        timer->when_usec = usec == 0 ? 0 : loop_now() + usec;
        while (*place && (*place)->when_usec <= timer->when_usec)
                place = &(*place)->next;
        timer->next = *place;
        *place = timer;
        timer->is_on = true;
}

void loop_timer_stop(LoopTimer *timer)
{
        LoopTimer **place;

        if (!timer->is_on)
                return;
        place = &timer->loop->timers;
        while (*place != timer)
                place = &(*place)->next;
        *place = timer->next;
        timer->is_on = false;
}

static void watchdog_elapsed(void *userdata)
{
        Loop *loop = userdata;

        sd_notify(0, "WATCHDOG=1");
        loop_timer_start(&loop->watchdog, loop->watchdog_usec / 2);
}

int loop_watchdog_start(Loop *loop)
{
        int r = sd_watchdog_enabled(0, &loop->watchdog_usec);

        if (r <= 0)
                return r;
        loop_timer_init(&loop->watchdog, loop, watchdog_elapsed, loop);
        loop_timer_start(&loop->watchdog, 0);
        return 0;
}
