/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One queue at work: a ring, its descriptors, and the requests that were taken from it. A request
 * is served when it is due, which is at once unless the backend was told to be slow.
 */

#include "tests/backend/inflight.h"
#include "tests/backend/personality.h"
#include "tests/backend/ring.h"

#define QUEUE_WAITS UINT64_MAX

/* How requests are handled, for tests that want some in flight. */
typedef struct QueuePolicy {
        uint32_t delay_msec; /* from taking a request to serving it */
        bool shuffle;        /* twice and three times as much later for two out of three */
} QueuePolicy;

typedef struct Pending {
        Chain *chain;
        uint64_t due_msec; /* CLOCK_MONOTONIC; QUEUE_WAITS: when queue_wake() says so */
} Pending;

typedef struct Queue {
        uint32_t index;

        /* As the frontend set it. */
        uint16_t size;
        uint32_t base;
        WireAddress address;
        int kick_fd, call_fd, error_fd; /* owned; -1: none */
        bool enabled;
        InflightQueue *inflight; /* borrowed; NULL: not tracked */
        uint16_t inflight_size;  /* of how many descriptors it can tell */

        Ring ring;
        bool started;
        bool broken; /* the driver broke a rule: nothing more is done until the ring stops */
        bool again;  /* there may be requests to be taken, because of a kick or without one */
        Pending *pending;
        uint32_t n_pending;
        uint32_t n_taken; /* so many ever were */
} Queue;

void queue_init(Queue *queue, uint32_t index);
/* Stops it, without serving what is pending, and forgets all that was set. */
void queue_clear(Queue *queue);

/* Starts the ring by the driver's features. What was in flight is taken again. 0 or an errno. */
int queue_start(Queue *queue, const Memory *memory, uint64_t features) _warn_unused_;
/*
 * Serves what is pending, stops, and returns the base for the next start. Requests that wait are
 * left to it: their inflight area has them, and without one the ring, if they are its last ones.
 */
uint32_t queue_stop(Queue *queue, Personality *personality, const Memory *memory);

/* The kick descriptor is readable. */
void queue_kicked(Queue *queue);

/*
 * Takes requests if the driver has said that there are some, at most a ring full at a time, and
 * serves what is due. Without a kick nothing is taken, so that a lost one is not made up for.
 */
void queue_serve(Queue *queue, Personality *personality, const Memory *memory,
                 const QueuePolicy *policy, uint64_t now_msec);

/* Requests that wait are to be served again. */
void queue_wake(Queue *queue);

/* The time when there is something to do next; UINT64_MAX if there is nothing. */
uint64_t queue_next_due(const Queue *queue);
