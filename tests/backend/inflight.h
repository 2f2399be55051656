/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * "Inflight I/O tracking" of vhost-user.rst for split rings: which requests were taken and not yet
 * given back, in memory that outlives this process. Each step leaves it so that a process that is
 * killed right after it loses nothing and does nothing twice that the driver has seen.
 */

#include "tests/backend/wire.h"

typedef struct InflightDescriptor {
        uint8_t inflight;
        uint8_t padding[5];
        uint16_t next;
        uint64_t counter;
} InflightDescriptor;

/* The part of one queue, DescStateSplit and QueueRegionSplit in the text. */
typedef struct InflightQueue {
        uint64_t features;
        uint16_t version; /* 0: new */
        uint16_t desc_num;
        uint16_t last_batch_head;
        uint16_t used_idx;
        InflightDescriptor desc[];
} InflightQueue;

/* Bytes of one queue's part, of queue_size descriptors. Enough for a packed ring's part too. */
size_t inflight_queue_bytes(uint16_t queue_size);

/*
 * Makes a queue's part usable: begins a new one, or repairs what a death in the middle of giving
 * back left behind; used_index is what the driver sees. Returns how many requests are in flight and
 * lists their heads in the order in which they were taken; ret_heads has room for size.
 */
uint16_t inflight_recover(InflightQueue *queue, uint16_t size, uint16_t used_index,
                          uint16_t *ret_heads);

/* A request was taken. */
void inflight_take(InflightQueue *queue, uint16_t head);
/* It is about to be given back, and the driver sees it given back, with the used index so. */
void inflight_give(InflightQueue *queue, uint16_t head);
void inflight_given(InflightQueue *queue, uint16_t head, uint16_t used_index);
