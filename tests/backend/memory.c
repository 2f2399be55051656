/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/backend/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_SIZE UINT64_C(4096)

static int file_map(Region *region)
{
        void *area = mmap(NULL, region->wire.size, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_NORESERVE, region->fd, (off_t)region->wire.mmap_offset);

        if (area == MAP_FAILED)
                return -errno;
        region->area = area;
        region->area_size = region->wire.size;
        region->data = area;
        return 0;
}

static int region_map(Region *region)
{
        const WireRegion *wire = &region->wire;
        int r;

        if (wire->xen_flags & WIRE_XEN_NO_ADVANCE)
                return 0;
        if (!wire->xen_flags)
                return file_map(region);
        if (wire->xen_flags & WIRE_XEN_FOREIGN)
                r = xen_foreign_map(region->fd, (uint16_t)wire->domid, wire->guest_address,
                                    wire->size, &region->xen);
        else
                r = xen_grant_map(region->fd, (uint16_t)wire->domid, wire->guest_address,
                                  wire->size, true, &region->xen);
        if (r == 0)
                region->data = region->xen.area;
        return r;
}

static void region_unmap(Region *region)
{
        if (region->area)
                munmap(region->area, region->area_size);
        xen_unmap(&region->xen);
        fd_closep(&region->fd);
}

int memory_add(Memory *memory, const WireRegion *wire, int fd)
{
        Region region = { .wire = *wire, .fd = fd };
        int r = memory->n_regions < ARRAY_SIZE(memory->regions) ? region_map(&region) : -ENOSPC;

        if (r < 0) {
                region_unmap(&region);
                return r;
        }
        memory->regions[memory->n_regions++] = region;
        return 0;
}

void memory_remove(Memory *memory, const WireRegion *wire)
{
        for (uint32_t i = 0; i < memory->n_regions; i++) {
                const WireRegion *known = &memory->regions[i].wire;

                if (known->guest_address != wire->guest_address || known->size != wire->size ||
                    known->user_address != wire->user_address)
                        continue;
                region_unmap(&memory->regions[i]);
                memory->n_regions--;
                memmove(&memory->regions[i], &memory->regions[i + 1],
                        (memory->n_regions - i) * sizeof(memory->regions[0]));
                return;
        }
}

void memory_clear(Memory *memory)
{
        for (uint32_t i = 0; i < memory->n_regions; i++)
                region_unmap(&memory->regions[i]);
        memory->n_regions = 0;
}

static const Region *region_find(const Memory *memory, uint64_t guest_address)
{
        for (uint32_t i = 0; i < memory->n_regions; i++) {
                const WireRegion *wire = &memory->regions[i].wire;

                if (guest_address >= wire->guest_address &&
                    guest_address - wire->guest_address < wire->size)
                        return &memory->regions[i];
        }
        return NULL;
}

/* Whole pages around the piece: nothing smaller is granted. */
static int window_map(const Region *region, uint64_t guest_address, size_t size, bool writable,
                      Window *window)
{
        const uint64_t start = guest_address - guest_address % PAGE_SIZE;
        const size_t length =
                (size_t)(guest_address + size - start + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
        int r = xen_grant_map(region->fd, (uint16_t)region->wire.domid, start, length, writable,
                              &window->mapped);

        if (r == 0)
                window->data = (uint8_t *)window->mapped.area + (guest_address - start);
        return r;
}

int memory_window_open(const Memory *memory, uint64_t guest_address, size_t size, bool writable,
                       Window *ret_window)
{
        const Region *region = region_find(memory, guest_address);
        Window window = { 0 };
        uint64_t offset;
        int r;

        if (!region)
                return -EFAULT;
        offset = guest_address - region->wire.guest_address;
        window.size = size < region->wire.size - offset ? size : region->wire.size - offset;
        if (region->data) {
                window.data = region->data + offset;
        } else {
                r = window_map(region, guest_address, window.size, writable, &window);
                if (r < 0)
                        return r;
        }
        *ret_window = window;
        return 0;
}

void memory_window_close(Window *window)
{
        xen_unmap(&window->mapped);
        *window = (Window){ 0 };
}

bool memory_translate(const Memory *memory, uint64_t user_address, uint64_t *ret_guest_address)
{
        for (uint32_t i = 0; i < memory->n_regions; i++) {
                const WireRegion *wire = &memory->regions[i].wire;

                if (user_address < wire->user_address ||
                    user_address - wire->user_address >= wire->size)
                        continue;
                *ret_guest_address = wire->guest_address + (user_address - wire->user_address);
                return true;
        }
        return false;
}
