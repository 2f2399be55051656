/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/local-queue.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "tests/unit/guest-pages.h"

#define BIT(n)        (UINT64_C(1) << (n))
#define INDIRECT_DESC BIT(28)
#define EVENT_IDX     BIT(29)
#define SIZE          8
#define PAGE          4096

enum {
        NEXT = 1,
        WRITE = 2,
        INDIRECT = 4
};

/* Where things are: the rings, 0x1000 apart, in the first bank, buffers in the second. */
#define DESCRIPTORS (guest_banks[0].base)
#define AVAILABLE   (guest_banks[0].base + 0x1000)
#define USED        (guest_banks[0].base + 0x2000)
#define TABLE       (guest_banks[0].base + 0x3000)
#define BUFFER      (guest_banks[1].base)
#define BUFFERS_END (guest_banks[1].base + guest_banks[1].size)

typedef struct Fixture {
        Hypervisor guest;
        VirtioDevice device;
        LocalQueue queue;
        uint16_t available; /* the driver's index */
} Fixture;

static void put16(Fixture *fixture, uint64_t address, uint16_t value)
{
        value = GUINT16_TO_LE(value);
        memcpy(guest_bytes(&fixture->guest, address), &value, sizeof(value));
}

static uint16_t get16(Fixture *fixture, uint64_t address)
{
        uint16_t value;

        memcpy(&value, guest_bytes(&fixture->guest, address), sizeof(value));
        return GUINT16_FROM_LE(value);
}

static Fixture *fixture_new(uint64_t features)
{
        Fixture *fixture = g_aligned_alloc0(1, sizeof(Fixture), PAGE);
        VirtioDevice *device = &fixture->device;

        virtio_init(device, guest_banks, 2);
        virtio_offer(device, features, 3, 256, "", 0);
        virtio_status_write(device, 3);
        virtio_driver_features_write(device, 0, (uint32_t)features);
        virtio_driver_features_write(device, 1, 1);
        virtio_status_write(device, 11);
        device->queues[2] = (VirtioQueue){
                .descriptor_area = DESCRIPTORS,
                .driver_area = AVAILABLE,
                .device_area = USED,
                .size = SIZE,
        };
        virtio_queue_ready_write(device, 2, true);
        g_assert_true(device->queues[2].ready);
        fixture->queue = (LocalQueue){ &fixture->guest, device, 2 };
        return fixture;
}

static void fixture_free(Fixture *fixture)
{
        g_assert_cmpuint(fixture->guest.n_mapped, ==, 0);
        g_aligned_free(fixture);
}

static void describe(Fixture *fixture, uint64_t place, uint64_t address, uint32_t length,
                     uint16_t flags, uint16_t next)
{
        uint8_t *bytes = guest_bytes(&fixture->guest, place);

        memcpy(bytes, &(uint64_t){ GUINT64_TO_LE(address) }, 8);
        memcpy(bytes + 8, &(uint32_t){ GUINT32_TO_LE(length) }, 4);
        memcpy(bytes + 12, &(uint16_t){ GUINT16_TO_LE(flags) }, 2);
        memcpy(bytes + 14, &(uint16_t){ GUINT16_TO_LE(next) }, 2);
}

/* Descriptor n of the queue. */
static void put(Fixture *fixture, unsigned int n, uint64_t address, uint32_t length, uint16_t flags,
                uint16_t next)
{
        describe(fixture, DESCRIPTORS + 16 * n, address, length, flags, next);
}

static void offer(Fixture *fixture, uint16_t head)
{
        put16(fixture, AVAILABLE + 4 + 2 * (fixture->available % SIZE), head);
        put16(fixture, AVAILABLE + 2, ++fixture->available);
}

/* Two bytes, and room for an answer. */
static void offer_command(Fixture *fixture, uint8_t first, uint8_t second)
{
        const uint8_t bytes[] = { first, second };

        memcpy(guest_bytes(&fixture->guest, BUFFER), bytes, sizeof(bytes));
        put(fixture, 3, BUFFER, 2, NEXT, 5);
        put(fixture, 5, BUFFER + 100, 1, WRITE, 0);
        offer(fixture, 3);
}

static int take(Fixture *fixture, LocalRequest *ret_request)
{
        int r;

        memset(ret_request, 0xee, sizeof(*ret_request));
        r = local_queue_take(&fixture->queue, ret_request);
        g_assert_cmpuint(fixture->guest.n_mapped, ==, 0);
        return r;
}

/* Takes what has to fail, and nothing changes by it. */
static void assert_broken(Fixture *fixture, int error)
{
        const uint16_t used = get16(fixture, USED + 2);
        LocalRequest request;

        g_assert_cmpint(take(fixture, &request), ==, error);
        g_assert_cmpuint(get16(fixture, USED + 2), ==, used);
        fixture_free(fixture);
}

/* Six times around the ring, and over the index's end. */
static void test_requests(void)
{
        const uint16_t starts[] = { 0, 5, UINT16_MAX - 3, UINT16_MAX };

        for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
                Fixture *fixture = fixture_new(0);
                LocalRequest request;

                fixture->available = starts[i];
                put16(fixture, AVAILABLE + 2, starts[i]);
                put16(fixture, USED + 2, starts[i]);
                for (uint8_t n = 0; n < 6 * SIZE; n++) {
                        const uint64_t entry = USED + 4 + 8 * ((starts[i] + n) % SIZE);

                        g_assert_cmpint(take(fixture, &request), ==, 0);
                        offer_command(fixture, n, 7);
                        g_assert_cmpint(take(fixture, &request), ==, 1);
                        g_assert_cmpuint(request.size, ==, 2);
                        g_assert_cmpuint(request.bytes[0], ==, n);
                        g_assert_cmpuint(request.bytes[1], ==, 7);
                        /* It stays until it is answered. */
                        g_assert_cmpint(take(fixture, &request), ==, 1);
                        g_assert_cmpint(local_queue_answer(&fixture->queue, &request, 0x5a), ==, 1);
                        g_assert_cmpuint(*guest_bytes(&fixture->guest, BUFFER + 100), ==, 0x5a);
                        *guest_bytes(&fixture->guest, BUFFER + 100) = 0;
                        g_assert_cmpuint(get16(fixture, entry), ==, 3);
                        g_assert_cmpuint(get16(fixture, entry + 4), ==, 1);
                        g_assert_cmpuint(get16(fixture, USED + 2), ==,
                                         (uint16_t)(starts[i] + n + 1));
                }
                g_assert_cmpint(take(fixture, &request), ==, 0);
                fixture_free(fixture);
        }
}

/* However the driver cuts its bytes, in a table of its own too, also over the end of a page. */
static void test_pieces(void)
{
        for (unsigned int pieces = 1; pieces <= 6; pieces++) {
                for (unsigned int way = 0; way < 3; way++) {
                        Fixture *fixture = fixture_new(INDIRECT_DESC);
                        const uint64_t table = way == 0 ? DESCRIPTORS : TABLE + PAGE - 24;
                        const unsigned int direct = way == 2 ? 1 : 0, n = pieces + 1 - direct;
                        LocalRequest request;

                        for (unsigned int i = 0; i < 12; i++)
                                *guest_bytes(&fixture->guest, BUFFER + PAGE - 1 + i) =
                                        (uint8_t)(i + 1);
                        for (unsigned int i = direct; i < pieces; i++)
                                describe(fixture, table + 16 * (i - direct),
                                         BUFFER + PAGE - 1 + 2 * i, 2, NEXT,
                                         (uint16_t)(i - direct + 1));
                        describe(fixture, table + 16 * (pieces - direct), BUFFER + 7, 3, WRITE, 0);
                        if (way == 1) /* WRITE means nothing here */
                                put(fixture, 0, table, 16 * n, INDIRECT | WRITE, 0);
                        if (way == 2) {
                                put(fixture, 0, BUFFER + PAGE - 1, 2, NEXT, 4);
                                put(fixture, 4, table, 16 * n, INDIRECT, 0);
                        }
                        offer(fixture, 0);
                        g_assert_cmpint(take(fixture, &request), ==, 1);
                        g_assert_cmpuint(request.size, ==, 2 * pieces);
                        for (unsigned int i = 0; i < LOCAL_REQUEST_MAX; i++)
                                g_assert_cmpuint(request.bytes[i], ==, i < 2 * pieces ? i + 1 : 0);
                        g_assert_cmphex(request.answer, ==, BUFFER + 7);
                        fixture_free(fixture);
                }
        }
}

/* Of a long request its first bytes are kept, and its size. */
static void test_long_request(void)
{
        Fixture *fixture = fixture_new(0);
        LocalRequest request;

        memset(guest_bytes(&fixture->guest, BUFFER), 9, 3 * PAGE);
        put(fixture, 0, BUFFER, 10, NEXT, 1);
        put(fixture, 1, BUFFER, 3 * PAGE, NEXT, 2);
        put(fixture, 2, BUFFER, 2 * PAGE, NEXT, 3);
        put(fixture, 3, BUFFERS_END - 1, 1, WRITE, 0);
        offer(fixture, 0);
        g_assert_cmpint(take(fixture, &request), ==, 1);
        g_assert_cmpuint(request.size, ==, 5 * PAGE + 10);
        for (unsigned int i = 0; i < LOCAL_REQUEST_MAX; i++)
                g_assert_cmpuint(request.bytes[i], ==, 9);
        g_assert_cmpint(local_queue_answer(&fixture->queue, &request, 1), ==, 1);
        fixture_free(fixture);
}

static void test_index_leaps(void)
{
        for (unsigned int leap = 0; leap <= UINT16_MAX; leap += leap < 20 ? 1 : 997) {
                Fixture *fixture = fixture_new(0);
                LocalRequest request;

                offer_command(fixture, 1, 1);
                put16(fixture, AVAILABLE + 2, (uint16_t)leap);
                if (leap > SIZE) {
                        assert_broken(fixture, -EPROTO);
                        continue;
                }
                g_assert_cmpint(take(fixture, &request), ==, leap > 0);
                fixture_free(fixture);
        }
}

/* A descriptor alone, whose chain it is: what makes no sense is not looked at any further. */
static void test_bad_chains(void)
{
        static const struct {
                uint64_t address;
                uint32_t length;
                uint16_t flags, next;
                int error;
        } cases[] = {
                { 0, 1, WRITE, 0, -EPROTO },
                { UINT64_MAX, 1, WRITE, 0, -EPROTO },
                { UINT64_MAX - 3, 8, WRITE, 0, -EPROTO },
                { BIT(63), 1, WRITE, 0, -EPROTO },
                { GUEST_BANK0_BASE - 1, 1, WRITE, 0, -EPROTO },
                { GUEST_BANK0_BASE - 1, 2, WRITE, 0, -EPROTO },
                { GUEST_BANK0_BASE, 12 * PAGE + 1, WRITE, 0, -EPROTO },
                { GUEST_BANK0_BASE + 12 * PAGE, 1, WRITE, 0, -EPROTO },
                { GUEST_BANK0_BASE, UINT32_MAX, WRITE, 0, -EPROTO },
                { GUEST_BANK0_BASE, 0, WRITE, 0, -EPROTO },
                { GUEST_BANK0_BASE, 1, 0, 0, -EPROTO },       /* no place for an answer */
                { GUEST_BANK0_BASE, 1, NEXT, 0, -EPROTO },    /* a loop */
                { GUEST_BANK0_BASE, 1, NEXT, SIZE, -EPROTO }, /* no such descriptor */
                { GUEST_BANK0_BASE, 1, NEXT, 0xffff, -EPROTO },
                { GUEST_BANK0_BASE, 1, NEXT | WRITE, 0, -EPROTO }, /* another loop */
                { GUEST_BANK0_BASE, 1, NEXT | WRITE, 1, -EPROTO }, /* read after written */
                { GUEST_BANK0_BASE, 16, INDIRECT, 0, -EPROTO },    /* not agreed on */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                Fixture *fixture = fixture_new(0);

                g_test_message("case %zu", i);
                put(fixture, 0, cases[i].address, cases[i].length, cases[i].flags, cases[i].next);
                put(fixture, 1, BUFFER, 1, 0, 0);
                offer(fixture, 0);
                assert_broken(fixture, cases[i].error);
        }
        for (unsigned int head = SIZE; head <= UINT16_MAX; head += 1111) {
                Fixture *fixture = fixture_new(0);

                offer(fixture, (uint16_t)head);
                assert_broken(fixture, -EPROTO);
        }
}

static void test_bad_tables(void)
{
        static const struct {
                uint64_t address;
                uint32_t length;
                uint16_t flags, inner_flags, inner_next;
        } cases[] = {
                { GUEST_BANK0_BASE + 3 * PAGE, 0, INDIRECT, WRITE, 0 },
                { GUEST_BANK0_BASE + 3 * PAGE, 15, INDIRECT, WRITE, 0 },
                { GUEST_BANK0_BASE + 3 * PAGE, 17, INDIRECT, WRITE, 0 },
                { GUEST_BANK0_BASE + 3 * PAGE, 31, INDIRECT, WRITE, 0 },
                { GUEST_BANK0_BASE + 3 * PAGE, 16, INDIRECT | NEXT, WRITE, 0 },
                { GUEST_BANK0_BASE + 12 * PAGE - 16, 32, INDIRECT, WRITE, 0 },
                { UINT64_MAX - 15, 32, INDIRECT, WRITE, 0 },
                { GUEST_BANK0_BASE + 3 * PAGE, UINT32_MAX & ~15U, INDIRECT, WRITE, 0 },
                { GUEST_BANK0_BASE + 3 * PAGE, 16, INDIRECT, INDIRECT, 0 },     /* in a table */
                { GUEST_BANK0_BASE + 3 * PAGE, 16, INDIRECT, WRITE | NEXT, 0 }, /* a loop */
                { GUEST_BANK0_BASE + 3 * PAGE, 16, INDIRECT, NEXT, 1 },         /* beyond its end */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                Fixture *fixture = fixture_new(INDIRECT_DESC);

                g_test_message("case %zu", i);
                describe(fixture, TABLE, TABLE, 16, cases[i].inner_flags, cases[i].inner_next);
                put(fixture, 0, cases[i].address, cases[i].length, cases[i].flags, 0);
                offer(fixture, 0);
                assert_broken(fixture, -EPROTO);
        }
}

/* No longer than the queue, and a table of the whole queue is long enough. */
static void test_long_chains(void)
{
        for (unsigned int n = 1; n <= SIZE + 2; n++) {
                Fixture *fixture = fixture_new(INDIRECT_DESC);
                LocalRequest request;

                for (unsigned int i = 0; i < n; i++)
                        describe(fixture, TABLE + 16 * i, BUFFER, 1, i == n - 1 ? WRITE : NEXT,
                                 (uint16_t)(i + 1));
                put(fixture, 0, TABLE, 16 * n, INDIRECT, 0);
                offer(fixture, 0);
                g_assert_cmpint(take(fixture, &request), ==, n <= SIZE ? 1 : -EPROTO);
                g_assert_cmpuint(fixture->guest.n_mappings, <=, 2 * SIZE + 10);
                fixture_free(fixture);
        }
}

/* Pages that the guest has given back, and mappings that fail: at each place. */
static void test_missing_memory(void)
{
        for (unsigned int page = 0; page < GUEST_PAGES; page++) {
                Fixture *fixture = fixture_new(0);
                LocalRequest request;
                int r;

                offer_command(fixture, 1, 1);
                fixture->guest.missing[page] = true;
                r = take(fixture, &request);
                g_assert_cmpint(r, ==, page < 3 || page == GUEST_PAGES / 2 ? -EFAULT : 1);
                fixture_free(fixture);
        }
        for (unsigned int n = 1; n < 20; n++) {
                Fixture *fixture = fixture_new(EVENT_IDX);
                LocalRequest request;
                int r;

                offer_command(fixture, 1, 1);
                fixture->guest.fails_at = n;
                r = take(fixture, &request);
                if (r > 0)
                        r = local_queue_answer(&fixture->queue, &request, 0);
                g_assert_cmpint(r, ==, n <= fixture->guest.n_mappings ? -ENOMEM : 1);
                fixture_free(fixture);
        }
}

static void test_interrupts(void)
{
        Fixture *fixture = fixture_new(0);
        LocalRequest request;

        for (uint16_t flags = 0; flags < 4; flags++) {
                put16(fixture, AVAILABLE, flags);
                offer_command(fixture, 1, 1);
                g_assert_cmpint(take(fixture, &request), ==, 1);
                g_assert_cmpint(local_queue_answer(&fixture->queue, &request, 0), ==, !(flags & 1));
        }
        fixture_free(fixture);

        fixture = fixture_new(EVENT_IDX);
        put16(fixture, AVAILABLE, 1); /* means nothing then */
        for (uint16_t n = 0; n < 3 * SIZE; n++) {
                put16(fixture, AVAILABLE + 4 + 2 * SIZE, n / 2 * 2); /* used_event */
                offer_command(fixture, 1, 1);
                g_assert_cmpint(take(fixture, &request), ==, 1);
                g_assert_cmpint(local_queue_answer(&fixture->queue, &request, 0), ==, n % 2 == 0);
        }
        fixture_free(fixture);
}

/* The driver is asked to tell of the next one, whenever there is none. */
static void test_kicks(void)
{
        Fixture *fixture = fixture_new(EVENT_IDX), *plain = fixture_new(0);
        LocalRequest request;

        for (uint16_t n = 0; n < 3 * SIZE; n++) {
                g_assert_cmpint(take(fixture, &request), ==, 0);
                g_assert_cmpuint(get16(fixture, USED + 4 + 8 * SIZE), ==, n); /* avail_event */
                offer_command(fixture, 1, 1);
                g_assert_cmpint(take(fixture, &request), ==, 1);
                g_assert_cmpint(local_queue_answer(&fixture->queue, &request, 0), >=, 0);
        }
        g_assert_cmpuint(get16(fixture, USED), ==, 0); /* flags */
        fixture_free(fixture);

        /* Not agreed on: that place is the driver's. */
        put16(plain, USED + 4 + 8 * SIZE, 0xaaaa);
        offer_command(plain, 1, 1);
        g_assert_cmpint(take(plain, &request), ==, 1);
        g_assert_cmpint(local_queue_answer(&plain->queue, &request, 0), ==, 1);
        g_assert_cmpint(take(plain, &request), ==, 0);
        g_assert_cmpuint(get16(plain, USED + 4 + 8 * SIZE), ==, 0xaaaa);
        fixture_free(plain);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/local-queue/requests", test_requests);
        g_test_add_func("/local-queue/pieces", test_pieces);
        g_test_add_func("/local-queue/long-request", test_long_request);
        g_test_add_func("/local-queue/index-leaps", test_index_leaps);
        g_test_add_func("/local-queue/bad-chains", test_bad_chains);
        g_test_add_func("/local-queue/bad-tables", test_bad_tables);
        g_test_add_func("/local-queue/long-chains", test_long_chains);
        g_test_add_func("/local-queue/missing-memory", test_missing_memory);
        g_test_add_func("/local-queue/interrupts", test_interrupts);
        g_test_add_func("/local-queue/kicks", test_kicks);
        return g_test_run();
}
