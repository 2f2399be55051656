/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Split virtqueues (virtio 1.3, section 2.7). */

#include <errno.h>
#include <string.h>

#include "tests/backend/ring.h"

/* 16-bit fields of the available and the used ring. */
#define FIELD_FLAGS   0
#define FIELD_INDEX   1
#define FIELD_ENTRIES 2

#define AVAIL_NO_INTERRUPT UINT16_C(1)
#define USED_NO_NOTIFY     UINT16_C(1)

typedef struct UsedElement {
        uint32_t id;
        uint32_t length;
} UsedElement;

static int table_walk(const Ring *ring, const Memory *memory, const uint8_t *table, uint32_t n,
                      uint16_t first, bool is_indirect, Chain *chain);

/* Section 2.7.5.3: a table of its own, which takes no further table. */
static int indirect_walk(const Ring *ring, const Memory *memory, const RingDescriptor *descriptor,
                         Chain *chain)
{
        const uint32_t n = descriptor->length / sizeof(RingDescriptor);
        Window table;
        int r;

        if (!ring->indirect || n == 0 || descriptor->length % sizeof(RingDescriptor) ||
            (descriptor->flags & DESCRIPTOR_NEXT))
                return -EPROTO;
        r = memory_window_open(memory, descriptor->address, descriptor->length, false, &table);
        if (r < 0)
                return r;
        r = table.size == descriptor->length
                    ? table_walk(ring, memory, table.data, n, 0, true, chain)
                    : -EFAULT;
        memory_window_close(&table);
        return r;
}

static int table_walk(const Ring *ring, const Memory *memory, const uint8_t *table, uint32_t n,
                      uint16_t first, bool is_indirect, Chain *chain)
{
        uint16_t index = first;

        /* More steps than descriptors are a loop. */
        for (uint32_t step = 0; step < n; step++) {
                RingDescriptor descriptor;
                int r;

                if (index >= n)
                        return -EPROTO;
                memcpy(&descriptor, table + index * sizeof(descriptor), sizeof(descriptor));
                if (descriptor.flags & DESCRIPTOR_INDIRECT)
                        return is_indirect ? -EPROTO
                                           : indirect_walk(ring, memory, &descriptor, chain);
                r = chain_add(chain, descriptor.address, descriptor.length,
                              descriptor.flags & DESCRIPTOR_WRITE);
                if (r < 0)
                        return r;
                if (!(descriptor.flags & DESCRIPTOR_NEXT))
                        return 0;
                index = descriptor.next;
        }
        return -EPROTO;
}

int ring_fetch(Ring *ring, const Memory *memory, uint16_t head, Chain *ret_chain)
{
        chain_begin(ret_chain);
        ret_chain->id = head;
        return table_walk(ring, memory, ring->descriptors.data, ring->size, head, false, ret_chain);
}

int ring_split_pop(Ring *ring, const Memory *memory, Chain *chain)
{
        const uint16_t index = ring_load(&ring->driver, FIELD_INDEX);
        uint16_t head;
        int r;

        if (index == ring->available)
                return 0;
        if ((uint16_t)(index - ring->available) > ring->size)
                return -EPROTO;
        head = ring_load(&ring->driver, FIELD_ENTRIES + ring->available % ring->size);
        r = ring_fetch(ring, memory, head, chain);
        if (r < 0)
                return r;
        ring->available++;
        return 1;
}

void ring_split_push(Ring *ring, const Chain *chain, uint32_t written)
{
        const UsedElement element = { .id = chain->id, .length = written };
        const size_t place = 2 * FIELD_ENTRIES + ring->used % ring->size * sizeof(element);

        memcpy(ring->device.data + place, &element, sizeof(element));
        ring->used++;
        ring->moved++;
        ring_store(&ring->device, FIELD_INDEX, ring->used);
}

uint16_t ring_used_index(const Ring *ring)
{
        return ring_load(&ring->device, FIELD_INDEX);
}

bool ring_split_notify(Ring *ring, bool enable)
{
        /* With EVENT_IDX an index that stays behind disables as well as a flag. */
        if (ring->event_idx && enable)
                ring_store(&ring->device, FIELD_ENTRIES + 4 * (size_t)ring->size, ring->available);
        else if (!ring->event_idx)
                ring_store(&ring->device, FIELD_FLAGS, enable ? 0 : USED_NO_NOTIFY);
        /* The driver writes its index and then reads our wish; we the other way round. */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return enable && ring_load(&ring->driver, FIELD_INDEX) != ring->available;
}

bool ring_split_wants_interrupt(Ring *ring)
{
        if (!ring->event_idx)
                return !(ring_load(&ring->driver, FIELD_FLAGS) & AVAIL_NO_INTERRUPT);
        return ring_event_due(ring_load(&ring->driver, FIELD_ENTRIES + ring->size), ring->used,
                              ring->moved);
}
