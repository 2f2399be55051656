/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ring.h and chain.h over plain memory, with rings that the test writes by hand. */

#include "tests/backend/ring.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>

#define RAM    UINT64_C(0x40000000)
#define SIZE   4
#define TABLE  UINT64_C(0x0)
#define DRIVER UINT64_C(0x1000)
#define DEVICE UINT64_C(0x2000)
#define DATA   UINT64_C(0x3000)
#define END    UINT64_C(0x8000)

#define SPLIT  BIT(FEATURE_VERSION_1)
#define PACKED (SPLIT | BIT(FEATURE_RING_PACKED))
#define MORE   (BIT(FEATURE_INDIRECT_DESC) | BIT(FEATURE_EVENT_IDX))

typedef struct Fixture {
        Memory memory;
        uint8_t *ram; /* the test's own view */
        Ring ring;
        Chain chain;
} Fixture;

static void fixture_init(Fixture *fixture, uint64_t features, uint32_t base)
{
        const WireRegion region = { .guest_address = RAM, .size = END, .user_address = RAM };
        const WireAddress address = {
                .descriptor = RAM + TABLE,
                .available = RAM + DRIVER,
                .used = RAM + DEVICE,
        };
        int fd = memfd_create("ram", MFD_CLOEXEC);

        *fixture = (Fixture){ 0 };
        g_assert_cmpint(ftruncate(fd, (off_t)END), ==, 0);
        fixture->ram = mmap(NULL, END, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        g_assert_true(fixture->ram != MAP_FAILED);
        g_assert_cmpint(memory_add(&fixture->memory, &region, fd), ==, 0);
        g_assert_cmpint(ring_open(&fixture->ring, &fixture->memory, &address, SIZE, features, base),
                        ==, 0);
}

static void fixture_clear(Fixture *fixture)
{
        ring_close(&fixture->ring);
        memory_clear(&fixture->memory);
        munmap(fixture->ram, END);
}

static int pop(Fixture *fixture)
{
        return ring_pop(&fixture->ring, &fixture->memory, &fixture->chain);
}

static void set_u16(Fixture *fixture, uint64_t place, uint16_t value)
{
        memcpy(fixture->ram + place, &value, sizeof(value));
}

static uint16_t get_u16(const Fixture *fixture, uint64_t place)
{
        uint16_t value;

        memcpy(&value, fixture->ram + place, sizeof(value));
        return value;
}

static void descriptor_set(Fixture *fixture, uint64_t table, uint16_t index, uint64_t address,
                           uint32_t length, uint16_t flags, uint16_t next)
{
        const RingDescriptor descriptor = { address, length, flags, next };

        memcpy(fixture->ram + table + index * sizeof(descriptor), &descriptor, sizeof(descriptor));
}

/* Makes chains available that begin at head, until the available index is so. */
static void available_set(Fixture *fixture, uint16_t head, uint16_t index)
{
        set_u16(fixture, DRIVER + 4 + 2 * ((uint64_t)(index - 1) % SIZE), head);
        set_u16(fixture, DRIVER + 2, index);
}

static void test_split(void)
{
        Fixture fixture;

        fixture_init(&fixture, SPLIT, 0);
        g_assert_cmpint(pop(&fixture), ==, 0);
        descriptor_set(&fixture, TABLE, 2, RAM + DATA, 10, DESCRIPTOR_NEXT, 0);
        descriptor_set(&fixture, TABLE, 0, RAM + DATA + 16, 20, DESCRIPTOR_WRITE, 0);
        available_set(&fixture, 2, 1);
        g_assert_cmpint(pop(&fixture), ==, 1);
        g_assert_cmpuint(fixture.chain.id, ==, 2);
        g_assert_cmpuint(fixture.chain.readable, ==, 10);
        g_assert_cmpuint(fixture.chain.writable, ==, 20);
        g_assert_cmpint(pop(&fixture), ==, 0);
        g_assert_cmpuint(ring_base(&fixture.ring), ==, 1);

        ring_push(&fixture.ring, &fixture.chain, 7);
        g_assert_cmpuint(get_u16(&fixture, DEVICE + 2), ==, 1);
        g_assert_cmpuint(get_u16(&fixture, DEVICE + 4), ==, 2);
        g_assert_cmpuint(get_u16(&fixture, DEVICE + 8), ==, 7);
        g_assert_true(ring_wants_interrupt(&fixture.ring));
        g_assert_false(ring_wants_interrupt(&fixture.ring)); /* nothing since */
        fixture_clear(&fixture);
}

/* Rings that go on where another backend stopped: 65535 comes before 0. */
static void test_split_wraps(void)
{
        Fixture fixture;

        fixture_init(&fixture, SPLIT, 65535);
        set_u16(&fixture, DRIVER + 2, 65535);
        g_assert_cmpint(pop(&fixture), ==, 0);
        descriptor_set(&fixture, TABLE, 1, RAM + DATA, 1, 0, 0);
        available_set(&fixture, 1, 0);
        set_u16(&fixture, DRIVER + 4 + 2 * 3, 1);
        g_assert_cmpint(pop(&fixture), ==, 1);
        g_assert_cmpuint(ring_base(&fixture.ring), ==, 0);
        fixture_clear(&fixture);
}

static void test_split_notify(void)
{
        Fixture fixture;

        fixture_init(&fixture, SPLIT, 0);
        ring_notify_disable(&fixture.ring);
        g_assert_cmpuint(get_u16(&fixture, DEVICE), ==, 1);
        g_assert_false(ring_notify_enable(&fixture.ring));
        g_assert_cmpuint(get_u16(&fixture, DEVICE), ==, 0);
        available_set(&fixture, 0, 1);
        g_assert_true(ring_notify_enable(&fixture.ring)); /* came meanwhile */
        set_u16(&fixture, DRIVER, 1);                     /* NO_INTERRUPT */
        g_assert_cmpint(pop(&fixture), ==, 1);
        ring_push(&fixture.ring, &fixture.chain, 0);
        g_assert_false(ring_wants_interrupt(&fixture.ring));
        fixture_clear(&fixture);
}

static void test_split_event(void)
{
        Fixture fixture;

        fixture_init(&fixture, SPLIT | MORE, 0);
        set_u16(&fixture, DRIVER + 4 + 2 * SIZE, 1); /* interrupt at the second */
        for (uint16_t i = 1; i <= 2; i++) {
                available_set(&fixture, 0, i);
                g_assert_cmpint(pop(&fixture), ==, 1);
                ring_push(&fixture.ring, &fixture.chain, 0);
                g_assert_cmpint(ring_wants_interrupt(&fixture.ring), ==, i == 2);
        }
        g_assert_false(ring_notify_enable(&fixture.ring));
        g_assert_cmpuint(get_u16(&fixture, DEVICE + 4 + 8 * SIZE), ==, 2);
        fixture_clear(&fixture);
}

/* What a driver must not put into a split ring. */
static void test_split_broken(void)
{
        static const struct {
                uint16_t flags[2];
                uint16_t next;
                uint32_t length;
                int result;
        } cases[] = {
                { { DESCRIPTOR_NEXT, 0 }, 1, 16, 1 },
                { { DESCRIPTOR_NEXT, 0 }, SIZE, 16, -EPROTO },                 /* no such one */
                { { DESCRIPTOR_NEXT, DESCRIPTOR_NEXT }, 1, 16, -EPROTO },      /* a loop */
                { { DESCRIPTOR_NEXT | DESCRIPTOR_WRITE, 0 }, 1, 16, -EPROTO }, /* wrong order */
                { { DESCRIPTOR_INDIRECT, 0 }, 0, 16, 1 },
                { { DESCRIPTOR_INDIRECT, 0 }, 0, 17, -EPROTO },
                { { DESCRIPTOR_INDIRECT, 0 }, 0, 0, -EPROTO },
                { { DESCRIPTOR_INDIRECT | DESCRIPTOR_NEXT, 0 }, 1, 16, -EPROTO },
                { { DESCRIPTOR_INDIRECT, 0 }, 0, 0x10000, -EFAULT },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                Fixture fixture;

                fixture_init(&fixture, SPLIT | MORE, 0);
                descriptor_set(&fixture, TABLE, 0, RAM + DATA, cases[i].length, cases[i].flags[0],
                               cases[i].next);
                descriptor_set(&fixture, TABLE, 1, RAM + DATA, 16, cases[i].flags[1], 0);
                available_set(&fixture, 0, 1);
                g_assert_cmpint(pop(&fixture), ==, cases[i].result);
                fixture_clear(&fixture);
        }
}

static void test_split_index_broken(void)
{
        Fixture fixture;

        fixture_init(&fixture, SPLIT, 0);
        set_u16(&fixture, DRIVER + 2, SIZE + 1);
        g_assert_cmpint(pop(&fixture), ==, -EPROTO);
        available_set(&fixture, SIZE, 1);
        g_assert_cmpint(pop(&fixture), ==, -EPROTO);
        /* INDIRECT was not agreed on. */
        descriptor_set(&fixture, TABLE, 0, RAM + DATA, 16, DESCRIPTOR_INDIRECT, 0);
        available_set(&fixture, 0, 1);
        g_assert_cmpint(pop(&fixture), ==, -EPROTO);
        fixture_clear(&fixture);
}

/* A table in a table is not allowed, at any depth. */
static void test_split_nested(void)
{
        Fixture fixture;

        fixture_init(&fixture, SPLIT | MORE, 0);
        descriptor_set(&fixture, TABLE, 0, RAM + DATA, 32, DESCRIPTOR_INDIRECT, 0);
        descriptor_set(&fixture, DATA, 0, RAM, 5, DESCRIPTOR_NEXT, 1);
        descriptor_set(&fixture, DATA, 1, RAM, 6, DESCRIPTOR_WRITE, 0);
        available_set(&fixture, 0, 1);
        g_assert_cmpint(pop(&fixture), ==, 1);
        g_assert_cmpuint(fixture.chain.readable, ==, 5);
        g_assert_cmpuint(fixture.chain.writable, ==, 6);
        descriptor_set(&fixture, DATA, 1, RAM, 16, DESCRIPTOR_INDIRECT, 0);
        available_set(&fixture, 0, 2);
        g_assert_cmpint(pop(&fixture), ==, -EPROTO);
        fixture_clear(&fixture);
}

static void packed_set(Fixture *fixture, uint64_t table, uint16_t index, uint32_t length,
                       uint16_t flags, uint16_t id)
{
        const PackedDescriptor descriptor = { RAM + DATA, length, id, flags };

        memcpy(fixture->ram + table + index * sizeof(descriptor), &descriptor, sizeof(descriptor));
}

#define BASE_NEW   UINT32_C(0x80008000)
#define FIRST_LAP  DESCRIPTOR_AVAIL
#define SECOND_LAP DESCRIPTOR_USED

static void test_packed(void)
{
        Fixture fixture;

        fixture_init(&fixture, PACKED, BASE_NEW);
        g_assert_cmpint(pop(&fixture), ==, 0);
        for (uint16_t i = 0; i < 3; i++)
                packed_set(&fixture, TABLE, i, 8, i < 2 ? FIRST_LAP | DESCRIPTOR_NEXT : FIRST_LAP,
                           7);
        g_assert_cmpint(pop(&fixture), ==, 1);
        g_assert_cmpuint(fixture.chain.id, ==, 7);
        g_assert_cmpuint(fixture.chain.n_slots, ==, 3);
        g_assert_cmpuint(fixture.chain.readable, ==, 24);
        g_assert_cmphex(ring_base(&fixture.ring), ==, 0x80008003);
        ring_push(&fixture.ring, &fixture.chain, 9);
        g_assert_cmphex(ring_base(&fixture.ring), ==, 0x80038003);
        g_assert_cmpuint(get_u16(&fixture, TABLE + 8), ==, 9);
        g_assert_cmphex(get_u16(&fixture, TABLE + 14), ==,
                        DESCRIPTOR_AVAIL | DESCRIPTOR_USED | DESCRIPTOR_WRITE);

        /* Around the end: the laps' flags are the other way round. */
        packed_set(&fixture, TABLE, 3, 1, FIRST_LAP | DESCRIPTOR_NEXT, 1);
        packed_set(&fixture, TABLE, 0, 1, SECOND_LAP, 2);
        g_assert_cmpint(pop(&fixture), ==, 1);
        g_assert_cmpuint(fixture.chain.id, ==, 2);
        ring_push(&fixture.ring, &fixture.chain, 0);
        g_assert_cmphex(get_u16(&fixture, TABLE + 3 * 16 + 14), ==,
                        DESCRIPTOR_AVAIL | DESCRIPTOR_USED);
        g_assert_cmphex(ring_base(&fixture.ring), ==, 0x00010001);
        g_assert_cmpint(pop(&fixture), ==, 0);
        fixture_clear(&fixture);
}

static void test_packed_events(void)
{
        Fixture fixture;

        fixture_init(&fixture, PACKED | MORE, BASE_NEW);
        ring_notify_disable(&fixture.ring);
        g_assert_cmpuint(get_u16(&fixture, DEVICE + 2), ==, 1);
        g_assert_false(ring_notify_enable(&fixture.ring));
        g_assert_cmpuint(get_u16(&fixture, DEVICE + 2), ==, 2);
        g_assert_cmphex(get_u16(&fixture, DEVICE), ==, 0x8000);
        set_u16(&fixture, DRIVER, 0x8001); /* the second place of this lap */
        set_u16(&fixture, DRIVER + 2, 2);
        for (uint16_t i = 0; i < 4; i++) {
                packed_set(&fixture, TABLE, i, 1, FIRST_LAP, i);
                g_assert_cmpint(pop(&fixture), ==, 1);
                ring_push(&fixture.ring, &fixture.chain, 1);
                g_assert_cmpint(ring_wants_interrupt(&fixture.ring), ==, i == 1);
        }
        /* An event of the lap that has just ended is past. */
        packed_set(&fixture, TABLE, 0, 1, SECOND_LAP, 0);
        set_u16(&fixture, DRIVER, 0x0000); /* the first place of the next lap */
        g_assert_cmpint(pop(&fixture), ==, 1);
        ring_push(&fixture.ring, &fixture.chain, 1);
        g_assert_true(ring_wants_interrupt(&fixture.ring));
        set_u16(&fixture, DRIVER + 2, 1); /* none at all */
        packed_set(&fixture, TABLE, 1, 1, SECOND_LAP, 0);
        g_assert_cmpint(pop(&fixture), ==, 1);
        ring_push(&fixture.ring, &fixture.chain, 1);
        g_assert_false(ring_wants_interrupt(&fixture.ring));
        fixture_clear(&fixture);
}

static void test_packed_broken(void)
{
        static const struct {
                uint16_t flags;
                uint32_t length;
                int result;
        } cases[] = {
                { DESCRIPTOR_INDIRECT, 16, 1 },
                { DESCRIPTOR_INDIRECT, 15, -EPROTO },
                { DESCRIPTOR_INDIRECT, 0, -EPROTO },
                { DESCRIPTOR_INDIRECT | DESCRIPTOR_NEXT, 16, -EPROTO },
                { DESCRIPTOR_INDIRECT, 0x10000, -EPROTO },
                { DESCRIPTOR_INDIRECT, 0x4000, -EPROTO }, /* to be read after to be written */
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                Fixture fixture;

                fixture_init(&fixture, PACKED | MORE, BASE_NEW);
                packed_set(&fixture, TABLE, 0, cases[i].length, FIRST_LAP | cases[i].flags, 0);
                packed_set(&fixture, DATA, 0, 8, DESCRIPTOR_WRITE, 0);
                g_assert_cmpint(pop(&fixture), ==, cases[i].result);
                fixture_clear(&fixture);
        }
}

/* A chain that never ends fills the ring and is refused. */
static void test_packed_endless(void)
{
        Fixture fixture;

        fixture_init(&fixture, PACKED, BASE_NEW);
        for (uint16_t i = 0; i < SIZE; i++)
                packed_set(&fixture, TABLE, i, 1, FIRST_LAP | DESCRIPTOR_NEXT, 0);
        g_assert_cmpint(pop(&fixture), ==, -EPROTO);
        fixture_clear(&fixture);
}

static void test_chain_data(void)
{
        const char text[] = "0123456789";
        char copy[sizeof(text)] = { 0 };
        Fixture fixture;
        Chain *chain = &fixture.chain;

        fixture_init(&fixture, SPLIT, 0);
        memcpy(fixture.ram + DATA, text, sizeof(text));
        chain_begin(chain);
        g_assert_cmpint(chain_add(chain, RAM + DATA, 3, false), ==, 0);
        g_assert_cmpint(chain_add(chain, RAM + DATA + 3, 8, false), ==, 0);
        g_assert_cmpint(chain_add(chain, RAM + DATA + 100, 4, true), ==, 0);
        g_assert_cmpint(chain_add(chain, RAM + END - 4, 8, true), ==, 0); /* half of it is not */
        g_assert_cmpint(chain_add(chain, RAM + DATA, 1, false), ==, -EPROTO);
        g_assert_cmpint(chain_read(chain, &fixture.memory, 1, copy, 10), ==, 0);
        g_assert_cmpstr(copy, ==, "123456789");
        g_assert_cmpint(chain_read(chain, &fixture.memory, 2, copy, 10), ==, -EMSGSIZE);
        g_assert_cmpint(chain_write(chain, &fixture.memory, 2, text, 6), ==, 0);
        g_assert_cmpmem(fixture.ram + DATA + 102, 2, "01", 2);
        g_assert_cmpmem(fixture.ram + END - 4, 4, "2345", 4);
        g_assert_cmpint(chain_write(chain, &fixture.memory, 2, text, 7), ==, -EFAULT);
        fixture_clear(&fixture);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/ring/split", test_split);
        g_test_add_func("/ring/split-wraps", test_split_wraps);
        g_test_add_func("/ring/split-notify", test_split_notify);
        g_test_add_func("/ring/split-event", test_split_event);
        g_test_add_func("/ring/split-broken", test_split_broken);
        g_test_add_func("/ring/split-index-broken", test_split_index_broken);
        g_test_add_func("/ring/split-nested", test_split_nested);
        g_test_add_func("/ring/packed", test_packed);
        g_test_add_func("/ring/packed-events", test_packed_events);
        g_test_add_func("/ring/packed-broken", test_packed_broken);
        g_test_add_func("/ring/packed-endless", test_packed_endless);
        g_test_add_func("/ring/chain-data", test_chain_data);
        return g_test_run();
}
