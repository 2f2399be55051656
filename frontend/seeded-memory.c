/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/seeded-memory.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <sys/mman.h>

#include "frontend/grant-seed.h"
#include "frontend/grant-table.h"

typedef struct SeededMemory {
        uint16_t domid;
        const MemoryBank *banks;
        unsigned int n_banks;
        const LogContext *log;
        GrantSeed seed;
} SeededMemory;

/* Finds out where the entries go. */
static int seed_plan(SeededMemory *memory, GrantTable *table)
{
        uint32_t n_frames;
        int r;

        r = grant_table_frames(table, &n_frames);
        if (r < 0) {
                log_error_errno(memory->log, r,
                                "cannot find out how large the guest's grant table may be: %m");
                return r;
        }
        r = grant_seed_plan(memory->banks, memory->n_banks, n_frames, &memory->seed);
        if (r < 0)
                log_error(memory->log,
                          "the guest's grant table has no room for its memory: it has %" PRIu32
                          " frames and needs max_grant_frames=%" PRIu32,
                          n_frames, grant_seed_frames_wanted(memory->banks, memory->n_banks));
        return r;
}

static int entries_write(SeededMemory *memory, GrantTable *table)
{
        uint64_t *entries;
        uint32_t reference;
        int r;

        r = grant_table_map(table, memory->seed.first_frame, memory->seed.n_frames, &entries);
        if (r < 0) {
                log_error_errno(memory->log, r, "cannot map the guest's grant table: %m");
                return r;
        }
        r = grant_seed_write(&memory->seed, memory->banks, memory->n_banks, entries, &reference);
        if (r < 0)
                log_error(memory->log,
                          "the guest uses grant %" PRIu32
                          " itself, beyond the %u frames that are left to it",
                          reference, memory->seed.first_frame);
        return r;
}

static int table_seed(SeededMemory *memory)
{
        _cleanup_(grant_table_closep) GrantTable *table = NULL;
        int r;

        r = grant_table_open(memory->domid, &table);
        if (r == -EOPNOTSUPP)
                log_error(memory->log, "the guest uses version 2 of grant tables, in which its "
                                       "memory cannot be granted for it");
        else if (r < 0)
                log_error_errno(memory->log, r, "cannot open the guest's grant table: %m");
        if (r < 0)
                return r;
        r = seed_plan(memory, table);
        return r < 0 ? r : entries_write(memory, table);
}

static int set_open(const SeededMemory *memory, GrantSet *ret_set)
{
        _cleanup_(grant_set_close) GrantSet set = GRANT_SET_NONE;

        for (unsigned int i = 0; i < memory->n_banks; i++) {
                const uint64_t n_pages = memory->banks[i].size / GUEST_PAGE_SIZE;
                int r = grant_table_pages_open(
                        memory->domid, grant_seed_reference(&memory->seed, memory->banks, i),
                        (uint32_t)n_pages, &set.fds[i]);

                if (r == -E2BIG)
                        log_error(memory->log,
                                  "Linux maps less than %" PRIu64 " granted pages at once: "
                                  "/sys/module/xen_gntdev/parameters/limit is too low",
                                  n_pages);
                else if (r < 0)
                        log_error_errno(memory->log, r, "cannot open the guest's memory: %m");
                if (r < 0)
                        return r;
        }
        *ret_set = set;
        set = GRANT_SET_NONE;
        return 0;
}

/* Maps all banks as a backend will. At the same time: Xen has room for so many pages in all. */
static int banks_map(const SeededMemory *memory, const GrantSet *set)
{
        void *places[MEMORY_BANKS_MAX];
        unsigned int n;
        int r = 0;

        for (n = 0; n < memory->n_banks; n++) {
                places[n] = mmap(NULL, memory->banks[n].size, PROT_READ | PROT_WRITE, MAP_SHARED,
                                 set->fds[n], 0);
                if (places[n] == MAP_FAILED) {
                        r = -errno;
                        break;
                }
        }
        while (n-- > 0)
                munmap(places[n], memory->banks[n].size);
        return r;
}

/*
 * A backend that cannot map its memory can hardly say why, or not at all. Xen maps no page that the
 * guest does not have, and only as many as the host's maptrack table has room for.
 */
static int mapping_try(const SeededMemory *memory)
{
        _cleanup_(grant_set_close) GrantSet set = GRANT_SET_NONE;
        int r;

        r = set_open(memory, &set);
        if (r < 0)
                return r;
        r = banks_map(memory, &set);
        if (r < 0)
                log_error_errno(memory->log, r,
                                "cannot map the guest's memory through its grant table: %m. Either "
                                "the guest lacks pages (memory below maxmem), or Xen's "
                                "gnttab_max_maptrack_frames is too low");
        return r;
}

int seeded_memory_open(uint16_t domid, const MemoryBank *banks, unsigned int n_banks,
                       const LogContext *log, GrantSets *ret_sets)
{
        _cleanup_(grant_sets_close) GrantSets sets = { .n = 0 };
        SeededMemory memory = { .domid = domid, .banks = banks, .n_banks = n_banks, .log = log };
        int r;

        r = table_seed(&memory);
        if (r >= 0)
                r = mapping_try(&memory);
        while (r >= 0 && sets.n < SEEDED_SETS) {
                r = set_open(&memory, &sets.sets[sets.n]);
                if (r >= 0)
                        sets.n++;
        }
        malloc_trim(0); /* the lists of grants were long */
        if (r < 0)
                return r;
        *ret_sets = sets;
        sets.n = 0;
        return 0;
}
