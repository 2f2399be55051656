/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/backend/queue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PENDING_MAX 32768

void queue_init(Queue *queue, uint32_t index)
{
        *queue = (Queue){ .index = index, .kick_fd = -1, .call_fd = -1, .error_fd = -1 };
}

static void pending_clear(Queue *queue)
{
        for (uint32_t i = 0; i < queue->n_pending; i++)
                free(queue->pending[i].chain);
        free(queue->pending);
        queue->pending = NULL;
        queue->n_pending = 0;
}

void queue_clear(Queue *queue)
{
        pending_clear(queue);
        ring_close(&queue->ring);
        fd_closep(&queue->kick_fd);
        fd_closep(&queue->call_fd);
        fd_closep(&queue->error_fd);
        queue_init(queue, queue->index);
}

static void event_write(int fd)
{
        const uint64_t one = 1;

        if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
                perror("an event descriptor");
}

static void queue_break(Queue *queue, int error)
{
        fprintf(stderr, "the driver broke a ring: %s\n", strerror(-error));
        queue->broken = true;
        event_write(queue->error_fd);
}

static int pending_add(Queue *queue, const Chain *chain, uint64_t due_msec)
{
        Pending *pending;
        Chain *copy;

        if (queue->n_pending == PENDING_MAX)
                return -EPROTO;
        pending = realloc(queue->pending, (queue->n_pending + 1) * sizeof(*pending));
        if (!pending)
                return -ENOMEM;
        queue->pending = pending;
        copy = chain_copy(chain);
        if (!copy)
                return -ENOMEM;
        pending[queue->n_pending++] = (Pending){ .chain = copy, .due_msec = due_msec };
        return 0;
}

static void pending_remove(Queue *queue, uint32_t index)
{
        free(queue->pending[index].chain);
        queue->n_pending--;
        memmove(&queue->pending[index], &queue->pending[index + 1],
                (queue->n_pending - index) * sizeof(queue->pending[0]));
}

/* Requests that a backend before us had taken; they are due at once, in the order of then. */
static int inflight_resume(Queue *queue, const Memory *memory)
{
        _cleanup_free_ uint16_t *heads = calloc(queue->size, sizeof(*heads));
        _cleanup_free_ Chain *chain = malloc(sizeof(*chain));
        uint16_t n;
        int r = 0;

        if (!heads || !chain)
                return -ENOMEM;
        /* Before the first backend took anything, the frontend's base counts. */
        if (queue->inflight->version != 0)
                queue->ring.available = queue->ring.used;
        n = inflight_recover(queue->inflight, queue->size, queue->ring.used, heads);
        queue->ring.available = (uint16_t)(queue->ring.available + n);
        for (uint16_t i = 0; i < n && r == 0; i++) {
                r = ring_fetch(&queue->ring, memory, heads[i], chain);
                if (r == 0)
                        r = pending_add(queue, chain, 0);
        }
        return r;
}

int queue_start(Queue *queue, const Memory *memory, uint64_t features)
{
        int r = ring_open(&queue->ring, memory, &queue->address, queue->size, features,
                          queue->base);

        if (r < 0)
                return r;
        /* Only split rings are tracked. */
        if (queue->ring.packed)
                queue->inflight = NULL;
        if (queue->inflight && queue->size > queue->inflight_size)
                return -EINVAL;
        queue->started = true;
        queue->broken = false;
        queue->again = true;
        return queue->inflight ? inflight_resume(queue, memory) : 0;
}

/* Returns whether the request is done with; if not, it waits. */
static bool request_serve(Queue *queue, Personality *personality, const Memory *memory,
                          const Chain *chain)
{
        uint32_t written = 0;
        int r = personality->ops->serve(personality, queue->index, memory, chain, &written);

        if (r < 0)
                queue_break(queue, r);
        if (r != 0)
                return r < 0;
        if (queue->inflight)
                inflight_give(queue->inflight, chain->id);
        ring_push(&queue->ring, chain, written);
        if (queue->inflight)
                inflight_given(queue->inflight, chain->id, queue->ring.used);
        return true;
}

static void pending_serve(Queue *queue, Personality *personality, const Memory *memory,
                          uint64_t now_msec)
{
        for (uint32_t i = 0; i < queue->n_pending && !queue->broken;) {
                Pending *pending = &queue->pending[i];

                if (pending->due_msec > now_msec) {
                        i++;
                } else if (request_serve(queue, personality, memory, pending->chain)) {
                        pending_remove(queue, i);
                } else {
                        pending->due_msec = QUEUE_WAITS;
                        i++;
                }
        }
}

static uint64_t due_time(const Queue *queue, const QueuePolicy *policy, uint64_t now_msec)
{
        return now_msec + policy->delay_msec * (policy->shuffle ? 1 + queue->n_taken % 3 : 1);
}

/* Returns whether there may be more. */
static bool request_take(Queue *queue, Personality *personality, const Memory *memory,
                         const QueuePolicy *policy, uint64_t now_msec)
{
        static Chain chain;
        int r = ring_pop(&queue->ring, memory, &chain);

        if (r > 0 && queue->inflight)
                inflight_take(queue->inflight, chain.id);
        if (r > 0 && policy->delay_msec > 0)
                r = pending_add(queue, &chain, due_time(queue, policy, now_msec)) ?: 1;
        else if (r > 0 && !request_serve(queue, personality, memory, &chain))
                r = pending_add(queue, &chain, QUEUE_WAITS) ?: 1;
        queue->n_taken += r > 0;
        if (r < 0)
                queue_break(queue, r);
        return r > 0 && !queue->broken;
}

void queue_kicked(Queue *queue)
{
        uint64_t count;

        /* The count says nothing; reading only takes the event back. */
        if (read(queue->kick_fd, &count, sizeof(count)) < 0)
                fd_closep(&queue->kick_fd);
        queue->again = true;
}

static void requests_take(Queue *queue, Personality *personality, const Memory *memory,
                          const QueuePolicy *policy, uint64_t now_msec)
{
        uint32_t left = queue->size;

        ring_notify_disable(&queue->ring);
        while (left > 0 && request_take(queue, personality, memory, policy, now_msec))
                left--;
        queue->again = ring_notify_enable(&queue->ring);
}

void queue_serve(Queue *queue, Personality *personality, const Memory *memory,
                 const QueuePolicy *policy, uint64_t now_msec)
{
        if (!queue->started || !queue->enabled || queue->broken)
                return;
        /* What was resumed is older than what is taken now. */
        pending_serve(queue, personality, memory, now_msec);
        if (queue->again && !queue->broken)
                requests_take(queue, personality, memory, policy, now_msec);
        pending_serve(queue, personality, memory, now_msec);
        if (ring_wants_interrupt(&queue->ring))
                event_write(queue->call_fd);
}

void queue_wake(Queue *queue)
{
        for (uint32_t i = 0; i < queue->n_pending; i++) {
                if (queue->pending[i].due_msec == QUEUE_WAITS)
                        queue->pending[i].due_msec = 0;
        }
}

uint32_t queue_stop(Queue *queue, Personality *personality, const Memory *memory)
{
        uint32_t base = queue->base;

        if (queue->started) {
                pending_serve(queue, personality, memory, QUEUE_WAITS - 1);
                if (ring_wants_interrupt(&queue->ring))
                        event_write(queue->call_fd);
                base = ring_base(&queue->ring);
                if (!queue->ring.packed && !queue->inflight)
                        base = (uint16_t)(base - queue->n_pending);
        }
        pending_clear(queue);
        ring_close(&queue->ring);
        fd_closep(&queue->kick_fd);
        fd_closep(&queue->call_fd);
        queue->started = false;
        queue->again = false;
        queue->base = base;
        return base;
}

uint64_t queue_next_due(const Queue *queue)
{
        uint64_t due = UINT64_MAX;

        if (!queue->started || !queue->enabled || queue->broken)
                return UINT64_MAX;
        if (queue->again)
                return 0;
        for (uint32_t i = 0; i < queue->n_pending; i++)
                due = queue->pending[i].due_msec < due ? queue->pending[i].due_msec : due;
        return due;
}
