/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* frontend/memory-way.h and memory-table.h. */

#include "frontend/memory-table.h"

#include <errno.h>
#include <glib.h>

static const MemoryBank banks[] = { { 0x40000000, 0xc0000000 }, { 0x200000000, 0x20000000 } };
static const int fds[] = { 7, 8 };

static void test_choose(void)
{
        static const struct {
                MemoryChoice choice;
                bool grants, xen_mmap;
                int result;
                MemoryWay way;
        } cases[] = {
                { MEMORY_AUTO, false, false, 0, MEMORY_WAY_FILE },
                { MEMORY_AUTO, false, true, 0, MEMORY_WAY_FOREIGN },
                { MEMORY_XEN_MMAP, false, false, -EOPNOTSUPP, _MEMORY_WAY_MAX },
                { MEMORY_XEN_MMAP, false, true, 0, MEMORY_WAY_FOREIGN },
                { MEMORY_SEED, false, false, 0, MEMORY_WAY_SEEDED },
                { MEMORY_SEED, false, true, 0, MEMORY_WAY_SEEDED },
                { MEMORY_PRELOAD, false, false, 0, MEMORY_WAY_FILE },
                { MEMORY_PRELOAD, false, true, 0, MEMORY_WAY_FILE },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                MemoryWay way = _MEMORY_WAY_MAX;

                g_assert_cmpint(memory_way_choose(cases[i].choice, cases[i].grants,
                                                  cases[i].xen_mmap, &way),
                                ==, cases[i].result);
                g_assert_cmpint(way, ==, cases[i].way);
        }
        /* What the guest's driver hands out leaves no choice. */
        for (int choice = 0; choice < _MEMORY_CHOICE_MAX; choice++) {
                MemoryWay way;

                g_assert_cmpint(memory_way_choose((MemoryChoice)choice, true, false, &way), ==,
                                -EOPNOTSUPP);
                g_assert_cmpint(memory_way_choose((MemoryChoice)choice, true, true, &way), ==, 0);
                g_assert_cmpint(way, ==, MEMORY_WAY_GRANTS);
        }
}

static void test_describe(void)
{
        for (int way = 0; way < _MEMORY_WAY_MAX; way++)
                g_assert_cmpstr(memory_way_describe((MemoryWay)way), !=,
                                memory_way_describe(_MEMORY_WAY_MAX));
}

static void region_check(const VhostUserXenRegion *region, uint64_t base, uint64_t size,
                         uint32_t flags, uint32_t domid)
{
        g_assert_cmphex(region->region.guest_address, ==, base);
        g_assert_cmphex(region->region.user_address, ==, base);
        g_assert_cmphex(region->region.size, ==, size);
        g_assert_cmphex(region->region.mmap_offset, ==, 0);
        g_assert_cmphex(region->flags, ==, flags);
        g_assert_cmpuint(region->domid, ==, domid);
}

static void test_banks(void)
{
        const struct {
                MemoryWay way;
                uint32_t flags, domid;
        } cases[] = {
                { MEMORY_WAY_FILE, 0, 0 },
                { MEMORY_WAY_SEEDED, 0, 0 },
                { MEMORY_WAY_FOREIGN, 1, 5 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                for (unsigned int n = 1; n <= 2; n++) {
                        const VhostMemory memory = {
                                .domid = 5, .banks = banks, .fds = fds, .n_banks = n
                        };
                        VhostUserXenRegion regions[VHOST_USER_REGIONS_MAX];

                        g_assert_cmpuint(memory_table_make(&memory, cases[i].way, NULL, regions),
                                         ==, (int)n);
                        for (unsigned int bank = 0; bank < n; bank++)
                                region_check(&regions[bank], banks[bank].base, banks[bank].size,
                                             cases[i].flags, cases[i].domid);
                }
        }
}

#define BASE GUEST_GRANTS_BASE
#define END  (GUEST_GRANTS_BASE + GUEST_GRANTS_SIZE)

enum {
        LATER = 0x2 | 0x8,
        RING = 0x2,
};

/* Split rings of 128: the first two areas take 2310 bytes, the last one 1030. */
static void queue_set(VirtioDevice *device, unsigned int index, uint64_t rings, uint64_t used)
{
        device->n_queues = (uint16_t)MAX(device->n_queues, index + 1);
        device->queues[index] = (VirtioQueue){
                .descriptor_area = rings,
                .driver_area = rings + 2048,
                .device_area = used,
                .size = 128,
                .ready = 1,
        };
}

static int table_make(const VirtioDevice *device, VhostUserXenRegion *ret_regions)
{
        const MemoryBank bank = { BASE, GUEST_GRANTS_SIZE };
        const VhostMemory memory = { .domid = 5, .banks = &bank, .n_banks = 1 };

        return memory_table_make(&memory, MEMORY_WAY_GRANTS, device, ret_regions);
}

/* Checks the regions that begin at these addresses, each up to the next one. */
static void grants_check(const VirtioDevice *device, const uint64_t (*expected)[2], int n)
{
        VhostUserXenRegion regions[VHOST_USER_REGIONS_MAX];

        g_assert_cmpint(table_make(device, regions), ==, n);
        for (int i = 0; i < n; i++)
                region_check(&regions[i], expected[i][0],
                             (i + 1 < n ? expected[i + 1][0] : END) - expected[i][0],
                             (uint32_t)expected[i][1], 5);
}

static void test_grants(void)
{
        VirtioDevice device = { 0 };

        grants_check(&device, (const uint64_t[][2]){ { BASE, LATER } }, 1);

        /* As Linux does: one after the other, here at the very beginning. */
        queue_set(&device, 0, BASE, BASE + 0x1000);
        grants_check(&device, (const uint64_t[][2]){ { BASE, RING }, { BASE + 0x2000, LATER } }, 2);

        /* Apart, in the middle of pages, in any order; over the end of a page. */
        queue_set(&device, 0, BASE + 0x9700, BASE + 0x5100);
        grants_check(&device,
                     (const uint64_t[][2]){ { BASE, LATER },
                                            { BASE + 0x5000, RING },
                                            { BASE + 0x6000, LATER },
                                            { BASE + 0x9000, RING },
                                            { BASE + 0xb000, LATER } },
                     5);

        /* A second queue in one of the pages, and beside it. One that is not ready has no ring. */
        queue_set(&device, 1, BASE + 0x5800, BASE + 0xb000);
        queue_set(&device, 2, BASE + 0x20000, BASE + 0x30000);
        device.queues[2].ready = 0;
        grants_check(&device,
                     (const uint64_t[][2]){ { BASE, LATER },
                                            { BASE + 0x5000, RING },
                                            { BASE + 0x7000, LATER },
                                            { BASE + 0x9000, RING },
                                            { BASE + 0xc000, LATER } },
                     5);
}

static void test_grants_at_the_end(void)
{
        VirtioDevice device = { 0 };

        queue_set(&device, 0, END - 0x2000, END - 0x1000);
        grants_check(&device, (const uint64_t[][2]){ { BASE, LATER }, { END - 0x2000, RING } }, 2);
}

static void test_grants_in_many_places(void)
{
        VirtioDevice device = { 0 };
        VhostUserXenRegion regions[VHOST_USER_REGIONS_MAX];

        for (unsigned int i = 0; i < 3; i++)
                queue_set(&device, i, BASE + (i * 4 + 2) * 0x1000, BASE + (i * 4 + 3) * 0x1000);
        g_assert_cmpint(table_make(&device, regions), ==, 7);
        queue_set(&device, 3, BASE, BASE + 0x1000); /* beside the first one */
        g_assert_cmpint(table_make(&device, regions), ==, 6);
        queue_set(&device, 3, BASE + 0x100000, BASE + 0x101000);
        g_assert_cmpint(table_make(&device, regions), ==, -E2BIG);
        for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
                queue_set(&device, i, BASE + 4 * i * 0x1000, BASE + (4 * i + 2) * 0x1000);
        g_assert_cmpint(table_make(&device, regions), ==, -E2BIG);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/memory-table/choose", test_choose);
        g_test_add_func("/memory-table/describe", test_describe);
        g_test_add_func("/memory-table/banks", test_banks);
        g_test_add_func("/memory-table/grants", test_grants);
        g_test_add_func("/memory-table/grants-at-the-end", test_grants_at_the_end);
        g_test_add_func("/memory-table/grants-in-many-places", test_grants_in_many_places);
        return g_test_run();
}
