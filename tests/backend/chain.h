/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One request of a driver: its buffers, first those to be read, then those to be written (virtio
 * 1.3, section 2.6). Where one buffer ends and the next begins means nothing.
 */

#include <sys/types.h>

#include "tests/backend/memory.h"

#define CHAIN_BUFFERS_MAX 1024

typedef struct Buffer {
        uint64_t address; /* the guest's */
        uint32_t size;
        bool writable;
} Buffer;

typedef struct Chain {
        uint16_t id;      /* split: the head; packed: the buffer's id */
        uint16_t n_slots; /* packed: how many places of the ring it takes */
        uint16_t n_buffers;
        uint64_t readable, writable; /* bytes */
        Buffer buffers[CHAIN_BUFFERS_MAX];
} Chain;

void chain_begin(Chain *chain);
/* Adds a buffer. Returns 0, or -EPROTO: too many, or one to be read after one to be written. */
int chain_add(Chain *chain, uint64_t address, uint32_t size, bool writable) _warn_unused_;
/* A copy that takes no more memory than it needs; the caller frees it. NULL if there is none. */
Chain *chain_copy(const Chain *chain);

/* Does something with a piece of guest memory. Returns 0 or a negative errno, which ends it. */
typedef int (*ChainFunction)(void *userdata, uint8_t *data, size_t size, uint64_t position);

/*
 * Calls function for size bytes from offset on of the chain's readable or writable part, piece by
 * piece; position counts from 0. Returns 0; -EMSGSIZE if the part is smaller; -EFAULT for buffers
 * outside memory; or what the function returned.
 */
int chain_each(const Chain *chain, const Memory *memory, bool writable, uint64_t offset,
               uint64_t size, ChainFunction function, void *userdata);

/* Copies from the readable part, and to the writable part. Errors as above. */
int chain_read(const Chain *chain, const Memory *memory, uint64_t offset, void *data,
               size_t size) _warn_unused_;
int chain_write(const Chain *chain, const Memory *memory, uint64_t offset, const void *data,
                size_t size) _warn_unused_;
