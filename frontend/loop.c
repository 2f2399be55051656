/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/loop.h"

#include <errno.h>
#include <poll.h>
#include <systemd/sd-daemon.h>
#include <time.h>

typedef struct Watch {
        int fd; /* -1: this place is free */
        LoopReady ready;
        void *userdata;
} Watch;

struct Loop {
        sd_event *event;
        uint64_t watchdog_usec; /* 0: systemd does not want to hear of us */
        sd_event_source *watchdog;
        unsigned int n; /* places that have been in use */
        Watch watches[LOOP_WATCHES_MAX];
        struct pollfd fds[LOOP_WATCHES_MAX]; /* theirs, or -1, which poll() passes over */
};

static void place_set(Loop *loop, unsigned int place, int fd)
{
        loop->fds[place] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

/* Something is to be dispatched. */
static bool event_ready(void *userdata _unused_)
{
        return true;
}

int loop_new(Loop **ret_loop)
{
        _cleanup_(loop_freep) Loop *loop = calloc(1, sizeof(*loop));
        int r;

        if (!loop)
                return -ENOMEM;
        r = sd_event_new(&loop->event);
        if (r < 0)
                return r;
        r = loop_watch(loop, sd_event_get_fd(loop->event), event_ready, NULL);
        if (r < 0)
                return r;
        *ret_loop = steal_pointer(loop);
        return 0;
}

Loop *loop_free(Loop *loop)
{
        if (!loop)
                return NULL;
        sd_event_source_disable_unref(loop->watchdog);
        sd_event_unref(loop->event);
        free(loop);
        return NULL;
}

sd_event *loop_event(const Loop *loop)
{
        return loop->event;
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

/*
 * Waits, if it is to, and runs what is ready; a place that changes meanwhile is not. Returns
 * whether it is sd-event's turn, or a negative errno.
 */
static int watches_serve(Loop *loop, bool wait)
{
        bool is_turn = false;

        if (poll(loop->fds, loop->n, wait ? -1 : 0) < 0)
                return errno == EINTR ? 1 : -errno;
        for (unsigned int place = 0; place < loop->n; place++) {
                const Watch *watch = &loop->watches[place];

                if (loop->fds[place].revents != 0 && watch->ready(watch->userdata))
                        is_turn = true;
        }
        return is_turn;
}

/*
 * One turn of sd-event, as sd_event_run() does it, but for the waiting. Returns 0, or a negative
 * errno.
 */
static int turn_run(Loop *loop)
{
        sd_event *event = loop->event;
        int pending, r;

        pending = sd_event_prepare(event); /* sets the timers */
        if (pending < 0)
                return pending;
        do
                r = watches_serve(loop, pending == 0);
        while (r == 0 && pending == 0);
        if (r < 0)
                return r;
        if (pending == 0)
                pending = sd_event_wait(event, 0);
        if (pending > 0)
                pending = sd_event_dispatch(event);
        return pending < 0 ? pending : 0;
}

int loop_run(Loop *loop)
{
        int r, code = 0;

        while (sd_event_get_state(loop->event) != SD_EVENT_FINISHED) {
                r = turn_run(loop);
                if (r < 0)
                        return r;
        }
        r = sd_event_get_exit_code(loop->event, &code);
        return r < 0 ? r : code;
}

uint64_t loop_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* As exact as a deadline has to be. */
#define TIMER_ACCURACY_USEC 1000

int loop_timer_new(Loop *loop, sd_event_time_handler_t elapsed, void *userdata,
                   sd_event_source **ret_timer)
{
        sd_event_source *timer;
        int r = sd_event_add_time(loop->event, &timer, CLOCK_MONOTONIC, 0, TIMER_ACCURACY_USEC,
                                  elapsed, userdata);

        if (r < 0)
                return r;
        sd_event_source_set_enabled(timer, SD_EVENT_OFF);
        *ret_timer = timer;
        return 0;
}

void loop_timer_start(sd_event_source *timer, uint64_t usec)
{
        sd_event_source_set_time(timer, loop_now() + usec);
        sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static int watchdog_elapsed(sd_event_source *timer, uint64_t usec _unused_, void *userdata)
{
        const Loop *loop = userdata;

        sd_notify(0, "WATCHDOG=1");
        loop_timer_start(timer, loop->watchdog_usec / 2);
        return 0;
}

int loop_watchdog_start(Loop *loop)
{
        int r = sd_watchdog_enabled(0, &loop->watchdog_usec);

        if (r <= 0)
                return r;
        r = loop_timer_new(loop, watchdog_elapsed, loop, &loop->watchdog);
        if (r >= 0)
                loop_timer_start(loop->watchdog, 0);
        return r;
}
