/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/backend/inflight.h"

#include <string.h>

#define VERSION 1
#define ALIGN   64
/* A descriptor of a packed ring takes twice as much; the head of its part 16 bytes more. */
#define PACKED_DESCRIPTOR 32
#define PACKED_HEAD       32

_Static_assert(sizeof(InflightDescriptor) == 16, "DescStateSplit");
_Static_assert(offsetof(InflightQueue, desc) == 16, "QueueRegionSplit");

/* A kill leaves memory as the program had it at some point: only the compiler must keep order. */
#define ORDERED() __atomic_signal_fence(__ATOMIC_SEQ_CST)

size_t inflight_queue_bytes(uint16_t queue_size)
{
        const size_t size = PACKED_HEAD + (size_t)queue_size * PACKED_DESCRIPTOR;

        return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static uint64_t counter_next(const InflightQueue *queue)
{
        uint64_t next = 0;

        for (uint16_t i = 0; i < queue->desc_num; i++) {
                if (queue->desc[i].inflight && queue->desc[i].counter >= next)
                        next = queue->desc[i].counter + 1;
        }
        return next;
}

/* The last batch reached the driver, but its requests are still marked. */
static void batch_finish(InflightQueue *queue, uint16_t used_index)
{
        uint16_t n = (uint16_t)(used_index - queue->used_idx);
        uint16_t head = queue->last_batch_head;

        for (; n > 0 && head < queue->desc_num; n--) {
                queue->desc[head].inflight = 0;
                head = queue->desc[head].next;
        }
        ORDERED();
        queue->used_idx = used_index;
}

static void heads_sort(const InflightQueue *queue, uint16_t *heads, uint16_t n)
{
        for (uint16_t i = 1; i < n; i++) {
                const uint16_t head = heads[i];
                uint16_t place = i;

                for (;
                     place > 0 && queue->desc[heads[place - 1]].counter > queue->desc[head].counter;
                     place--)
                        heads[place] = heads[place - 1];
                heads[place] = head;
        }
}

uint16_t inflight_recover(InflightQueue *queue, uint16_t size, uint16_t used_index,
                          uint16_t *ret_heads)
{
        uint16_t n = 0;

        if (queue->version != VERSION || queue->desc_num != size) {
                memset(queue, 0, offsetof(InflightQueue, desc) + size * sizeof(queue->desc[0]));
                queue->desc_num = size;
                queue->used_idx = used_index;
                ORDERED();
                queue->version = VERSION;
                return 0;
        }
        if (queue->used_idx != used_index)
                batch_finish(queue, used_index);
        for (uint16_t i = 0; i < size; i++) {
                if (queue->desc[i].inflight)
                        ret_heads[n++] = i;
        }
        heads_sort(queue, ret_heads, n);
        return n;
}

void inflight_take(InflightQueue *queue, uint16_t head)
{
        queue->desc[head].counter = counter_next(queue);
        ORDERED();
        queue->desc[head].inflight = 1;
        ORDERED();
}

void inflight_give(InflightQueue *queue, uint16_t head)
{
        queue->desc[head].next = queue->last_batch_head;
        ORDERED();
        queue->last_batch_head = head;
        ORDERED();
}

void inflight_given(InflightQueue *queue, uint16_t head, uint16_t used_index)
{
        ORDERED();
        queue->desc[head].inflight = 0;
        ORDERED();
        queue->used_idx = used_index;
}
