/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The process's event loop: descriptors that become readable, and timers. It is poll() and a list:
 * it takes no descriptor of its own, and no system call but the one that waits.
 */

#include <stdint.h>

#include "common/device-list.h"
#include "common/macros.h"

typedef struct Loop Loop;

/* Returns 0 or a negative errno. */
int loop_new(Loop **ret_loop) _warn_unused_;

/* All timers have to be off. NULL is fine. */
Loop *loop_free(Loop *loop);

static inline void loop_freep(Loop **loop)
{
        loop_free(*loop);
}

/*
 * The guest's requests, signals, and the messages of a reload; and of as many devices as a list
 * has, the calls, and the backend's connection, channel and process.
 */
#define LOOP_WATCHES_MAX (3 + 4 * DEVICE_LIST_MAX)

/* What is run, once a turn, when a watched descriptor is readable, or has an error. */
typedef void (*LoopReady)(void *userdata);

/*
 * Watches a descriptor, which stays the caller's, until loop_unwatch(), which has to come before it
 * is closed, and may come twice. Returns 0, or -ENOSPC.
 * These functions may be called at any time; ready is not run any more for what is not watched, or
 * not enabled.
 */
int loop_watch(Loop *loop, int fd, LoopReady ready, void *userdata) _warn_unused_;
void loop_unwatch(Loop *loop, int fd);

/* Lets a watched descriptor alone for some time. At first it is enabled. */
void loop_watch_enable(Loop *loop, int fd, bool enable);

/* Runs until loop_exit(), and returns 0 and what was said there; or a negative errno. */
int loop_run(Loop *loop, int *ret_code) _warn_unused_;

/* Ends loop_run(), now or as soon as it is called: nothing else is run. The latest code counts. */
void loop_exit(Loop *loop, int code);

/*
 * One turn: waits, if it is to, for the first descriptor or timer; runs what is ready of the
 * descriptors, and then one timer, so that neither can starve the other. Returns 1 if there may be
 * more to do at once, 0 if not, or a negative errno.
 */
int loop_turn(Loop *loop, bool wait) _warn_unused_;

/* CLOCK_MONOTONIC, microseconds. */
uint64_t loop_now(void);

/* A timer, which is its owner's to embed, and all zero until it is set up. */
typedef struct LoopTimer {
        Loop *loop; /* borrowed */
        void (*elapsed)(void *userdata);
        void *userdata;

        bool is_on; /* the loop's, as is what follows */
        uint64_t when_usec;
        struct LoopTimer *next;
} LoopTimer;

/* Sets up a timer, which is off. */
void loop_timer_init(LoopTimer *timer, Loop *loop, void (*elapsed)(void *userdata), void *userdata);

/*
 * Lets it elapse once, in so many microseconds, whatever it was set to; with 0 in the next turn. It
 * is never early, and late by a tick of the kernel's or two (4 ms each, at 250 Hz).
 */
void loop_timer_start(LoopTimer *timer, uint64_t usec);

/* Switches it off; to be done before it ceases to be. It may be off, or all zero. */
void loop_timer_stop(LoopTimer *timer);

/*
 * Tells systemd from time to time that the loop turns, if the unit has a watchdog. Returns 0 or a
 * negative errno.
 */
int loop_watchdog_start(Loop *loop) _warn_unused_;
