/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* legality-memory.c and legality-ring.c, in the same way. */

#include "tests/backend/legality-fixture.h"

static void test_table(void)
{
        static const struct {
                WireRegion regions[2];
                uint32_t n;
                const char *broken;
        } cases[] = {
                { { { 0 } }, 0, "a memory table without regions" },
                { { { 0 } }, 9, "too many regions" },
                { { { RAM, 0, RAM, 0, 0, 0 } }, 1, "an empty region" },
                { { { RAM + 1, 4096, RAM, 0, 0, 0 } }, 1, "a region that is not of whole pages" },
                { { { RAM, 4095, RAM, 0, 0, 0 } }, 1, "a region that is not of whole pages" },
                { { { RAM, 4096, 8, 0, 0, 0 } }, 1, "a region that is not of whole pages" },
                { { { RAM, 4096, RAM, 512, 0, 0 } }, 1, "a region that is not of whole pages" },
                { { { -UINT64_C(4096), 8192, RAM, 0, 0, 0 } },
                  1,
                  "a region beyond the end of addresses" },
                { { { RAM, 8192, -UINT64_C(4096), 0, 0, 0 } },
                  1,
                  "a region beyond the end of addresses" },
                { { { RAM, 8192, RAM, 0, 0, 0 }, { RAM + 4096, 8192, 0, 0, 0, 0 } },
                  2,
                  "regions that overlap in the guest" },
                { { { RAM, 8192, RAM, 0, 0, 0 }, { RAM + 8192, 4096, RAM, 0, 0, 0 } },
                  2,
                  "regions whose user addresses overlap" },
                { { { RAM, 4096, RAM, 0, 0, 0 }, { 0, 4096, 0, 0, 0, 0 } },
                  2,
                  "regions that are not in ascending order" },
        };
        Legality legality;

        negotiate(&legality, PROTOCOL);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                assert_illegal(send_table(&legality, cases[i].regions, cases[i].n, WIRE_REGION_SIZE,
                                          cases[i].n),
                               cases[i].broken);
        assert_illegal(send_table(&legality, &ram, 1, WIRE_REGION_SIZE, 0),
                       "not one descriptor for each region");
        assert_illegal(send_table(&legality, &ram, 1, WIRE_REGION_SIZE, 2),
                       "not one descriptor for each region");
        assert_illegal(send_table(&legality, &ram, 1, WIRE_REGION_XEN_SIZE, 1),
                       "a wrong size of the payload");
        assert_legal(send_table(&legality, &ram, 1, WIRE_REGION_SIZE, 1));
}

static void test_xen_table(void)
{
        static const struct {
                uint32_t flags;
                uint64_t offset;
                const char *broken;
        } cases[] = {
                { 3, 0, "Xen flags of a region that cannot be" },
                { 4, 0, "Xen flags of a region that cannot be" },
                { 8, 0, "a region that is not granted cannot be mapped later" },
                { 0x101, 0, "a region that is not granted cannot be mapped later" },
                { 1, 4096, "an offset into a descriptor of Xen's" },
                { 0, 4096, NULL },
                { 1, 0, NULL },
                { 2, 0, NULL },
                { 2 | 8, 0, NULL },
                { 2 | 0x100, 0, NULL },
        };
        Legality legality;

        negotiate(&legality, PROTOCOL | BIT(WIRE_PROTOCOL_XEN_MMAP));
        assert_illegal(send_table(&legality, &ram, 1, WIRE_REGION_SIZE, 1),
                       "a wrong size of the payload");
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                WireRegion region = ram;

                region.xen_flags = cases[i].flags;
                region.mmap_offset = cases[i].offset;
                assert_illegal(send_table(&legality, &region, 1, WIRE_REGION_XEN_SIZE, 1),
                               cases[i].broken);
        }
}

static void test_slots(void)
{
        WireRegion region = ram;
        Legality legality;

        negotiate(&legality, PROTOCOL);
        assert_legal(send_u64(&legality, WIRE_SET_FEATURES, SPLIT, 0));
        assert_legal(send_none(&legality, WIRE_GET_MAX_MEM_SLOTS));
        assert_illegal(send_slot(&legality, WIRE_REM_MEM_REG, &ram, 0),
                       "REM_MEM_REG of a region that is not there");
        assert_illegal(send_slot(&legality, WIRE_ADD_MEM_REG, &ram, 0), "a descriptor is missing");
        assert_legal(send_slot(&legality, WIRE_ADD_MEM_REG, &ram, 1));
        assert_illegal(send_slot(&legality, WIRE_ADD_MEM_REG, &ram, 1),
                       "regions that overlap in the guest");
        assert_illegal(send_table(&legality, &ram, 1, WIRE_REGION_SIZE, 1),
                       "SET_MEM_TABLE after ADD_MEM_REG");
        start(&legality, 0);
        assert_illegal(send_slot(&legality, WIRE_REM_MEM_REG, &ram, 1),
                       "a descriptor that does not belong there");
        assert_illegal(send_slot(&legality, WIRE_REM_MEM_REG, &ram, 0),
                       "REM_MEM_REG takes a started ring away");

        negotiate(&legality, PROTOCOL);
        for (int i = 0; i < WIRE_SLOTS_MAX; i++) {
                region.guest_address = region.user_address = RAM + RAM_SIZE * (uint64_t)i;
                assert_legal(send_slot(&legality, WIRE_ADD_MEM_REG, &region, 1));
        }
        region.guest_address = region.user_address = 0;
        assert_illegal(send_slot(&legality, WIRE_ADD_MEM_REG, &region, 1), "too many regions");
        assert_legal(send_slot(&legality, WIRE_REM_MEM_REG, &ram, 0));
        assert_legal(send_slot(&legality, WIRE_ADD_MEM_REG, &region, 1));
        prepare(&legality, SPLIT);
        assert_illegal(send_slot(&legality, WIRE_ADD_MEM_REG, &region, 1),
                       "ADD_MEM_REG after SET_MEM_TABLE");
}

static void test_ring_order(void)
{
        WireAddress address = ring_address(0);
        Legality legality;

        prepare(&legality, SPLIT);
        assert_illegal(send_address(&legality, &address), "SET_VRING_ADDR before SET_VRING_NUM");
        assert_illegal(send_state(&legality, WIRE_GET_VRING_BASE, 0, 0),
                       "GET_VRING_BASE of a ring that was never set up");
        assert_legal(send_state(&legality, WIRE_SET_VRING_NUM, 0, 16));
        assert_legal(send_address(&legality, &address));
        assert_illegal(send_u64(&legality, WIRE_SET_VRING_KICK, 0, 1),
                       "SET_VRING_KICK before size, base and address of the ring");
        start(&legality, 0);
        assert_illegal(send_address(&legality, &address), "SET_VRING_ADDR of a started ring");
        assert_illegal(send_state(&legality, WIRE_SET_VRING_NUM, 0, 16),
                       "SET_VRING_NUM of a started ring");
        assert_illegal(send_state(&legality, WIRE_SET_VRING_BASE, 0, 0),
                       "SET_VRING_BASE of a started ring");
        assert_illegal(send_u64(&legality, WIRE_SET_FEATURES, FEATURES, 0),
                       "SET_FEATURES changes features of started rings");
        assert_illegal(send_state(&legality, WIRE_GET_VRING_BASE, 0, 1),
                       "GET_VRING_BASE with a number that is reserved");
        assert_legal(send_state(&legality, WIRE_GET_VRING_BASE, 0, 0));
        assert_illegal(send_u64(&legality, WIRE_SET_VRING_KICK, 0, 1),
                       "SET_VRING_KICK before size, base and address of the ring");
}

static void test_ring_values(void)
{
        static const uint32_t indexed[] = { WIRE_SET_VRING_NUM, WIRE_SET_VRING_BASE,
                                            WIRE_GET_VRING_BASE, WIRE_SET_VRING_ENABLE };
        Legality legality;

        prepare(&legality, SPLIT);
        for (size_t i = 0; i < ARRAY_SIZE(indexed); i++)
                assert_illegal(send_state(&legality, indexed[i], N_QUEUES, 0),
                               "a ring that is not there");
        assert_illegal(send_state(&legality, WIRE_SET_VRING_NUM, 0, 0),
                       "a ring size that cannot be");
        assert_illegal(send_state(&legality, WIRE_SET_VRING_NUM, 0, 65536),
                       "a ring size that cannot be");
        assert_illegal(send_state(&legality, WIRE_SET_VRING_NUM, 0, 15),
                       "a size of a split ring that is no power of two");
        assert_illegal(send_state(&legality, WIRE_SET_VRING_BASE, 0, 0x80008000),
                       "a base of a split ring beyond 16 bits");
        assert_illegal(send_state(&legality, WIRE_SET_VRING_ENABLE, 0, 2),
                       "SET_VRING_ENABLE that is neither 0 nor 1");

        prepare(&legality, FEATURES);
        assert_legal(send_state(&legality, WIRE_SET_VRING_NUM, 0, 15));
        assert_legal(send_state(&legality, WIRE_SET_VRING_BASE, 0, 0x80008000));
        assert_illegal(send_state(&legality, WIRE_SET_VRING_BASE, 0, 15),
                       "a base of a packed ring beyond its end");
        assert_illegal(send_state(&legality, WIRE_SET_VRING_BASE, 0, 15 << 16),
                       "a base of a packed ring beyond its end");

        prepare(&legality, SPLIT & ~BIT(FEATURE_PROTOCOL_FEATURES));
        assert_illegal(send_state(&legality, WIRE_SET_VRING_ENABLE, 0, 1),
                       "SET_VRING_ENABLE without PROTOCOL_FEATURES");
}

static void test_ring_descriptors(void)
{
        static const uint32_t requests[] = { WIRE_SET_VRING_KICK, WIRE_SET_VRING_CALL,
                                             WIRE_SET_VRING_ERR };
        Legality legality;

        prepare(&legality, SPLIT);
        start(&legality, 0);
        for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
                const uint32_t request = requests[i];

                assert_legal(send_u64(&legality, request, 0, 1));
                assert_legal(send_u64(&legality, request, WIRE_VRING_NO_FD, 0));
                assert_illegal(send_u64(&legality, request, 0, 0), "a descriptor is missing");
                assert_illegal(send_u64(&legality, request, 0, 2),
                               "a descriptor that does not belong there");
                assert_illegal(send_u64(&legality, request, WIRE_VRING_NO_FD, 1),
                               "a descriptor that does not belong there");
                assert_illegal(send_u64(&legality, request, 0x200, 1),
                               "bits beside a ring's index that are reserved");
                assert_illegal(send_u64(&legality, request, N_QUEUES, 1),
                               "a ring that is not there");
        }
}

/* The areas of a ring of 16 with EVENT_IDX, at both ends of memory. */
static void test_ring_addresses(void)
{
        static const struct {
                uint64_t descriptor, available, used;
                uint32_t flags;
                const char *broken;
        } cases[] = {
                { RAM, RAM + 256, RAM + 512, 0, NULL },
                { RAM + RAM_SIZE - 256, RAM, RAM + 512, 0, NULL },
                { RAM, RAM + RAM_SIZE - 38, RAM + 512, 0, NULL },
                { RAM, RAM + 256, RAM + RAM_SIZE - 136, 0, NULL },
                { RAM - 16, RAM, RAM, 0, "a ring address outside the memory table" },
                { RAM + RAM_SIZE - 240, RAM, RAM, 0, "a ring address outside the memory table" },
                { RAM, RAM + RAM_SIZE - 36, RAM, 0, "a ring address outside the memory table" },
                { RAM, RAM, RAM + RAM_SIZE - 132, 0, "a ring address outside the memory table" },
                { -UINT64_C(16), RAM, RAM, 0, "a ring address outside the memory table" },
                { RAM + 8, RAM, RAM, 0, "a ring address that is not aligned" },
                { RAM, RAM + 1, RAM, 0, "a ring address that is not aligned" },
                { RAM, RAM, RAM + 2, 0, "a ring address that is not aligned" },
                { RAM, RAM, RAM, 2, "flags of a ring that do not exist" },
                { RAM, RAM, RAM, 1, "a ring is to be logged without LOG_ALL" },
        };
        Legality legality;

        prepare(&legality, SPLIT);
        assert_legal(send_state(&legality, WIRE_SET_VRING_NUM, 0, 16));
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const WireAddress address = {
                        .flags = cases[i].flags,
                        .descriptor = cases[i].descriptor,
                        .available = cases[i].available,
                        .used = cases[i].used,
                };

                assert_illegal(send_address(&legality, &address), cases[i].broken);
        }
}

static void test_table_of_started_rings(void)
{
        WireRegion smaller = ram;
        Legality legality;

        smaller.size = 0x2000; /* ends where the used ring begins */
        prepare(&legality, SPLIT);
        assert_legal(send_table(&legality, &smaller, 1, WIRE_REGION_SIZE, 1));
        prepare(&legality, SPLIT);
        start(&legality, 0);
        assert_legal(send_table(&legality, &ram, 1, WIRE_REGION_SIZE, 1));
        assert_illegal(send_table(&legality, &smaller, 1, WIRE_REGION_SIZE, 1),
                       "a memory table that takes a started ring away");
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/legality-ring/table", test_table);
        g_test_add_func("/legality-ring/xen-table", test_xen_table);
        g_test_add_func("/legality-ring/slots", test_slots);
        g_test_add_func("/legality-ring/ring-order", test_ring_order);
        g_test_add_func("/legality-ring/ring-values", test_ring_values);
        g_test_add_func("/legality-ring/ring-descriptors", test_ring_descriptors);
        g_test_add_func("/legality-ring/ring-addresses", test_ring_addresses);
        g_test_add_func("/legality-ring/table-of-started-rings", test_table_of_started_rings);
        return g_test_run();
}
