/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/local-queue.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* Section 6. */
#define F_INDIRECT_DESC 28
#define F_EVENT_IDX     29

/* Section 2.7.5. */
#define DESC_F_NEXT     1U
#define DESC_F_WRITE    2U
#define DESC_F_INDIRECT 4U

/* Of the available ring: the driver wants no interrupts (section 2.7.6). */
#define AVAIL_F_NO_INTERRUPT 1U

/* Both rings begin with flags and the index; then come the entries, and the other side's event. */
#define RING_FLAGS      0U
#define RING_INDEX      2U
#define RING_ENTRIES    4U
#define AVAILABLE_ENTRY 2U
#define USED_ENTRY      8U

typedef struct Descriptor {
        uint64_t address;
        uint32_t length;
        uint16_t flags;
        uint16_t next;
} Descriptor;

/* Where descriptors stand: the queue's own ones, or an indirect table. */
typedef struct Table {
        uint64_t address;
        uint32_t n;
        bool is_indirect;
} Table;

static const VirtioQueue *ring_of(const LocalQueue *queue)
{
        return &queue->device->queues[queue->index];
}

/* Copies from the guest, or to it, what lies in one page or several. */
static int guest_copy(const LocalQueue *queue, uint64_t address, void *bytes, size_t size,
                      bool to_guest)
{
        for (size_t done = 0; done < size;) {
                const size_t offset = (address + done) % GUEST_PAGE_SIZE;
                const size_t room = GUEST_PAGE_SIZE - offset;
                const size_t n = size - done < room ? size - done : room;
                void *page;
                int r = hypervisor_page_map(queue->hypervisor, address + done - offset, &page);

                if (r < 0)
                        return r;
                if (to_guest)
                        memcpy((uint8_t *)page + offset, (const uint8_t *)bytes + done, n);
                else
                        memcpy((uint8_t *)bytes + done, (const uint8_t *)page + offset, n);
                hypervisor_page_unmap(queue->hypervisor, page);
                done += n;
        }
        return 0;
}

/*
 * A word of a ring is read and written as a whole, since the driver looks at it meanwhile: all
 * that was read after it, or written before, is of that time. Rings are aligned, so that none lies
 * in two pages.
 */
static int word_load(const LocalQueue *queue, uint64_t address, uint16_t *ret_word)
{
        const size_t offset = address % GUEST_PAGE_SIZE;
        void *page;
        int r = hypervisor_page_map(queue->hypervisor, address - offset, &page);

        if (r < 0)
                return r;
        *ret_word = le16toh(
                __atomic_load_n((uint16_t *)page + offset / sizeof(uint16_t), __ATOMIC_ACQUIRE));
        hypervisor_page_unmap(queue->hypervisor, page);
        return 0;
}

static int word_store(const LocalQueue *queue, uint64_t address, uint16_t word)
{
        const size_t offset = address % GUEST_PAGE_SIZE;
        void *page;
        int r = hypervisor_page_map(queue->hypervisor, address - offset, &page);

        if (r < 0)
                return r;
        __atomic_store_n((uint16_t *)page + offset / sizeof(uint16_t), htole16(word),
                         __ATOMIC_RELEASE);
        hypervisor_page_unmap(queue->hypervisor, page);
        return 0;
}

static bool is_memory(const LocalQueue *queue, uint64_t address, uint32_t length)
{
        const VirtioDevice *device = queue->device;

        return length > 0 && guest_memory_contains(device->banks, device->n_banks, address, length);
}

static int descriptor_load(const LocalQueue *queue, const Table *table, uint16_t index,
                           Descriptor *ret_descriptor)
{
        Descriptor raw;
        int r;

        if (index >= table->n)
                return -EPROTO;
        r = guest_copy(queue, table->address + index * sizeof(raw), &raw, sizeof(raw), false);
        if (r < 0)
                return r;
        *ret_descriptor = (Descriptor){
                .address = le64toh(raw.address),
                .length = le32toh(raw.length),
                .flags = le16toh(raw.flags),
                .next = le16toh(raw.next),
        };
        return 0;
}

/* The rest of a chain is in a table of its own, which has no further one (section 2.7.5.3). */
static int table_enter(const LocalQueue *queue, const Descriptor *descriptor, Table *table)
{
        if (!virtio_has_feature(queue->device, F_INDIRECT_DESC) || table->is_indirect ||
            (descriptor->flags & DESC_F_NEXT) || descriptor->length % sizeof(*descriptor) != 0 ||
            !is_memory(queue, descriptor->address, descriptor->length))
                return -EPROTO;
        *table = (Table){ descriptor->address, descriptor->length / sizeof(*descriptor), true };
        return 0;
}

/* The driver's bytes come before the place for the answer (section 2.7.4.2). */
static int buffer_add(const LocalQueue *queue, const Descriptor *descriptor, LocalRequest *request)
{
        const uint64_t room =
                request->size < LOCAL_REQUEST_MAX ? LOCAL_REQUEST_MAX - request->size : 0;
        const uint64_t n = descriptor->length < room ? descriptor->length : room;
        const uint64_t start = request->size;

        if (!is_memory(queue, descriptor->address, descriptor->length))
                return -EPROTO;
        if (descriptor->flags & DESC_F_WRITE) {
                if (request->answer == 0)
                        request->answer = descriptor->address;
                return 0;
        }
        if (request->answer != 0)
                return -EPROTO;
        request->size += descriptor->length;
        return n > 0 ? guest_copy(queue, descriptor->address, request->bytes + start, n, false) : 0;
}

/* A chain has no more descriptors than the queue (section 2.7.5.3.1), and perhaps a table's. */
static int chain_copy(const LocalQueue *queue, LocalRequest *request)
{
        const VirtioQueue *ring = ring_of(queue);
        Table table = { ring->descriptor_area, ring->size, false };
        uint16_t index = request->head;

        for (uint32_t left = ring->size + 1U; left > 0; left--) {
                Descriptor descriptor;
                int r = descriptor_load(queue, &table, index, &descriptor);

                if (r < 0)
                        return r;
                index = descriptor.next;
                if (descriptor.flags & DESC_F_INDIRECT) {
                        r = table_enter(queue, &descriptor, &table);
                        index = 0;
                } else {
                        r = buffer_add(queue, &descriptor, request);
                        if (r >= 0 && !(descriptor.flags & DESC_F_NEXT))
                                return request->answer != 0 ? 0 : -EPROTO;
                }
                if (r < 0)
                        return r;
        }
        return -EPROTO;
}

/* Looks how many requests there are, once the driver knows at which one it has to say so. */
static int rings_look(const LocalQueue *queue, uint16_t *ret_available, uint16_t *ret_used)
{
        const VirtioQueue *ring = ring_of(queue);
        const uint64_t event = ring->device_area + RING_ENTRIES + USED_ENTRY * ring->size;
        int r = word_load(queue, ring->device_area + RING_INDEX, ret_used);

        if (r >= 0 && virtio_has_feature(queue->device, F_EVENT_IDX))
                r = word_store(queue, event, *ret_used);
        /* The driver looks at the event after it has written its index. */
        atomic_thread_fence(memory_order_seq_cst);
        return r < 0 ? r : word_load(queue, ring->driver_area + RING_INDEX, ret_available);
}

int local_queue_take(const LocalQueue *queue, LocalRequest *ret_request)
{
        const VirtioQueue *ring = ring_of(queue);
        uint16_t available, used, head;
        int r = rings_look(queue, &available, &used);

        if (r < 0 || available == used)
                return r;
        if ((uint16_t)(available - used) > ring->size)
                return -EPROTO;
        r = word_load(queue,
                      ring->driver_area + RING_ENTRIES + AVAILABLE_ENTRY * (used % ring->size),
                      &head);
        if (r < 0)
                return r;
        *ret_request = (LocalRequest){ .head = head, .position = used };
        r = chain_copy(queue, ret_request);
        return r < 0 ? r : 1;
}

/* Section 2.7.7.2. */
static int interrupt_is_due(const LocalQueue *queue, uint16_t position)
{
        const VirtioQueue *ring = ring_of(queue);
        const bool has_event = virtio_has_feature(queue->device, F_EVENT_IDX);
        const uint64_t offset =
                has_event ? RING_ENTRIES + AVAILABLE_ENTRY * ring->size : RING_FLAGS;
        uint16_t word;
        int r;

        atomic_thread_fence(memory_order_seq_cst);
        r = word_load(queue, ring->driver_area + offset, &word);
        if (r < 0)
                return r;
        return has_event ? word == position : !(word & AVAIL_F_NO_INTERRUPT);
}

int local_queue_answer(const LocalQueue *queue, const LocalRequest *request, uint8_t answer)
{
        const VirtioQueue *ring = ring_of(queue);
        const uint32_t place = RING_ENTRIES + USED_ENTRY * (request->position % ring->size);
        uint32_t entry[2] = { htole32(request->head), htole32(sizeof(answer)) };
        int r = guest_copy(queue, request->answer, &answer, sizeof(answer), true);

        if (r >= 0)
                r = guest_copy(queue, ring->device_area + place, entry, sizeof(entry), true);
        if (r >= 0)
                r = word_store(queue, ring->device_area + RING_INDEX,
                               (uint16_t)(request->position + 1));
        return r < 0 ? r : interrupt_is_due(queue, request->position);
}
