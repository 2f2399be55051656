/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A virtqueue from the device's side (virtio 1.3, sections 2.7 and 2.8): split or packed, with
 * INDIRECT_DESC and EVENT_IDX. The driver is not trusted: each descriptor is copied once, and what
 * is against the rules is an error of the ring, after which it must not be used any more.
 */

#include "tests/backend/chain.h"

typedef struct Ring {
        bool packed, indirect, event_idx;
        uint16_t size;
        Window descriptors, driver, device;
        uint16_t available, used; /* split: running indexes; packed: positions */
        bool available_wrap, used_wrap;
        uint16_t moved; /* used entries (packed: places) since the driver was last interrupted */
} Ring;

/* Layout of a descriptor; the last two fields are the other way round in a packed ring. */
typedef struct RingDescriptor {
        uint64_t address;
        uint32_t length;
        uint16_t flags, next;
} RingDescriptor;
typedef struct PackedDescriptor {
        uint64_t address;
        uint32_t length;
        uint16_t id, flags;
} PackedDescriptor;

#define DESCRIPTOR_NEXT     UINT16_C(0x1)
#define DESCRIPTOR_WRITE    UINT16_C(0x2)
#define DESCRIPTOR_INDIRECT UINT16_C(0x4)
#define DESCRIPTOR_AVAIL    UINT16_C(0x80)
#define DESCRIPTOR_USED     UINT16_C(0x8000)

/*
 * Sets a ring up by the driver's features, from the base of SET_VRING_BASE on. Returns 0; -EFAULT
 * if an area is not in memory, or another negative errno. ring_close() is fine in any case.
 */
int ring_open(Ring *ring, const Memory *memory, const WireAddress *address, uint16_t size,
              uint64_t features, uint32_t base) _warn_unused_;
void ring_close(Ring *ring);

/* What SET_VRING_BASE of the next start has to say. */
uint32_t ring_base(const Ring *ring);

/* Takes the next request. Returns 1 with a chain, 0 if there is none, -EPROTO or -EFAULT. */
int ring_pop(Ring *ring, const Memory *memory, Chain *ret_chain) _warn_unused_;
/* Gives a request back of which so many bytes were written. */
void ring_push(Ring *ring, const Chain *chain, uint32_t written);

/* Asks the driver to be told of requests, or not. Returns whether there are some already. */
bool ring_notify_enable(Ring *ring);
void ring_notify_disable(Ring *ring);

/* Whether the driver wants to be interrupted for what was given back since this was last asked. */
bool ring_wants_interrupt(Ring *ring);

/* Split rings only. The chain that begins at a descriptor; the used index that the driver sees. */
int ring_fetch(Ring *ring, const Memory *memory, uint16_t head, Chain *ret_chain) _warn_unused_;
uint16_t ring_used_index(const Ring *ring);

/* For ring.c only: the two kinds. */
int ring_split_pop(Ring *ring, const Memory *memory, Chain *chain);
void ring_split_push(Ring *ring, const Chain *chain, uint32_t written);
bool ring_split_notify(Ring *ring, bool enable);
bool ring_split_wants_interrupt(Ring *ring);
int ring_packed_pop(Ring *ring, const Memory *memory, Chain *chain);
void ring_packed_push(Ring *ring, const Chain *chain, uint32_t written);
bool ring_packed_notify(Ring *ring, bool enable);
bool ring_packed_wants_interrupt(Ring *ring);

/* Whether an index went past the one that an event is wanted for (section 2.7.7.2). */
static inline bool ring_event_due(uint16_t event, uint16_t now, uint16_t moved)
{
        return (uint16_t)(now - event - 1) < moved;
}

/* The 16-bit field number n of an area, which the driver may write at any time. */
static inline uint16_t ring_load(const Window *area, size_t n)
{
        return __atomic_load_n((const uint16_t *)(const void *)area->data + n, __ATOMIC_ACQUIRE);
}

static inline void ring_store(const Window *area, size_t n, uint16_t value)
{
        __atomic_store_n((uint16_t *)(void *)area->data + n, value, __ATOMIC_RELEASE);
}
