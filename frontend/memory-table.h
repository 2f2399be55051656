/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The regions of guest memory that a backend is told of (vhost-user.rst, "Multiple memory regions
 * description"). Pure.
 */

#include <stdint.h>

#include "common/guest-memory.h"
#include "frontend/memory-way.h"
#include "frontend/vhost-user.h"
#include "frontend/virtio.h"

/*
 * Descriptors of gntdev, one for each bank: a set for each connection. A backend that crashes
 * leaves its mappings to the descriptor, and a guest never uses a page again that is still mapped;
 * and what is to be mapped as a file can be mapped once. So a set is closed with its connection.
 */
#define GRANT_SETS_MAX 4
typedef struct GrantSet {
        int fds[MEMORY_BANKS_MAX];
} GrantSet;
typedef struct GrantSets {
        GrantSet sets[GRANT_SETS_MAX];
        unsigned int n; /* that are left */
} GrantSets;

#define GRANT_SET_NONE ((GrantSet){ { -1, -1 } })

/* Closes a set, or all that are left. */
void grant_set_close(GrantSet *set);
void grant_sets_close(GrantSets *sets);

/* The guest's memory: borrowed descriptors for each bank, or sets of them. */
typedef struct VhostMemory {
        uint16_t domid;
        bool grants; /* the guest's driver hands out grants, not addresses */
        MemoryChoice choice;
        const MemoryBank *banks; /* with grants the one that GUEST_GRANTS_BASE begins */
        unsigned int n_banks;
        const int *fds;
        const int *file_fds; /* the same for MEMORY_WAY_FILE; the very same, if no other device's */
        GrantSets *sets;     /* with grants, and for seeded memory; else NULL */
} VhostMemory;

/*
 * The regions for this way, in ascending order. A bank each; but what is granted is one region that
 * the backend maps page by page, with the rings of all queues that are ready cut out of it, whole
 * pages each, to be mapped as long as the table holds: not every backend can map those later.
 *
 * Returns how many, or -E2BIG if the rings lie in too many places.
 */
int memory_table_make(const VhostMemory *memory, MemoryWay way, const VirtioDevice *device,
                      VhostUserXenRegion ret_regions[VHOST_USER_REGIONS_MAX]) _warn_unused_;
