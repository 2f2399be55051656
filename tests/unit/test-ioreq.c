/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* frontend/ioreq.h, on a hypervisor of a few lines that is defined here. */

#include "frontend/ioreq.h"

#include <errno.h>
#include <glib.h>

#include "common/launch.h"

#define BASE UINT64_C(0x2000000)
#define SIZE VIRTIO_MMIO_RANGE_SIZE

struct Hypervisor {
        unsigned int n_vcpus;
        IoRequest requests[HYPERVISOR_VCPUS_MAX];
        bool waits[HYPERVISOR_VCPUS_MAX];
        uint64_t answers[HYPERVISOR_VCPUS_MAX];
        unsigned int n_answered, n_unmasked;
        int complete_result, unmask_result;
};

unsigned int hypervisor_n_vcpus(const Hypervisor *hypervisor)
{
        return hypervisor->n_vcpus;
}

int hypervisor_request_take(Hypervisor *hypervisor, unsigned int vcpu, IoRequest *ret_request)
{
        g_assert_cmpuint(vcpu, <, hypervisor->n_vcpus);
        if (!hypervisor->waits[vcpu])
                return 0;
        *ret_request = hypervisor->requests[vcpu];
        return 1;
}

int hypervisor_request_complete(Hypervisor *hypervisor, unsigned int vcpu, uint64_t data)
{
        g_assert_true(hypervisor->waits[vcpu]);
        hypervisor->waits[vcpu] = false;
        hypervisor->answers[vcpu] = data;
        hypervisor->n_answered++;
        return hypervisor->complete_result;
}

int hypervisor_events_unmask(Hypervisor *hypervisor)
{
        hypervisor->n_unmasked++;
        return hypervisor->unmask_result;
}

typedef struct Fixture {
        Hypervisor hypervisor;
        IoreqServer server;
        MmioAccess last;
        MmioResult result;
        uint64_t read_value;
        unsigned int n_accesses, n_answered, n_invalidations;
        MmioResult absent_result; /* of accesses to the range behind, which has no device */
} Fixture;

static MmioResult on_find(void *userdata, uint64_t base, void **ret_device)
{
        Fixture *fixture = userdata;

        g_assert_cmphex(base % SIZE, ==, 0);
        *ret_device = base == BASE ? fixture : NULL;
        return base == BASE + SIZE ? fixture->absent_result : MMIO_DONE;
}

static MmioResult on_access(void *device, const MmioAccess *access, uint64_t *ret_data)
{
        Fixture *fixture = device;

        fixture->last = *access;
        fixture->n_accesses++;
        *ret_data = fixture->read_value;
        return fixture->result;
}

static void on_answered(void *device)
{
        Fixture *fixture = device;

        fixture->n_answered++;
        g_assert_cmpuint(fixture->n_answered, <=, fixture->hypervisor.n_answered);
}

static void on_invalidate(void *userdata)
{
        Fixture *fixture = userdata;

        fixture->n_invalidations++;
}

static const IoreqOps ops = {
        .find = on_find,
        .access = on_access,
        .answered = on_answered,
        .invalidate = on_invalidate,
};

static void fixture_init(Fixture *fixture, gconstpointer data _unused_)
{
        fixture->hypervisor.n_vcpus = 4;
        fixture->result = fixture->absent_result = MMIO_DONE;
        fixture->read_value = UINT64_MAX;
        fixture->server = (IoreqServer){
                .hypervisor = &fixture->hypervisor,
                .ops = &ops,
                .userdata = fixture,
        };
}

static void request_put(Fixture *fixture, unsigned int vcpu, IoRequest request)
{
        fixture->hypervisor.requests[vcpu] = request;
        fixture->hypervisor.waits[vcpu] = true;
}

static const IoRequest good = {
        .address = BASE + 0x70,
        .size = 4,
        .count = 1,
        .type = IO_REQUEST_COPY,
        .is_read = true,
};

static void test_read(Fixture *fixture, gconstpointer data _unused_)
{
        fixture->read_value = 0x1234;
        request_put(fixture, 2, good);
        g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
        g_assert_cmphex(fixture->last.offset, ==, 0x70);
        g_assert_cmpuint(fixture->last.size, ==, 4);
        g_assert_true(fixture->last.is_read);
        g_assert_cmphex(fixture->hypervisor.answers[2], ==, 0x1234);
        g_assert_cmpuint(fixture->n_answered, ==, 1);
        g_assert_cmpuint(fixture->server.n_requests, ==, 1);
        g_assert_cmpuint(fixture->server.n_bad_requests, ==, 0);
        g_assert_cmpuint(fixture->hypervisor.n_unmasked, ==, 1);
}

/* Neither direction carries more bits than the access has. */
static void test_masks(Fixture *fixture, gconstpointer data _unused_)
{
        static const uint64_t masks[] = {
                [1] = 0xff, [2] = 0xffff, [4] = 0xffffffff, [8] = UINT64_MAX
        };

        for (uint32_t size = 1; size <= 8; size *= 2) {
                IoRequest request = good;

                request.size = size;
                request_put(fixture, 0, request);
                g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
                g_assert_cmphex(fixture->hypervisor.answers[0], ==, masks[size]);

                request.is_read = false;
                request.data = UINT64_MAX;
                request_put(fixture, 0, request);
                g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
                g_assert_false(fixture->last.is_read);
                g_assert_cmphex(fixture->last.data, ==, masks[size]);
        }
}

static void test_range(Fixture *fixture, gconstpointer data _unused_)
{
        static const uint64_t inside[] = { BASE, BASE + SIZE - 4 };
        static const uint64_t outside[] = { 0,           BASE - 1,
                                            BASE - 4,    BASE + SIZE - 3,
                                            BASE + SIZE, BASE + SIZE + 4,
                                            UINT64_MAX,  UINT64_MAX - 3 };

        for (size_t i = 0; i < G_N_ELEMENTS(inside); i++) {
                IoRequest request = good;

                request.address = inside[i];
                request_put(fixture, 0, request);
                g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
                g_assert_cmpuint(fixture->n_accesses, ==, i + 1);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(outside); i++) {
                IoRequest request = good;

                request.address = outside[i];
                request_put(fixture, 0, request);
                g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
                g_assert_cmphex(fixture->hypervisor.answers[0], ==, 0);
        }
        g_assert_cmpuint(fixture->n_accesses, ==, G_N_ELEMENTS(inside));
        g_assert_cmpuint(fixture->server.n_bad_requests, ==, G_N_ELEMENTS(outside));
}

/* All types, with sizes and counts that no handler is to see: answered, and not handed over. */
static void test_nonsense_is_answered(Fixture *fixture, gconstpointer data _unused_)
{
        static const uint32_t sizes[] = { 0, 3, 5, 6, 7, 9, 16, 255, 256, 0x80000000, UINT32_MAX };
        static const uint32_t counts[] = { 0, 2, 0x80000000, UINT32_MAX };
        unsigned int expected = 0;

        for (unsigned int type = 0; type < 256; type++) {
                IoRequest request = good;

                request.type = (uint8_t)type;
                if (type == IO_REQUEST_COPY)
                        continue;
                request_put(fixture, expected++ % 4, request);
                g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                IoRequest request = good;

                request.size = sizes[i];
                request_put(fixture, expected++ % 4, request);
                g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
                IoRequest request = good;

                request.count = counts[i];
                request_put(fixture, expected++ % 4, request);
                g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
        }
        request_put(fixture, 0,
                    (IoRequest){ .address = BASE,
                                 .size = 4,
                                 .count = 1,
                                 .type = IO_REQUEST_COPY,
                                 .data_is_pointer = true });
        g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);

        g_assert_cmpuint(fixture->hypervisor.n_answered, ==, expected + 1);
        g_assert_cmpuint(fixture->n_accesses, ==, 0);
        g_assert_cmpuint(fixture->n_invalidations, ==, 1);
}

static void test_wait(Fixture *fixture, gconstpointer data _unused_)
{
        fixture->result = MMIO_WAIT;
        request_put(fixture, 0, good);
        request_put(fixture, 1, (IoRequest){ .type = IO_REQUEST_INVALIDATE });
        g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
        g_assert_true(fixture->hypervisor.waits[0]);
        g_assert_false(fixture->hypervisor.waits[1]); /* one that waits holds nobody up */
        g_assert_cmpuint(fixture->hypervisor.n_unmasked, ==, 1);

        fixture->result = MMIO_DONE;
        g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
        g_assert_false(fixture->hypervisor.waits[0]);
        g_assert_cmpuint(fixture->n_accesses, ==, 2);
        g_assert_cmpuint(fixture->server.n_requests, ==, 2);
}

/* What is for no device is put off or answered, and nobody hears that it was. */
static void test_absent(Fixture *fixture, gconstpointer data _unused_)
{
        IoRequest request = good;

        request.address += SIZE;
        fixture->absent_result = MMIO_WAIT;
        request_put(fixture, 0, request);
        request_put(fixture, 1, good);
        g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
        g_assert_true(fixture->hypervisor.waits[0]);
        g_assert_false(fixture->hypervisor.waits[1]); /* one that waits holds nobody up */
        g_assert_cmpuint(fixture->server.n_bad_requests, ==, 0);

        fixture->absent_result = MMIO_DONE;
        g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
        g_assert_false(fixture->hypervisor.waits[0]);
        g_assert_cmphex(fixture->hypervisor.answers[0], ==, 0);
        g_assert_cmpuint(fixture->n_accesses, ==, 1);
        g_assert_cmpuint(fixture->n_answered, ==, 1);
        g_assert_cmpuint(fixture->server.n_requests, ==, 2);
        g_assert_cmpuint(fixture->server.n_bad_requests, ==, 1);
}

static void test_all_vcpus(Fixture *fixture, gconstpointer data _unused_)
{
        fixture->hypervisor.n_vcpus = HYPERVISOR_VCPUS_MAX;
        for (unsigned int vcpu = 0; vcpu < HYPERVISOR_VCPUS_MAX; vcpu++)
                request_put(fixture, vcpu, good);
        g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
        g_assert_cmpuint(fixture->n_answered, ==, HYPERVISOR_VCPUS_MAX);
        g_assert_cmpint(ioreq_serve(&fixture->server), ==, 0);
        g_assert_cmpuint(fixture->n_answered, ==, HYPERVISOR_VCPUS_MAX);
}

static void test_errors(Fixture *fixture, gconstpointer data _unused_)
{
        fixture->hypervisor.complete_result = -EIO;
        request_put(fixture, 0, good);
        g_assert_cmpint(ioreq_serve(&fixture->server), ==, -EIO);
        fixture->hypervisor.unmask_result = -ENXIO;
        g_assert_cmpint(ioreq_serve(&fixture->server), ==, -ENXIO);
}

#define add(name, function) g_test_add(name, Fixture, NULL, fixture_init, function, NULL)

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        add("/ioreq/read", test_read);
        add("/ioreq/masks", test_masks);
        add("/ioreq/range", test_range);
        add("/ioreq/nonsense-is-answered", test_nonsense_is_answered);
        add("/ioreq/wait", test_wait);
        add("/ioreq/absent", test_absent);
        add("/ioreq/all-vcpus", test_all_vcpus);
        add("/ioreq/errors", test_errors);
        return g_test_run();
}
