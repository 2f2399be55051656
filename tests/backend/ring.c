/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What split and packed rings have in common. */

#include "tests/backend/ring.h"

#include <errno.h>

#define POSITION_MASK UINT32_C(0x7fff)
#define WRAP_BIT      UINT32_C(0x8000)

/* An area that lies in one region, as it has to: it is used in one piece. */
static int area_open(const Memory *memory, uint64_t user_address, size_t size, Window *ret_window)
{
        uint64_t guest_address;
        int r;

        if (!memory_translate(memory, user_address, &guest_address))
                return -EFAULT;
        r = memory_window_open(memory, guest_address, size, true, ret_window);
        if (r < 0)
                return r;
        return ret_window->size == size ? 0 : -EFAULT;
}

int ring_open(Ring *ring, const Memory *memory, const WireAddress *address, uint16_t size,
              uint64_t features, uint32_t base)
{
        const size_t event = features & BIT(FEATURE_EVENT_IDX) ? 2 : 0;
        int r;

        *ring = (Ring){
                .packed = features & BIT(FEATURE_RING_PACKED),
                .indirect = features & BIT(FEATURE_INDIRECT_DESC),
                .event_idx = features & BIT(FEATURE_EVENT_IDX),
                .size = size,
        };
        r = area_open(memory, address->descriptor, 16 * (size_t)size, &ring->descriptors);
        if (r == 0)
                r = area_open(memory, address->available,
                              ring->packed ? 4 : 4 + 2 * (size_t)size + event, &ring->driver);
        if (r == 0)
                r = area_open(memory, address->used,
                              ring->packed ? 4 : 4 + 8 * (size_t)size + event, &ring->device);
        if (r < 0) {
                ring_close(ring);
                return r;
        }

        if (ring->packed) {
                ring->available = base & POSITION_MASK;
                ring->available_wrap = base & WRAP_BIT;
                ring->used = base >> 16 & POSITION_MASK;
                ring->used_wrap = base >> 16 & WRAP_BIT;
        } else {
                ring->available = (uint16_t)base;
                ring->used = ring_used_index(ring);
        }
        return 0;
}

void ring_close(Ring *ring)
{
        memory_window_close(&ring->descriptors);
        memory_window_close(&ring->driver);
        memory_window_close(&ring->device);
}

uint32_t ring_base(const Ring *ring)
{
        if (!ring->packed)
                return ring->available;
        return (ring->available | (ring->available_wrap ? WRAP_BIT : 0)) |
               (ring->used | (ring->used_wrap ? WRAP_BIT : 0)) << 16;
}

int ring_pop(Ring *ring, const Memory *memory, Chain *ret_chain)
{
        return ring->packed ? ring_packed_pop(ring, memory, ret_chain)
                            : ring_split_pop(ring, memory, ret_chain);
}

void ring_push(Ring *ring, const Chain *chain, uint32_t written)
{
        if (ring->packed)
                ring_packed_push(ring, chain, written);
        else
                ring_split_push(ring, chain, written);
}

static bool notify_set(Ring *ring, bool enable)
{
        return ring->packed ? ring_packed_notify(ring, enable) : ring_split_notify(ring, enable);
}

bool ring_notify_enable(Ring *ring)
{
        return notify_set(ring, true);
}

void ring_notify_disable(Ring *ring)
{
        notify_set(ring, false);
}

bool ring_wants_interrupt(Ring *ring)
{
        bool wants;

        if (ring->moved == 0)
                return false;
        /* What was given back has to be seen before the driver's wish is read. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        wants = ring->packed ? ring_packed_wants_interrupt(ring) : ring_split_wants_interrupt(ring);
        ring->moved = 0;
        return wants;
}
