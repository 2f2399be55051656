/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Packed virtqueues (virtio 1.3, section 2.8). */

#include <errno.h>
#include <string.h>

#include "tests/backend/ring.h"

/* Event suppression structures (section 2.8.14), in 16-bit fields. */
#define FIELD_DESC    0
#define FIELD_FLAGS   1
#define FIELD_WRAP    UINT16_C(0x8000)
#define EVENT_ENABLE  UINT16_C(0)
#define EVENT_DISABLE UINT16_C(1)
#define EVENT_DESC    UINT16_C(2)

/* Number of a descriptor's flags, in 16-bit fields from the start of the ring. */
static size_t flags_field(uint16_t position)
{
        return position * sizeof(PackedDescriptor) / 2 + offsetof(PackedDescriptor, flags) / 2;
}

static void position_move(const Ring *ring, uint16_t *position, bool *wrap, uint16_t n)
{
        *position = (uint16_t)(*position + n);
        if (*position >= ring->size) {
                *position = (uint16_t)(*position - ring->size);
                *wrap = !*wrap;
        }
}

static bool is_available(const Ring *ring, uint16_t flags)
{
        const bool avail = flags & DESCRIPTOR_AVAIL, used = flags & DESCRIPTOR_USED;

        return avail == ring->available_wrap && used != ring->available_wrap;
}

/* Section 2.8.7: all descriptors of the table, one after the other. */
static int indirect_walk(const Ring *ring, const Memory *memory, const PackedDescriptor *descriptor,
                         Chain *chain)
{
        const uint32_t n = descriptor->length / sizeof(PackedDescriptor);
        Window table;
        int r;

        if (!ring->indirect || n == 0 || descriptor->length % sizeof(PackedDescriptor) ||
            n > CHAIN_BUFFERS_MAX)
                return -EPROTO;
        r = memory_window_open(memory, descriptor->address, descriptor->length, false, &table);
        if (r < 0)
                return r;
        r = table.size == descriptor->length ? 0 : -EFAULT;
        for (uint32_t i = 0; r == 0 && i < n; i++) {
                PackedDescriptor entry;

                memcpy(&entry, table.data + i * sizeof(entry), sizeof(entry));
                r = entry.flags & DESCRIPTOR_INDIRECT
                            ? -EPROTO
                            : chain_add(chain, entry.address, entry.length,
                                        entry.flags & DESCRIPTOR_WRITE);
        }
        memory_window_close(&table);
        return r;
}

static int descriptor_take(const Ring *ring, const Memory *memory, uint16_t position, Chain *chain,
                           uint16_t *ret_flags)
{
        PackedDescriptor descriptor;

        memcpy(&descriptor, ring->descriptors.data + position * sizeof(descriptor),
               sizeof(descriptor));
        chain->n_slots++;
        chain->id = descriptor.id; /* the last one's counts */
        *ret_flags = descriptor.flags;
        if (!(descriptor.flags & DESCRIPTOR_INDIRECT))
                return chain_add(chain, descriptor.address, descriptor.length,
                                 descriptor.flags & DESCRIPTOR_WRITE);
        /* Such a descriptor is alone: section 2.8.19. */
        if (chain->n_slots > 1 || (descriptor.flags & DESCRIPTOR_NEXT))
                return -EPROTO;
        return indirect_walk(ring, memory, &descriptor, chain);
}

int ring_packed_pop(Ring *ring, const Memory *memory, Chain *chain)
{
        uint16_t position = ring->available;
        bool wrap = ring->available_wrap;
        uint16_t flags;
        int r;

        if (!is_available(ring, ring_load(&ring->descriptors, flags_field(position))))
                return 0;
        chain_begin(chain);
        do {
                if (chain->n_slots == ring->size)
                        return -EPROTO;
                r = descriptor_take(ring, memory, position, chain, &flags);
                if (r < 0)
                        return r;
                position_move(ring, &position, &wrap, 1);
        } while (flags & DESCRIPTOR_NEXT);
        ring->available = position;
        ring->available_wrap = wrap;
        return 1;
}

void ring_packed_push(Ring *ring, const Chain *chain, uint32_t written)
{
        const PackedDescriptor descriptor = { .length = written, .id = chain->id };
        const size_t start = offsetof(PackedDescriptor, length);
        uint16_t flags = written > 0 ? DESCRIPTOR_WRITE : 0;

        if (ring->used_wrap)
                flags |= DESCRIPTOR_AVAIL | DESCRIPTOR_USED;
        memcpy(ring->descriptors.data + ring->used * sizeof(descriptor) + start,
               (const uint8_t *)&descriptor + start, offsetof(PackedDescriptor, flags) - start);
        ring_store(&ring->descriptors, flags_field(ring->used), flags);
        position_move(ring, &ring->used, &ring->used_wrap, chain->n_slots);
        ring->moved = (uint16_t)(ring->moved + chain->n_slots);
}

bool ring_packed_notify(Ring *ring, bool enable)
{
        if (!enable) {
                ring_store(&ring->device, FIELD_FLAGS, EVENT_DISABLE);
        } else if (ring->event_idx) {
                ring_store(&ring->device, FIELD_DESC,
                           (uint16_t)(ring->available | (ring->available_wrap ? FIELD_WRAP : 0)));
                ring_store(&ring->device, FIELD_FLAGS, EVENT_DESC);
        } else {
                ring_store(&ring->device, FIELD_FLAGS, EVENT_ENABLE);
        }
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        return enable &&
               is_available(ring, ring_load(&ring->descriptors, flags_field(ring->available)));
}

bool ring_packed_wants_interrupt(Ring *ring)
{
        const uint16_t flags = ring_load(&ring->driver, FIELD_FLAGS);
        const uint16_t desc = ring_load(&ring->driver, FIELD_DESC);
        uint16_t event = desc & (uint16_t)~FIELD_WRAP;

        if (flags != EVENT_DESC || !ring->event_idx)
                return flags != EVENT_DISABLE;
        /* An event of the lap before lies as much further back. */
        if (!!(desc & FIELD_WRAP) != ring->used_wrap)
                event = (uint16_t)(event - ring->size);
        return ring_event_due(event, ring->used, ring->moved);
}
