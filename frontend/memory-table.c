/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/memory-table.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert(MEMORY_BANKS_MAX <= VHOST_USER_REGIONS_MAX, "each bank is a region");

#define GRANTED_LATER (VHOST_USER_XEN_GRANT | VHOST_USER_XEN_NO_ADVANCE_MAP)
#define WINDOWS_MAX   (VIRTIO_QUEUES_MAX * VIRTIO_QUEUE_AREAS)

void grant_set_close(GrantSet *set)
{
        for (int i = 0; i < MEMORY_BANKS_MAX; i++)
                fd_closep(&set->fds[i]);
}

void grant_sets_close(GrantSets *sets)
{
        while (sets->n > 0)
                grant_set_close(&sets->sets[--sets->n]);
}

/* Whole pages of rings, from start to before end. */
typedef struct RingWindow {
        uint64_t start, end;
} RingWindow;

/* The user address is only a key for ring addresses: the guest address serves. */
static VhostUserXenRegion region_make(const VhostMemory *memory, uint64_t base, uint64_t size,
                                      uint32_t flags)
{
        return (VhostUserXenRegion){
                .region = {
                        .guest_address = base,
                        .size = size,
                        .user_address = base,
                        .mmap_offset = 0,
                },
                .flags = flags,
                .domid = flags ? memory->domid : 0,
        };
}

static int window_compare(const void *left, const void *right)
{
        const RingWindow *a = left, *b = right;

        return (a->start > b->start) - (a->start < b->start);
}

/* Makes one window of those that touch; returns how many are left. */
static size_t windows_join(RingWindow *windows, size_t n)
{
        size_t last = 0;

        for (size_t i = 1; i < n; i++) {
                if (windows[i].start > windows[last].end)
                        windows[++last] = windows[i];
                else if (windows[i].end > windows[last].end)
                        windows[last].end = windows[i].end;
        }
        return n > 0 ? last + 1 : 0;
}

/* The pages of all rings, in ascending order, apart from each other. */
static size_t windows_find(const VirtioDevice *device, RingWindow ret_windows[WINDOWS_MAX])
{
        size_t n = 0;

        for (uint16_t i = 0; i < device->n_queues; i++) {
                VirtioArea areas[VIRTIO_QUEUE_AREAS];

                if (!device->queues[i].ready)
                        continue;
                virtio_queue_areas(device, &device->queues[i], areas);
                for (unsigned int j = 0; j < VIRTIO_QUEUE_AREAS; j++) {
                        const uint64_t end = areas[j].address + areas[j].length;

                        ret_windows[n++] = (RingWindow){
                                .start = areas[j].address & ~(GUEST_PAGE_SIZE - 1),
                                .end = (end + GUEST_PAGE_SIZE - 1) & ~(GUEST_PAGE_SIZE - 1),
                        };
                }
        }
        qsort(ret_windows, n, sizeof(ret_windows[0]), window_compare);
        return windows_join(ret_windows, n);
}

static int grants_make(const VhostMemory *memory, const VirtioDevice *device,
                       VhostUserXenRegion *ret_regions)
{
        const uint64_t end = memory->banks[0].base + memory->banks[0].size;
        uint64_t next = memory->banks[0].base;
        RingWindow windows[WINDOWS_MAX] = { 0 };
        size_t n_windows = windows_find(device, windows);
        VhostUserXenRegion regions[2 * VHOST_USER_REGIONS_MAX + 1];
        int n = 0;

        if (n_windows > VHOST_USER_REGIONS_MAX)
                return -E2BIG;
        for (size_t i = 0; i < n_windows; i++) {
                const RingWindow *window = &windows[i];

                if (window->start > next)
                        regions[n++] =
                                region_make(memory, next, window->start - next, GRANTED_LATER);
                regions[n++] = region_make(memory, window->start, window->end - window->start,
                                           VHOST_USER_XEN_GRANT);
                next = window->end;
        }
        if (next < end)
                regions[n++] = region_make(memory, next, end - next, GRANTED_LATER);
        if (n > VHOST_USER_REGIONS_MAX)
                return -E2BIG;
        for (int i = 0; i < n; i++)
                ret_regions[i] = regions[i];
        return n;
}

int memory_table_make(const VhostMemory *memory, MemoryWay way, const VirtioDevice *device,
                      VhostUserXenRegion ret_regions[VHOST_USER_REGIONS_MAX])
{
        const uint32_t flags = way == MEMORY_WAY_FOREIGN ? VHOST_USER_XEN_FOREIGN : 0;

        if (way == MEMORY_WAY_GRANTS)
                return grants_make(memory, device, ret_regions);
        for (unsigned int i = 0; i < memory->n_banks; i++)
                ret_regions[i] =
                        region_make(memory, memory->banks[i].base, memory->banks[i].size, flags);
        return (int)memory->n_banks;
}
