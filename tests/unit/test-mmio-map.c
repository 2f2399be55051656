/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/mmio-map.h"

#include <errno.h>
#include <glib.h>

#include "common/launch.h"

static char devices[DEVICE_LIST_MAX + 1];

static uint64_t base_of(unsigned int i)
{
        return 0x2000000 + (uint64_t)i * VIRTIO_MMIO_RANGE_SIZE;
}

static void assert_range(const MmioMap *map, unsigned int i, bool known, const void *device)
{
        g_assert_true(mmio_map_find(map, base_of(i)) == device);
        g_assert_cmpint(mmio_map_knows(map, base_of(i)), ==, known);
}

static void test_ranges(void)
{
        MmioMap map = { 0 };

        assert_range(&map, 0, false, NULL);
        for (unsigned int i = 0; i < 3; i++)
                g_assert_cmpint(mmio_map_add(&map, base_of(i), &devices[i]), ==, 0);
        for (unsigned int i = 0; i < 3; i++)
                assert_range(&map, i, true, &devices[i]);
        assert_range(&map, 3, false, NULL);
        g_assert_cmpint(mmio_map_add(&map, base_of(1), &devices[3]), ==, -EEXIST);
        assert_range(&map, 1, true, &devices[1]);
}

static void test_removed(void)
{
        MmioMap map = { 0 };

        for (unsigned int i = 0; i < 3; i++)
                g_assert_cmpint(mmio_map_add(&map, base_of(i), &devices[i]), ==, 0);
        mmio_map_remove(&map, base_of(1));
        mmio_map_remove(&map, base_of(7)); /* never had one */
        assert_range(&map, 0, true, &devices[0]);
        assert_range(&map, 1, true, NULL);
        assert_range(&map, 2, true, &devices[2]);
        assert_range(&map, 7, false, NULL);

        g_assert_cmpint(mmio_map_add(&map, base_of(1), &devices[9]), ==, 0);
        assert_range(&map, 1, true, &devices[9]);
        g_assert_cmpuint(map.n, ==, 3);
}

/* However many have come and gone, there is room for DEVICE_LIST_MAX. */
static void test_full(void)
{
        MmioMap map = { 0 };

        for (unsigned int i = 0; i < 1000; i++) {
                g_assert_cmpint(mmio_map_add(&map, base_of(i), &devices[0]), ==, 0);
                mmio_map_remove(&map, base_of(i));
        }
        for (unsigned int i = 0; i < DEVICE_LIST_MAX; i++)
                g_assert_cmpint(mmio_map_add(&map, base_of(2000 + i), &devices[i]), ==, 0);
        g_assert_cmpint(mmio_map_add(&map, base_of(0), &devices[DEVICE_LIST_MAX]), ==, -ENOSPC);
        for (unsigned int i = 0; i < DEVICE_LIST_MAX; i++)
                assert_range(&map, 2000 + i, true, &devices[i]);
        mmio_map_remove(&map, base_of(2005));
        g_assert_cmpint(mmio_map_add(&map, base_of(0), &devices[DEVICE_LIST_MAX]), ==, 0);
        assert_range(&map, 0, true, &devices[DEVICE_LIST_MAX]);
        assert_range(&map, 2005, false, NULL);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/mmio-map/ranges", test_ranges);
        g_test_add_func("/mmio-map/removed", test_removed);
        g_test_add_func("/mmio-map/full", test_full);
        return g_test_run();
}
