/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A split queue (virtio 1.3, section 2.7) that the frontend serves by itself: few requests, of a
 * few bytes each, which are answered by one byte, in order. Of the guest's memory a page is mapped
 * for as long as it takes to copy from or to it, and what was copied is what is looked at.
 *
 * Nothing is kept here between two calls: how many requests are answered stands in the ring, so
 * that the next process goes on where this one has ended. A request that was carried out and not
 * answered is found once more.
 */

#include <stdint.h>

#include "common/macros.h"
#include "frontend/hypervisor.h"
#include "frontend/virtio.h"

/* What is kept of a request's bytes. */
#define LOCAL_REQUEST_MAX 16

/* All is borrowed. */
typedef struct LocalQueue {
        Hypervisor *hypervisor;
        const VirtioDevice *device;
        uint16_t index; /* of a queue that is ready */
} LocalQueue;

typedef struct LocalRequest {
        uint16_t head;                    /* of its chain */
        uint16_t position;                /* so many were answered before, modulo 2^16 */
        uint64_t answer;                  /* the guest's address of the answer */
        uint64_t size;                    /* of the driver's bytes, all of them */
        uint8_t bytes[LOCAL_REQUEST_MAX]; /* the first ones */
} LocalRequest;

/*
 * Looks for the next request, and copies it. If there is none the driver will tell of the next one.
 * It takes at most some 600 mappings of a page, whatever the driver has written.
 *
 * Returns 1 with a request, 0 without one, or a negative errno, of which -EPROTO means that the
 * driver broke a rule and -EFAULT that the memory is not there: then the queue cannot be gone on
 * with.
 */
int local_queue_take(const LocalQueue *queue, LocalRequest *ret_request) _warn_unused_;

/*
 * Answers a request that was taken. Returns 1 if the driver wants an interrupt, 0 if it does not,
 * or a negative errno as above.
 */
int local_queue_answer(const LocalQueue *queue, const LocalRequest *request,
                       uint8_t answer) _warn_unused_;
