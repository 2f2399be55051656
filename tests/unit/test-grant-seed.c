/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/grant-seed.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

static const MemoryBank small[] = { { GUEST_BANK0_BASE, 256 * MIB } };
static const MemoryBank large[] = { { GUEST_BANK0_BASE, GUEST_BANK0_SIZE },
                                    { GUEST_BANK1_BASE, 512 * MIB } };
/* Two banks that take a frame and a half. */
static const MemoryBank tiny[] = { { GUEST_BANK0_BASE, MIB }, { GUEST_BANK1_BASE, 2 * MIB } };
#define TINY_PAGES 768

static void test_plan(void)
{
        GrantSeed seed = { 0 };

        g_assert_cmpuint(grant_seed_frames_wanted(small, 1), ==, 128 + 64);
        g_assert_cmpint(grant_seed_plan(small, 1, 191, &seed), ==, -ENOSPC);
        g_assert_cmpint(grant_seed_plan(small, 1, 64, &seed), ==, -ENOSPC);
        g_assert_cmpint(grant_seed_plan(small, 1, 0, &seed), ==, -ENOSPC);
        g_assert_cmpuint(seed.n_frames, ==, 0);
        g_assert_cmpint(grant_seed_plan(small, 1, 192, &seed), ==, 0);
        g_assert_cmpuint(seed.first_frame, ==, 64);
        g_assert_cmpuint(seed.n_frames, ==, 128);
        g_assert_cmpint(grant_seed_plan(small, 1, 512, &seed), ==, 0);
        g_assert_cmpuint(seed.first_frame, ==, 384);

        /* Part of a frame is a frame. */
        g_assert_cmpint(grant_seed_plan(tiny, 2, 66, &seed), ==, 0);
        g_assert_cmpuint(seed.first_frame, ==, 64);
        g_assert_cmpuint(seed.n_frames, ==, 2);
}

static void test_references(void)
{
        const MemoryBank most[] = { { GUEST_BANK0_BASE, GUEST_BANK0_SIZE },
                                    { GUEST_BANK1_BASE, GUEST_BANK1_SIZE } };
        GrantSeed seed;

        g_assert_cmpint(grant_seed_plan(large, 2, 2000, &seed), ==, 0);
        g_assert_cmpuint(seed.n_frames, ==, 1536 + 256);
        g_assert_cmpuint(grant_seed_reference(&seed, large, 0), ==, 208 * 512);
        g_assert_cmpuint(grant_seed_reference(&seed, large, 1), ==, (208 + 1536) * 512);

        /* All that an Arm guest can have fits into 32 bits. */
        g_assert_cmpint(grant_seed_plan(most, 2, UINT32_C(1) << 20, &seed), ==, 0);
        g_assert_cmpuint(seed.n_frames, ==, UINT32_C(1019) << 9);
}

/* As in xen/public/grant_table.h. */
typedef struct Entry {
        uint16_t flags, domid;
        uint32_t frame;
} Entry;

typedef struct Table {
        GrantSeed seed;
        uint64_t entries[2 * GRANT_FRAME_ENTRIES];
} Table;

static void table_make(Table *table)
{
        *table = (Table){ 0 };
        g_assert_cmpint(grant_seed_plan(tiny, 2, 66, &table->seed), ==, 0);
}

static int table_write(Table *table, uint32_t *ret_reference)
{
        return grant_seed_write(&table->seed, tiny, 2, table->entries, ret_reference);
}

static void test_entries(void)
{
        uint32_t reference;
        Table table;

        table_make(&table);
        g_assert_cmpint(table_write(&table, &reference), ==, 0);
        for (uint32_t i = 0; i < G_N_ELEMENTS(table.entries); i++) {
                const uint64_t frame =
                        i < 256 ? (GUEST_BANK0_BASE >> 12) + i : (GUEST_BANK1_BASE >> 12) + i - 256;
                Entry entry;

                memcpy(&entry, &table.entries[i], sizeof(entry));
                g_assert_cmphex(entry.flags, ==, i < TINY_PAGES ? 1 : 0);
                g_assert_cmpuint(entry.domid, ==, 0);
                g_assert_cmphex(entry.frame, ==, i < TINY_PAGES ? frame : 0);
        }
}

/* Another process was here before, and backends have pages mapped. */
static void test_again(void)
{
        uint32_t reference;
        Table table, before;

        table_make(&table);
        g_assert_cmpint(table_write(&table, &reference), ==, 0);
        table.entries[0] |= 0x18;
        table.entries[5] |= 0x08;
        table.entries[300] = 0; /* it was killed before it was done */
        before = table;
        g_assert_cmpint(table_write(&table, &reference), ==, 0);
        g_assert_cmphex(table.entries[0], ==, before.entries[0]);
        g_assert_cmphex(table.entries[5], ==, before.entries[5]);
        g_assert_cmphex(table.entries[300], ==, before.entries[299] + (UINT64_C(1) << 32));
}

/* Whatever an entry holds that is not ours: nothing is written. */
static void test_taken(void)
{
        static const struct {
                uint32_t index;
                uint64_t entry;
        } cases[] = {
                { 0, 1 },                         /* page 0 */
                { 0, UINT64_C(0x4000100000001) }, /* the next page, to dom0 */
                { 0, UINT64_C(0x4000000010001) }, /* the right one, to domain 1 */
                { 1, UINT64_C(0x4000100000005) }, /* read-only */
                { 1, UINT64_C(0x4000100000002) }, /* for a transfer */
                { 1, UINT64_C(0x4000100000000) }, /* was ours, or the guest's */
                { 400, UINT64_C(0x18) },          /* being mapped */
                { TINY_PAGES - 1, UINT64_C(1) << 63 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                uint32_t reference = 0;
                Table table, before;

                table_make(&table);
                table.entries[cases[i].index] = cases[i].entry;
                before = table;
                g_assert_cmpint(table_write(&table, &reference), ==, -EBUSY);
                g_assert_cmpuint(reference, ==, 64 * 512 + cases[i].index);
                g_assert_cmpmem(table.entries, sizeof(table.entries), before.entries,
                                sizeof(before.entries));
        }
}

/* Behind the last page the table is the guest's. */
static void test_beyond(void)
{
        uint32_t reference;
        Table table;

        table_make(&table);
        table.entries[TINY_PAGES] = 0x1234;
        g_assert_cmpint(table_write(&table, &reference), ==, 0);
        g_assert_cmphex(table.entries[TINY_PAGES], ==, 0x1234);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/grant-seed/plan", test_plan);
        g_test_add_func("/grant-seed/references", test_references);
        g_test_add_func("/grant-seed/entries", test_entries);
        g_test_add_func("/grant-seed/again", test_again);
        g_test_add_func("/grant-seed/taken", test_taken);
        g_test_add_func("/grant-seed/beyond", test_beyond);
        return g_test_run();
}
