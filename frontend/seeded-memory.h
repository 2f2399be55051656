/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Guest memory that any backend can map as a file, and use for direct I/O: dom0 grants itself the
 * guest's RAM (grant-seed.h), and the backend gets descriptors of gntdev.
 */

#include "common/guest-memory.h"
#include "common/log.h"
#include "frontend/memory-table.h"

/*
 * Sets that a process has: each costs dom0 some 3 % of the guest's RAM until it is used. One for
 * what starts the guest, and one for its operating system.
 */
#define SEEDED_SETS 2
_Static_assert(SEEDED_SETS <= GRANT_SETS_MAX, "they have to fit");

/*
 * Writes the entries, tries whether all pages can be mapped, and opens descriptors for the banks of
 * that domain. To be called before hypervisor_restrict().
 *
 * Returns 0, and the caller closes the sets; or a negative errno, and why has been logged.
 */
int seeded_memory_open(uint16_t domid, const MemoryBank *banks, unsigned int n_banks,
                       const LogContext *log, GrantSets *ret_sets) _warn_unused_;
