/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which entries of a guest's grant table grant dom0 the guest's RAM, and what they hold: version 1
 * of xen/public/grant_table.h. Pure.
 *
 * The entries fill the last frames of the table, bank after bank, page after page. All devices of
 * a guest want the same ones, whatever process serves them: who comes first writes them, the others
 * find them. They go with the guest.
 */

#include <stdint.h>

#include "common/guest-memory.h"
#include "common/macros.h"

/* As many frames as Xen gives a guest by itself are left to its drivers, which fill the table from
 * the other end. */
#define GRANT_FRAMES_KEPT 64

/* Entries in a frame: a page of 8-byte ones. */
#define GRANT_FRAME_ENTRIES 512

typedef struct GrantSeed {
        uint32_t first_frame, n_frames;
} GrantSeed;

/* Frames that a table needs to have for these banks, with those that are kept. */
uint32_t grant_seed_frames_wanted(const MemoryBank *banks, unsigned int n_banks);

/* Where the entries are in a table of so many frames. Returns 0, or -ENOSPC if they are too few. */
int grant_seed_plan(const MemoryBank *banks, unsigned int n_banks, uint32_t n_frames,
                    GrantSeed *ret_seed) _warn_unused_;

/* The reference of the first page of a bank; the others follow. */
uint32_t grant_seed_reference(const GrantSeed *seed, const MemoryBank *banks, unsigned int bank);

/*
 * Writes all entries, which begin at the seed's first frame, unless one of them is neither free nor
 * exactly what is to be written: then none is. The guest has the table, too, and may be writing.
 *
 * Returns 0; or -EBUSY, and the reference that the guest uses.
 */
int grant_seed_write(const GrantSeed *seed, const MemoryBank *banks, unsigned int n_banks,
                     uint64_t *entries, uint32_t *ret_reference) _warn_unused_;
