/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The guest's memory as the frontend handed it over: regions that are mapped as a whole, and, with
 * grants that cannot be mapped in advance, regions of which each access maps its piece.
 */

#include "tests/backend/wire.h"

/* A mapping of Xen's pages; zeroes is one of nothing. */
typedef struct XenMapping {
        void *area; /* NULL: not mapped */
        int fd;     /* borrowed, from the region */
        size_t size;
        uint64_t *indexes; /* of grants: gntdev's name of each piece */
        size_t n_indexes;
} XenMapping;

typedef struct Region {
        WireRegion wire;
        int fd;
        uint8_t *data; /* of guest_address; NULL if it cannot be mapped in advance */
        void *area;    /* what was mapped of a descriptor that is not Xen's */
        size_t area_size;
        XenMapping xen;
} Region;

typedef struct Memory {
        Region regions[WIRE_SLOTS_MAX];
        uint32_t n_regions;
} Memory;

/* A piece of guest memory that is being used. */
typedef struct Window {
        uint8_t *data;
        size_t size;
        XenMapping mapped; /* for this window only */
} Window;

/*
 * Maps a region and owns fd from then on, also when this fails. The region has passed the checks of
 * legality.h. Returns 0 or a negative errno.
 */
int memory_add(Memory *memory, const WireRegion *region, int fd) _warn_unused_;
/* Unmaps a region that is known by its addresses and size; nothing happens if there is none. */
void memory_remove(Memory *memory, const WireRegion *region);
void memory_clear(Memory *memory);

/*
 * Gives access to guest memory from a guest address on, up to size bytes: a window may be smaller
 * when the region ends. Returns 0; -EFAULT if there is no memory; another negative errno if it
 * cannot be mapped. The window has to be closed.
 */
int memory_window_open(const Memory *memory, uint64_t guest_address, size_t size, bool writable,
                       Window *ret_window) _warn_unused_;
void memory_window_close(Window *window);

/* The guest address of a user address; false if there is none. */
bool memory_translate(const Memory *memory, uint64_t user_address, uint64_t *ret_guest_address);

/*
 * memory-xen.c. Pages of a domain, from the guest address on, through a privcmd descriptor: holes
 * are left unmapped, a region of nothing but holes is an error.
 */
int xen_foreign_map(int fd, uint16_t domid, uint64_t guest_address, size_t size,
                    XenMapping *ret_mapping) _warn_unused_;
/* The same for granted pages through gntdev: bit 63 aside, the address holds the reference. */
int xen_grant_map(int fd, uint16_t domid, uint64_t guest_address, size_t size, bool writable,
                  XenMapping *ret_mapping) _warn_unused_;
void xen_unmap(XenMapping *mapping);
