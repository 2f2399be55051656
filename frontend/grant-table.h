/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What seeding wants of the hypervisor: a guest's grant table, and what is mapped through it.
 * grant-table-xen.c does it on Xen, tests/sim/grant-table-sim.c for the simulation. All of it is
 * to be done while the process may reach other domains than its own, and to be closed by then.
 */

#include <stdint.h>

#include "common/macros.h"

typedef struct GrantTable GrantTable;

/*
 * Opens the grant table of a domain. Returns 0; -EOPNOTSUPP if the guest uses version 2 of it; or
 * another negative errno.
 */
int grant_table_open(uint16_t domid, GrantTable **ret_table) _warn_unused_;
GrantTable *grant_table_close(GrantTable *table);

static inline void grant_table_closep(GrantTable **table)
{
        grant_table_close(*table);
}

/* How many frames it may have (max_grant_frames). Returns 0 or a negative errno. */
int grant_table_frames(GrantTable *table, uint32_t *ret_frames) _warn_unused_;

/*
 * Maps n frames (not 0), the first of them included, until the table is closed; once. Xen makes the
 * table that long, if it is not yet. The guest has the same entries, and changes them at will.
 * Returns 0 or a negative errno.
 */
int grant_table_map(GrantTable *table, uint32_t first, uint32_t n,
                    uint64_t **ret_entries) _warn_unused_;

/*
 * Opens a descriptor that gives those pages, at offset 0, which the domain has granted with n_pages
 * references from first on. All of them are to be mapped at once, and once; only then Xen looks at
 * the entries. What is mapped goes with the mapping or with the descriptor, whichever is last. The
 * caller owns it.
 *
 * Returns 0; -E2BIG if that many pages are more than Linux maps at once; or a negative errno.
 */
int grant_table_pages_open(uint16_t domid, uint32_t first, uint32_t n_pages,
                           int *ret_fd) _warn_unused_;
