/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/grant-seed.h"

#include <errno.h>

/*
 * struct grant_entry_v1 as the word that it is in memory: flags in the lowest 16 bits, the domain
 * that is granted access in the next ones, the number of the guest's page above. Xen sets two of
 * the flags while the page is mapped.
 */
#define ENTRY_PERMIT_ACCESS UINT64_C(0x0001) /* GTF_permit_access */
#define ENTRY_IN_USE        UINT64_C(0x0018) /* GTF_reading, GTF_writing */
#define ENTRY_DOMID_SHIFT   16
#define ENTRY_FRAME_SHIFT   32

/* Who maps: dom0. Other domains get at no guest's table. */
#define BACKEND_DOMID UINT64_C(0)

/* What one pass over the entries does with each; returns whether it is, or is now, as wanted. */
typedef bool (*EntryVisit)(uint64_t *entry, uint64_t wanted);

static uint64_t pages_of(const MemoryBank *banks, unsigned int n_banks)
{
        uint64_t n = 0;

        for (unsigned int i = 0; i < n_banks; i++)
                n += banks[i].size / GUEST_PAGE_SIZE;
        return n;
}

static uint32_t frames_of(const MemoryBank *banks, unsigned int n_banks)
{
        return (uint32_t)((pages_of(banks, n_banks) + GRANT_FRAME_ENTRIES - 1) /
                          GRANT_FRAME_ENTRIES);
}

uint32_t grant_seed_frames_wanted(const MemoryBank *banks, unsigned int n_banks)
{
        return GRANT_FRAMES_KEPT + frames_of(banks, n_banks);
}

int grant_seed_plan(const MemoryBank *banks, unsigned int n_banks, uint32_t n_frames,
                    GrantSeed *ret_seed)
{
        const uint32_t wanted = frames_of(banks, n_banks);

        if (n_frames < grant_seed_frames_wanted(banks, n_banks))
                return -ENOSPC;
        *ret_seed = (GrantSeed){ .first_frame = n_frames - wanted, .n_frames = wanted };
        return 0;
}

uint32_t grant_seed_reference(const GrantSeed *seed, const MemoryBank *banks, unsigned int bank)
{
        return seed->first_frame * GRANT_FRAME_ENTRIES + (uint32_t)pages_of(banks, bank);
}

static bool entry_is_ours(uint64_t entry, uint64_t wanted)
{
        return (entry & ~ENTRY_IN_USE) == wanted;
}

static bool entry_check(uint64_t *entry, uint64_t wanted)
{
        const uint64_t found = __atomic_load_n(entry, __ATOMIC_RELAXED);

        return found == 0 || entry_is_ours(found, wanted);
}

/* As one word, so that neither Xen nor another process finds half an entry. */
static bool entry_write(uint64_t *entry, uint64_t wanted)
{
        uint64_t found = 0;

        return __atomic_compare_exchange_n(entry, &found, wanted, /* weak= */ false,
                                           __ATOMIC_RELEASE, __ATOMIC_RELAXED) ||
               entry_is_ours(found, wanted);
}

/* Returns how many entries have been visited until one was not as wanted. */
static uint32_t entries_visit(const MemoryBank *banks, unsigned int n_banks, uint64_t *entries,
                              EntryVisit visit)
{
        uint32_t n = 0;

        for (unsigned int bank = 0; bank < n_banks; bank++) {
                const uint64_t first = banks[bank].base / GUEST_PAGE_SIZE;
                const uint64_t end = first + banks[bank].size / GUEST_PAGE_SIZE;

                for (uint64_t page = first; page < end; page++, n++) {
                        const uint64_t wanted = page << ENTRY_FRAME_SHIFT |
                                                BACKEND_DOMID << ENTRY_DOMID_SHIFT |
                                                ENTRY_PERMIT_ACCESS;

                        if (!visit(&entries[n], wanted))
                                return n;
                }
        }
        return n;
}

int grant_seed_write(const GrantSeed *seed, const MemoryBank *banks, unsigned int n_banks,
                     uint64_t *entries, uint32_t *ret_reference)
{
        const uint64_t n_pages = pages_of(banks, n_banks);
        uint32_t n;

        n = entries_visit(banks, n_banks, entries, entry_check);
        if (n == n_pages)
                n = entries_visit(banks, n_banks, entries, entry_write);
        if (n == n_pages)
                return 0;
        *ret_reference = grant_seed_reference(seed, banks, 0) + n;
        return -EBUSY;
}
