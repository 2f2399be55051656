/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The queues of frontend/virtio.h: what a driver may put where, and what it may do with it. */

#include "frontend/virtio.h"

#include <glib.h>

#define BIT(n)           (UINT64_C(1) << (n))
#define RAM              GUEST_BANK0_BASE
#define RAM_SIZE         (UINT64_C(1) << 20)
#define SIZE_MAX_OFFERED 256

static VirtioDevice device_new(uint64_t features)
{
        VirtioDevice device = { .device_id = 2, .n_banks = 2 };

        device.banks[0] = (MemoryBank){ RAM, RAM_SIZE };
        device.banks[1] = (MemoryBank){ GUEST_BANK1_BASE, RAM_SIZE };
        features |= BIT(VIRTIO_F_VERSION_1);
        virtio_offer(&device, features, 2, SIZE_MAX_OFFERED, "", 0);
        virtio_status_write(&device, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
        virtio_driver_features_write(&device, 0, (uint32_t)features);
        virtio_driver_features_write(&device, 1, (uint32_t)(features >> 32));
        virtio_status_write(&device, VIRTIO_STATUS_FEATURES_OK);
        return device;
}

static const VirtioQueue good = {
        .size = 16,
        .descriptor_area = RAM,
        .driver_area = RAM + 4096,
        .device_area = RAM + 8192,
};

static bool queue_becomes_ready(uint64_t features, VirtioQueue queue)
{
        VirtioDevice device = device_new(features);
        VirtioEvent event;

        device.queues[0] = queue;
        event = virtio_queue_ready_write(&device, 0, true);
        g_assert_cmpint(event.type, ==,
                        device.queues[0].ready ? VIRTIO_EVENT_NONE : VIRTIO_EVENT_BROKEN);
        g_assert_cmpint((device.status & VIRTIO_STATUS_NEEDS_RESET) == 0, ==,
                        device.queues[0].ready);
        return device.queues[0].ready;
}

static void test_sizes(void)
{
        for (unsigned int size = 0; size <= UINT16_MAX; size++) {
                VirtioQueue queue = good;
                bool power = size > 0 && (size & (size - 1)) == 0;

                queue.size = (uint16_t)size;
                queue.driver_area = RAM + RAM_SIZE / 4;
                queue.device_area = RAM + RAM_SIZE / 2;
                g_assert_cmpint(queue_becomes_ready(0, queue), ==,
                                power && size <= SIZE_MAX_OFFERED);
                g_assert_cmpint(queue_becomes_ready(BIT(VIRTIO_F_RING_PACKED), queue), ==,
                                size > 0 && size <= SIZE_MAX_OFFERED);
        }
}

/* Whatever a backend says that it can do. */
static void test_largest_size(void)
{
        VirtioDevice device = device_new(BIT(VIRTIO_F_RING_PACKED));

        virtio_status_write(&device, 0);
        virtio_offer(&device, BIT(VIRTIO_F_RING_PACKED), 2, UINT16_MAX, "", 0);
        g_assert_cmpuint(device.queue_size_max, ==, 32768);
        g_assert_true(virtio_is_consistent(&device));
        virtio_offer(&device, BIT(VIRTIO_F_RING_PACKED), 2, 32767, "", 0);
        g_assert_cmpuint(device.queue_size_max, ==, 32767);
}

/* The last places of a bank where each area fits, and one step of its alignment beyond. */
static void test_edges(void)
{
        const uint64_t ends[] = { RAM + RAM_SIZE, GUEST_BANK1_BASE + RAM_SIZE };

        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
                VirtioQueue queue = good;

                queue.descriptor_area = ends[i] - 16 * 16;
                g_assert_true(queue_becomes_ready(0, queue));
                queue.descriptor_area += 16;
                g_assert_false(queue_becomes_ready(0, queue));

                queue = good;
                queue.driver_area = ends[i] - (6 + 2 * 16);
                g_assert_true(queue_becomes_ready(0, queue));
                queue.driver_area += 2;
                g_assert_false(queue_becomes_ready(0, queue));

                queue = good;
                queue.device_area = ends[i] - (6 + 8 * 16) - 2;
                g_assert_true(queue_becomes_ready(0, queue));
                queue.device_area += 4;
                g_assert_false(queue_becomes_ready(0, queue));
        }
}

static void test_alignment(void)
{
        for (unsigned int offset = 0; offset < 16; offset++) {
                VirtioQueue descriptors = good, driver = good, device = good;

                descriptors.descriptor_area += offset;
                driver.driver_area += offset;
                device.device_area += offset;
                g_assert_cmpint(queue_becomes_ready(0, descriptors), ==, offset == 0);
                g_assert_cmpint(queue_becomes_ready(0, driver), ==, offset % 2 == 0);
                g_assert_cmpint(queue_becomes_ready(0, device), ==, offset % 4 == 0);
        }
}

static void test_packed(void)
{
        VirtioQueue queue = good;

        queue.size = 100; /* no power of two */
        queue.driver_area = RAM + RAM_SIZE - 4;
        queue.device_area = GUEST_BANK1_BASE;
        g_assert_true(queue_becomes_ready(BIT(VIRTIO_F_RING_PACKED), queue));
        g_assert_false(queue_becomes_ready(0, queue));
        queue.driver_area += 2;
        g_assert_false(queue_becomes_ready(BIT(VIRTIO_F_RING_PACKED), queue));
}

/* Whether an area lies in RAM, with numbers that cannot wrap. */
static bool area_oracle(uint64_t address, uint64_t length, uint64_t alignment)
{
        const uint64_t bases[] = { RAM, GUEST_BANK1_BASE };

        for (size_t i = 0; i < G_N_ELEMENTS(bases); i++) {
                if (address >= bases[i] &&
                    (unsigned __int128)address + length <= (unsigned __int128)bases[i] + RAM_SIZE)
                        return address % alignment == 0;
        }
        return false;
}

/* An address near one where something begins or ends; every second one is simply good. */
static uint64_t random_address(GRand *rand)
{
        static const uint64_t edges[] = {
                0,       RAM,     RAM + RAM_SIZE, GUEST_BANK1_BASE,   GUEST_BANK1_BASE + RAM_SIZE,
                BIT(32), BIT(63), UINT64_MAX,     RAM + RAM_SIZE / 2,
        };
        const uint32_t bits = g_rand_int(rand);
        const int64_t distance = (int64_t)(bits >> 20) - 2048;

        if (bits & 1)
                return RAM;
        return edges[(bits >> 8 & 0xff) % G_N_ELEMENTS(edges)] +
               (uint64_t)(bits & 2 ? distance : distance * 4);
}

/* Ten million queues in one device, which each of them sets up anew. */
static void test_random_addresses(void)
{
        GRand *rand = g_rand_new_with_seed(g_test_rand_int());
        VirtioDevice device = device_new(0);
        unsigned int n_good = 0, n_wrong = 0;

        for (unsigned int i = 0; i < 10000000; i++) {
                const uint16_t n = (uint16_t)(1 << i % 9);
                const VirtioQueue queue = {
                        .size = n,
                        .descriptor_area = random_address(rand),
                        .driver_area = random_address(rand),
                        .device_area = random_address(rand),
                };
                const bool expected = area_oracle(queue.descriptor_area, UINT64_C(16) * n, 16) &&
                                      area_oracle(queue.driver_area, 6 + UINT64_C(2) * n, 2) &&
                                      area_oracle(queue.device_area, 6 + UINT64_C(8) * n, 4);

                device.queues[0] = queue;
                virtio_queue_ready_write(&device, 0, true);
                n_good += expected;
                n_wrong += device.queues[0].ready != expected;
        }
        g_assert_cmpuint(n_wrong, ==, 0);
        g_assert_cmpuint(n_good, >, 1000000);
        g_rand_free(rand);
}

static void test_order(void)
{
        VirtioDevice device = device_new(0);

        /* Twice is once, and a queue that does not exist is nothing. */
        device.queues[0] = device.queues[1] = good;
        g_assert_cmpint(virtio_queue_ready_write(&device, 0, false).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_queue_ready_write(&device, 0, true).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_queue_ready_write(&device, 0, true).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_queue_ready_write(&device, 2, true).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_queue_ready_write(&device, UINT16_MAX, true).type, ==,
                        VIRTIO_EVENT_NONE);
        g_assert_cmphex(device.status & VIRTIO_STATUS_NEEDS_RESET, ==, 0);

        /* A kick before DRIVER_OK is no kick. */
        g_assert_cmpint(virtio_notify(&device, 0).type, ==, VIRTIO_EVENT_NONE);
        virtio_status_write(&device, 0xf);
        g_assert_cmpint(virtio_notify(&device, 0).type, ==, VIRTIO_EVENT_NOTIFY);
        g_assert_cmpint(virtio_notify(&device, 1).type, ==, VIRTIO_EVENT_NONE);
        for (unsigned int shift = 1; shift < 32; shift++)
                g_assert_cmpint(virtio_notify(&device, UINT32_C(1) << shift).type, ==,
                                VIRTIO_EVENT_NONE);

        /* A queue may be taken away at any time, but not be added. */
        g_assert_cmpint(virtio_queue_ready_write(&device, 0, false).type, ==,
                        VIRTIO_EVENT_QUEUE_STOP);
        g_assert_cmpint(virtio_notify(&device, 0).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_queue_ready_write(&device, 1, true).type, ==, VIRTIO_EVENT_BROKEN);
        g_assert_false(device.queues[1].ready);
}

/* A device with two queues, of which queue 0 runs. */
static VirtioDevice device_new_running(uint64_t features)
{
        VirtioDevice device = device_new(features);

        device.queues[0] = good;
        g_assert_cmpint(virtio_queue_ready_write(&device, 0, true).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_status_write(&device, 0xf).type, ==, VIRTIO_EVENT_START);
        return device;
}

static void assert_event(VirtioEvent event, VirtioEventType type, uint16_t queue)
{
        g_assert_cmpint(event.type, ==, type);
        g_assert_cmpuint(event.queue, ==, queue);
}

static void test_reset(void)
{
        VirtioDevice device = device_new_running(BIT(VIRTIO_F_RING_RESET));
        VirtioQueue other = good;

        assert_event(virtio_queue_reset(&device, 0), VIRTIO_EVENT_QUEUE_STOP, 0);
        g_assert_cmpuint(device.queues[0].ready, ==, 0);
        g_assert_cmpuint(device.queues[0].size, ==, 0);
        g_assert_cmphex(device.queues[0].descriptor_area, ==, 0);
        g_assert_cmphex(device.queues[0].driver_area, ==, 0);
        g_assert_cmphex(device.queues[0].device_area, ==, 0);
        g_assert_cmpint(virtio_notify(&device, 0).type, ==, VIRTIO_EVENT_NONE);
        /* The access waited, and is repeated; a driver may also do it twice. */
        assert_event(virtio_queue_reset(&device, 0), VIRTIO_EVENT_NONE, 0);

        /* It comes back, with another size and elsewhere. */
        other.size = 128;
        other.descriptor_area = GUEST_BANK1_BASE;
        other.reset = 1;
        device.queues[0] = other;
        assert_event(virtio_queue_ready_write(&device, 0, true), VIRTIO_EVENT_QUEUE_START, 0);
        assert_event(virtio_queue_ready_write(&device, 0, true), VIRTIO_EVENT_NONE, 0);
        assert_event(virtio_notify(&device, 0), VIRTIO_EVENT_NOTIFY, 0);

        /* One reset, one start. */
        assert_event(virtio_queue_ready_write(&device, 0, false), VIRTIO_EVENT_QUEUE_STOP, 0);
        assert_event(virtio_queue_ready_write(&device, 0, true), VIRTIO_EVENT_BROKEN, 0);
}

static void test_reset_of_others(void)
{
        VirtioDevice device = device_new_running(BIT(VIRTIO_F_RING_RESET));

        /* One that never ran, and one that was taken away before. */
        assert_event(virtio_queue_reset(&device, 1), VIRTIO_EVENT_NONE, 0);
        assert_event(virtio_queue_ready_write(&device, 0, false), VIRTIO_EVENT_QUEUE_STOP, 0);
        assert_event(virtio_queue_reset(&device, 0), VIRTIO_EVENT_NONE, 0);
        for (uint16_t i = 0; i < 2; i++) {
                device.queues[i] = good;
                device.queues[i].reset = 1;
                assert_event(virtio_queue_ready_write(&device, i, true), VIRTIO_EVENT_QUEUE_START,
                             i);
        }
        assert_event(virtio_queue_reset(&device, 2), VIRTIO_EVENT_NONE, 0);
        assert_event(virtio_queue_reset(&device, UINT16_MAX), VIRTIO_EVENT_NONE, 0);
        g_assert_true(virtio_is_consistent(&device));
        g_assert_cmphex(device.status & VIRTIO_STATUS_NEEDS_RESET, ==, 0);

        /* Nothing of it is left for the next driver. */
        virtio_queue_reset(&device, 0);
        virtio_status_write(&device, 0);
        g_assert_cmpuint(device.queues[0].reset, ==, 0);
}

static void test_reset_before_driver_ok(void)
{
        VirtioDevice device = device_new(BIT(VIRTIO_F_RING_RESET));

        device.queues[0] = good;
        virtio_queue_ready_write(&device, 0, true);
        assert_event(virtio_queue_reset(&device, 0), VIRTIO_EVENT_NONE, 0);
        g_assert_cmpuint(device.queues[0].ready, ==, 0);
        device.queues[0] = good;
        assert_event(virtio_queue_ready_write(&device, 0, true), VIRTIO_EVENT_NONE, 0);
        assert_event(virtio_status_write(&device, 0xf), VIRTIO_EVENT_START, 0);
}

/* As many queues as there can be, and what lies behind them is not one more. */
static void test_last_queue(void)
{
        const uint64_t features = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_RESET);
        const uint16_t last = VIRTIO_QUEUES_MAX - 1;
        VirtioDevice device = device_new(features), before;

        virtio_status_write(&device, 0);
        virtio_offer(&device, features, VIRTIO_QUEUES_MAX, SIZE_MAX_OFFERED, "", 0);
        virtio_driver_features_write(&device, 1, (uint32_t)(features >> 32));
        virtio_status_write(&device, 0xb);
        device.queues[last] = good;
        assert_event(virtio_queue_ready_write(&device, last, true), VIRTIO_EVENT_NONE, 0);
        assert_event(virtio_status_write(&device, 0xf), VIRTIO_EVENT_START, 0);
        assert_event(virtio_notify(&device, last), VIRTIO_EVENT_NOTIFY, last);

        before = device;
        assert_event(virtio_notify(&device, last + 1), VIRTIO_EVENT_NONE, 0);
        assert_event(virtio_queue_ready_write(&device, last + 1, true), VIRTIO_EVENT_NONE, 0);
        assert_event(virtio_queue_reset(&device, last + 1), VIRTIO_EVENT_NONE, 0);
        g_assert_cmpmem(&device, sizeof(device), &before, sizeof(before));
        assert_event(virtio_queue_reset(&device, last), VIRTIO_EVENT_QUEUE_STOP, last);
}

/* A queue that comes back is checked as one that comes first. */
static void test_reset_and_bad_setup(void)
{
        VirtioDevice device = device_new_running(BIT(VIRTIO_F_RING_RESET));

        virtio_queue_reset(&device, 0);
        assert_event(virtio_queue_ready_write(&device, 0, true), VIRTIO_EVENT_BROKEN, 0);
        g_assert_cmphex(device.interrupt_status, ==, VIRTIO_INTERRUPT_CONFIG);
        device.queues[0] = good;
        device.queues[0].reset = 1;
        assert_event(virtio_queue_ready_write(&device, 0, true), VIRTIO_EVENT_BROKEN, 0);
        g_assert_cmpuint(device.queues[0].ready, ==, 0);
}

static void test_no_reset_without_feature(void)
{
        VirtioDevice device = device_new_running(0);
        const VirtioDevice before = device;

        assert_event(virtio_queue_reset(&device, 0), VIRTIO_EVENT_NONE, 0);
        g_assert_cmpmem(&device, sizeof(device), &before, sizeof(before));
}

/* The rings of a device that is broken run until they are stopped. */
static void test_stop_when_broken(void)
{
        VirtioDevice device = device_new_running(BIT(VIRTIO_F_RING_RESET));

        virtio_break(&device);
        assert_event(virtio_queue_ready_write(&device, 0, false), VIRTIO_EVENT_QUEUE_STOP, 0);
        device = device_new_running(BIT(VIRTIO_F_RING_RESET));
        virtio_break(&device);
        assert_event(virtio_queue_reset(&device, 0), VIRTIO_EVENT_QUEUE_STOP, 0);
}

static void test_before_features_ok(void)
{
        VirtioDevice device = device_new(0);

        virtio_status_write(&device, 0);
        device.queues[0] = good;
        g_assert_cmpint(virtio_queue_ready_write(&device, 0, true).type, ==, VIRTIO_EVENT_BROKEN);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/virtio-queue/sizes", test_sizes);
        g_test_add_func("/virtio-queue/largest-size", test_largest_size);
        g_test_add_func("/virtio-queue/edges", test_edges);
        g_test_add_func("/virtio-queue/alignment", test_alignment);
        g_test_add_func("/virtio-queue/packed", test_packed);
        g_test_add_func("/virtio-queue/random-addresses", test_random_addresses);
        g_test_add_func("/virtio-queue/order", test_order);
        g_test_add_func("/virtio-queue/reset", test_reset);
        g_test_add_func("/virtio-queue/reset-of-others", test_reset_of_others);
        g_test_add_func("/virtio-queue/last-queue", test_last_queue);
        g_test_add_func("/virtio-queue/reset-before-driver-ok", test_reset_before_driver_ok);
        g_test_add_func("/virtio-queue/reset-and-bad-setup", test_reset_and_bad_setup);
        g_test_add_func("/virtio-queue/no-reset-without-feature", test_no_reset_without_feature);
        g_test_add_func("/virtio-queue/stop-when-broken", test_stop_when_broken);
        g_test_add_func("/virtio-queue/before-features-ok", test_before_features_ok);
        return g_test_run();
}
