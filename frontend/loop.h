/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The process's event loop: sd-event, and a short way past it for what a guest's request takes. A
 * turn of sd-event costs more than all that is done for an access, and hardly any access concerns
 * it. So this waits for a few descriptors itself, and for sd-event's own, which is readable when
 * anything is to be dispatched there: timers, signals, the watchdog, backends.
 */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "common/device-list.h"
#include "common/macros.h"

typedef struct Loop Loop;

/* Returns 0 or a negative errno. */
int loop_new(Loop **ret_loop) _warn_unused_;
Loop *loop_free(Loop *loop);

static inline void loop_freep(Loop **loop)
{
        loop_free(*loop);
}

/* What all but the short way is registered with. Borrowed. */
sd_event *loop_event(const Loop *loop);

/* sd-event itself, the guest's requests, and the calls of as many devices as a list has. */
#define LOOP_WATCHES_MAX (2 + DEVICE_LIST_MAX)

/*
 * What is run when a watched descriptor is readable. It has to say what sd-event cannot know, as
 * timers are set, and what is put off is looked at, in sd-event's turn alone: true if it may have
 * changed any of its sources, or told it to exit. To say true without need costs some time, and
 * nothing else.
 */
typedef bool (*LoopReady)(void *userdata);

/*
 * Watches a descriptor, which stays the caller's, until loop_unwatch(). Returns 0, or -ENOSPC.
 * These functions may be called at any time; ready is not run any more for what is not watched, or
 * not enabled.
 */
int loop_watch(Loop *loop, int fd, LoopReady ready, void *userdata) _warn_unused_;
void loop_unwatch(Loop *loop, int fd);

/* Lets a watched descriptor alone for some time. At first it is enabled. */
void loop_watch_enable(Loop *loop, int fd, bool enable);

/*
 * Runs until somebody calls sd_event_exit(), and returns what was said there, or a negative errno.
 * Neither side can starve the other: both are looked at in each round.
 */
int loop_run(Loop *loop) _warn_unused_;

/*
 * CLOCK_MONOTONIC, microseconds. sd-event's own idea of the time is that of its latest turn, which
 * may have been long ago, so that nothing is measured by it, nor set relative to it.
 */
uint64_t loop_now(void);

/* Makes a timer of CLOCK_MONOTONIC that is off. Returns 0 or a negative errno. */
int loop_timer_new(Loop *loop, sd_event_time_handler_t elapsed, void *userdata,
                   sd_event_source **ret_timer) _warn_unused_;

/* Lets such a timer elapse once, in so many microseconds, whatever it was set to. */
void loop_timer_start(sd_event_source *timer, uint64_t usec);

/*
 * Tells systemd from time to time that the loop turns, if the unit has a watchdog. sd-event can do
 * that, too, but takes a descriptor of its own for it. Returns 0 or a negative errno.
 */
int loop_watchdog_start(Loop *loop) _warn_unused_;
