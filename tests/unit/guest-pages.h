/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A guest of a few pages, for what looks into its memory: hypervisor_page_map() of the second
 * implementation. Aborts if a page is mapped that is not the guest's, or is none, or is unmapped
 * twice.
 */

#include "frontend/hypervisor.h"

#define GUEST_PAGES 24

struct Hypervisor {
        /* Two banks, one after the other here; the second begins with page GUEST_PAGES / 2. */
        _Alignas(4096) uint8_t pages[GUEST_PAGES][4096];
        bool missing[GUEST_PAGES]; /* the guest has given it back */
        unsigned int n_mapped;     /* now */
        unsigned int n_mappings;   /* so far */
        unsigned int fails_at;     /* the number of the mapping that fails with -ENOMEM; 0: none */
};

/* The second bank begins right behind a gap that is as large as the first one. */
extern const MemoryBank guest_banks[2];

/* Where an address is that is the guest's. */
uint8_t *guest_bytes(Hypervisor *guest, uint64_t address);
