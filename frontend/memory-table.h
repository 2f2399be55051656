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
 * Descriptors for pages that the guest has granted. A backend that crashes leaves its mappings to
 * the descriptor, and a guest never uses a page again that is still mapped; so each connection gets
 * one of its own, which is closed with it.
 */
#define GRANT_FILES_MAX 4
typedef struct GrantFiles {
        int fds[GRANT_FILES_MAX];
        unsigned int n; /* that are left */
} GrantFiles;

/* The guest's memory: a borrowed descriptor for each bank, or, with grants, those that are left. */
typedef struct VhostMemory {
        uint16_t domid;
        const MemoryBank *banks; /* with grants the one that GUEST_GRANTS_BASE begins */
        unsigned int n_banks;
        const int *fds;
        GrantFiles *grants; /* NULL if the guest's driver hands out addresses */
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
