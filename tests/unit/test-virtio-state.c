/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The layout of VirtioMmio, and what virtio_mmio_check() lets through of it. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "frontend/virtio-mmio.h"
#include "tests/unit/register-model.h"

#define BIT(n)   (UINT64_C(1) << (n))
#define RAM      GUEST_BANK0_BASE
#define FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_RESET) | BIT(9))
#define N_QUEUES 3

static const MemoryBank banks[] = { { RAM, 1 << 20 }, { GUEST_BANK1_BASE, 1 << 20 } };

static const VirtioQueue good = {
        .size = 16,
        .descriptor_area = RAM,
        .driver_area = RAM + 4096,
        .device_area = RAM + 8192,
};

/* A device that runs: queue 0 is ready, queue 1 was reset, queue 2 is not set up. */
static VirtioMmio mmio_new(void)
{
        VirtioDevice *device;
        VirtioMmio mmio;

        virtio_mmio_init(&mmio, banks, G_N_ELEMENTS(banks));
        device = &mmio.device;
        virtio_offer(device, FEATURES, N_QUEUES, 256, "config", 6);
        device->device_id = 2;
        virtio_driver_features_write(device, 0, (uint32_t)FEATURES);
        virtio_driver_features_write(device, 1, (uint32_t)(FEATURES >> 32));
        virtio_status_write(device, 0xb);
        device->queues[0] = good;
        virtio_queue_ready_write(device, 0, true);
        virtio_status_write(device, 0xf);
        virtio_queue_reset(device, 1);
        g_assert_true(virtio_is_running(device));
        return mmio;
}

#define FIELD(field) offsetof(VirtioMmio, field)

/* Written by one version of this program and read by another: a change needs another version. */
static void test_layout(void)
{
        static const struct {
                size_t actual, expected;
        } offsets[] = {
                { FIELD(magic), 0 },
                { FIELD(version), 8 },
                { FIELD(size), 12 },
                { FIELD(device.device_id), 16 },
                { FIELD(device.n_queues), 20 },
                { FIELD(device.queue_size_max), 22 },
                { FIELD(device.device_features), 24 },
                { FIELD(device.driver_features), 32 },
                { FIELD(device.interrupt_status), 40 },
                { FIELD(device.config_generation), 44 },
                { FIELD(device.config_size), 48 },
                { FIELD(device.n_banks), 52 },
                { FIELD(device.status), 56 },
                { FIELD(device.config_writable), 57 },
                { FIELD(device.interrupts_unseen), 58 },
                { FIELD(device.control_queue), 59 },
                { FIELD(device.n_pairs), 60 },
                { FIELD(device.reserved), 61 },
                { FIELD(device.config), 64 },
                { FIELD(device.queues), 320 },
                { FIELD(device.queues[0].driver_area), 328 },
                { FIELD(device.queues[0].device_area), 336 },
                { FIELD(device.queues[0].size), 344 },
                { FIELD(device.queues[0].ready), 346 },
                { FIELD(device.queues[0].reset), 347 },
                { FIELD(device.queues[1]), 352 },
                { FIELD(device.banks), 2368 },
                { FIELD(device.banks[0].size), 2376 },
                { FIELD(device_features_sel), 2400 },
                { FIELD(driver_features_sel), 2404 },
                { FIELD(queue_sel), 2408 },
                { FIELD(reserved), 2412 },
                { FIELD(n_bad_accesses), 2416 },
                { sizeof(VirtioMmio), 2424 },
        };

        g_assert_cmpint(VIRTIO_MMIO_STATE_VERSION, ==, 1);
        for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++)
                g_assert_cmpuint(offsets[i].actual, ==, offsets[i].expected);
}

static void test_good_states(void)
{
        static const MemoryBank low[] = { { 0, 4096 }, { 4096, 1 << 20 } };
        VirtioMmio mmio;

        virtio_mmio_init(&mmio, NULL, 0);
        g_assert_cmpint(virtio_mmio_check(&mmio), ==, 0);
        virtio_mmio_init(&mmio, low, G_N_ELEMENTS(low));
        g_assert_cmpint(virtio_mmio_check(&mmio), ==, 0);
        virtio_mmio_init(&mmio, banks, G_N_ELEMENTS(banks));
        g_assert_cmpint(virtio_mmio_check(&mmio), ==, 0);
        mmio = mmio_new();
        g_assert_cmpint(virtio_mmio_check(&mmio), ==, 0);
        virtio_break(&mmio.device);
        g_assert_cmpint(virtio_mmio_check(&mmio), ==, 0);
        virtio_status_write(&mmio.device, 0);
        g_assert_cmpint(virtio_mmio_check(&mmio), ==, 0);
}

/* One field of a good state is replaced. */
static const struct {
        size_t offset, size;
        uint64_t value;
        int result;
} cases[] = {
#define CASE(field, value, result)                                                                 \
        {                                                                                          \
                FIELD(field), sizeof(((VirtioMmio *)NULL)->field), value, result                   \
        }
        CASE(magic, 0, -EPROTO),
        CASE(magic, VIRTIO_MMIO_STATE_MAGIC ^ BIT(63), -EPROTO),
        CASE(version, 0, -EPROTO),
        CASE(version, VIRTIO_MMIO_STATE_VERSION + 1, -EPROTO),
        CASE(size, sizeof(VirtioMmio) - 1, -EPROTO),
        CASE(size, UINT32_MAX, -EPROTO),
        CASE(reserved, 1, -EINVAL),
        CASE(device_features_sel, UINT32_MAX, 0),
        CASE(driver_features_sel, UINT32_MAX, 0),
        CASE(queue_sel, UINT32_MAX, 0),
        CASE(n_bad_accesses, UINT64_MAX, 0),
        CASE(device.device_id, 0, 0), /* nothing has been offered yet */
        CASE(device.device_id, 63, 0),
        CASE(device.device_id, 64, -EINVAL),
        CASE(device.n_queues, 2, 0),
        CASE(device.n_queues, 1, -EINVAL), /* queue 1 would lie beyond */
        CASE(device.n_queues, VIRTIO_QUEUES_MAX, 0),
        CASE(device.n_queues, VIRTIO_QUEUES_MAX + 1, -EINVAL),
        CASE(device.n_queues, UINT16_MAX, -EINVAL),
        CASE(device.queue_size_max, 16, 0),
        CASE(device.queue_size_max, 15, -EINVAL), /* queue 0 would be too large */
        CASE(device.queue_size_max, 32768, 0),
        CASE(device.queue_size_max, 32769, -EINVAL),
        CASE(device.device_features, FEATURES | BIT(20), 0),
        CASE(device.device_features, FEATURES | BIT(VIRTIO_F_NOTIFICATION_DATA), -EINVAL),
        CASE(device.device_features, FEATURES | BIT(VIRTIO_F_ACCESS_PLATFORM), -EINVAL),
        CASE(device.device_features, FEATURES & ~BIT(9), -EINVAL),
        CASE(device.driver_features, FEATURES & ~BIT(9), 0),
        CASE(device.driver_features, FEATURES | BIT(10), -EINVAL),
        CASE(device.driver_features, FEATURES & ~BIT(VIRTIO_F_VERSION_1), -EINVAL),
        CASE(device.driver_features, FEATURES & ~BIT(VIRTIO_F_RING_RESET), -EINVAL),
        CASE(device.interrupt_status, 3, 0),
        CASE(device.interrupt_status, 4, -EINVAL),
        CASE(device.interrupt_status, BIT(31), -EINVAL),
        CASE(device.config_generation, UINT32_MAX, 0),
        CASE(device.config_size, VIRTIO_CONFIG_SIZE_MAX, 0),
        CASE(device.config_size, VIRTIO_CONFIG_SIZE_MAX + 1, -EINVAL),
        CASE(device.config_size, UINT32_MAX, -EINVAL),
        CASE(device.config_size, 5, -EINVAL),
        CASE(device.config[5], 0, 0),
        CASE(device.config[6], 1, -EINVAL),
        CASE(device.config[VIRTIO_CONFIG_SIZE_MAX - 1], 1, -EINVAL),
        CASE(device.n_banks, 0, -EINVAL),
        CASE(device.n_banks, 1, -EINVAL), /* the second bank would lie beyond */
        CASE(device.n_banks, MEMORY_BANKS_MAX + 1, -EINVAL),
        CASE(device.n_banks, UINT32_MAX, -EINVAL),
        CASE(device.status, 0x8f, 0),
        CASE(device.status, 0x4f, 0),
        CASE(device.status, 0x1f, -EINVAL),
        CASE(device.status, 0x2f, -EINVAL),
        CASE(device.status, 0x07, -EINVAL),
        CASE(device.status, 0, -EINVAL), /* queue 0 is ready */
        CASE(device.config_writable, 1, 0),
        CASE(device.config_writable, 2, -EINVAL),
        CASE(device.interrupts_unseen, 1, 0),
        CASE(device.interrupts_unseen, 2, -EINVAL),
        CASE(device.reserved[0], 1, -EINVAL),
        CASE(device.reserved[2], 1, -EINVAL),
        CASE(device.control_queue, 2, -EINVAL), /* no pair is in use */
        CASE(device.n_pairs, 1, -EINVAL),       /* of which? */
        CASE(device.queues[0].descriptor_area, RAM + 8, -EINVAL),
        CASE(device.queues[0].descriptor_area, RAM - 4096, -EINVAL),
        CASE(device.queues[0].driver_area, RAM + (1 << 20), -EINVAL),
        CASE(device.queues[0].device_area, UINT64_MAX - 3, -EINVAL),
        CASE(device.queues[0].size, 0, -EINVAL),
        CASE(device.queues[0].size, 17, -EINVAL),
        CASE(device.queues[0].size, 512, -EINVAL),
        CASE(device.queues[0].ready, 0, 0),
        CASE(device.queues[0].ready, 2, -EINVAL),
        CASE(device.queues[0].ready, 255, -EINVAL),
        CASE(device.queues[0].reset, 1, -EINVAL),
        CASE(device.queues[0].reserved[0], 1, -EINVAL),
        CASE(device.queues[0].reserved[3], 128, -EINVAL),
        CASE(device.queues[1].reset, 0, 0),
        CASE(device.queues[1].reset, 3, -EINVAL),
        CASE(device.queues[1].ready, 1, -EINVAL),
        CASE(device.queues[2].descriptor_area, UINT64_MAX, 0), /* not yet ready: anything */
        CASE(device.queues[2].size, UINT16_MAX, 0),
        CASE(device.queues[2].ready, 1, -EINVAL),
        CASE(device.queues[N_QUEUES].size, 1, -EINVAL),
        CASE(device.queues[VIRTIO_QUEUES_MAX - 1].reserved[3], 1, -EINVAL),
        CASE(device.banks[0].base, RAM + 1, -EINVAL),
        CASE(device.banks[0].base, GUEST_BANK1_BASE + 4096, -EINVAL),
        CASE(device.banks[0].size, 0, -EINVAL),
        CASE(device.banks[0].size, 4096 * 3 + 1, -EINVAL),
        CASE(device.banks[0].size, 4096, -EINVAL), /* the rings lie beyond */
        CASE(device.banks[0].size, UINT64_MAX - 4095, -EINVAL),
        CASE(device.banks[1].base, RAM, -EINVAL), /* twice the same */
        CASE(device.banks[1].base, RAM + (1 << 20), 0),
        CASE(device.banks[1].size, 1, -EINVAL),
        CASE(device.banks[1].size, 0, -EINVAL),
#undef CASE
};

static void field_set(VirtioMmio *mmio, size_t offset, size_t size, uint64_t value)
{
        const uint64_t bytes = GUINT64_TO_LE(value);

        /* Of the structure's fields all but bytes are in the host's order. */
        g_assert_cmpint(G_BYTE_ORDER, ==, G_LITTLE_ENDIAN);
        memcpy((uint8_t *)mmio + offset, &bytes, size);
}

static void test_fields(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                VirtioMmio mmio = mmio_new();

                field_set(&mmio, cases[i].offset, cases[i].size, cases[i].value);
                g_test_message("%zu bytes at %zu: %#" G_GINT64_MODIFIER "x", cases[i].size,
                               cases[i].offset, cases[i].value);
                g_assert_cmpint(virtio_mmio_check(&mmio), ==, cases[i].result);
        }
}

/* Before FEATURES_OK the driver may have chosen anything, but no queue is ready or was reset. */
static void test_before_features_ok(void)
{
        VirtioMmio mmio = mmio_new();

        virtio_status_write(&mmio.device, 0);
        virtio_driver_features_write(&mmio.device, 0, UINT32_MAX);
        virtio_status_write(&mmio.device, 3);
        g_assert_cmpint(virtio_mmio_check(&mmio), ==, 0);
        mmio.device.queues[1].reset = 1;
        g_assert_cmpint(virtio_mmio_check(&mmio), ==, -EINVAL);
        mmio.device.queues[1] = good;
        g_assert_cmpint(virtio_mmio_check(&mmio), ==, 0);
        mmio.device.queues[1].ready = 1;
        g_assert_cmpint(virtio_mmio_check(&mmio), ==, -EINVAL);
}

/* Whatever the check lets through can be gone on with, and behaves as the specification says. */
static void drive(VirtioMmio *mmio, GRand *rand)
{
        for (unsigned int i = 0; i < 200; i++) {
                const uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, 0x84) * 4;
                const uint32_t value =
                        g_rand_int_range(rand, 0, 4) ? g_rand_int(rand) & 0xf : g_rand_int(rand);
                VirtioMmio model = *mmio;

                g_assert_cmphex(virtio_mmio_read(mmio, offset, 4), ==,
                                register_model_read(&model, offset, 4));
                g_assert_cmpint(virtio_mmio_write(mmio, offset, 4, value).type, ==,
                                register_model_write(&model, offset, 4, value).type);
                g_assert_cmpmem(mmio, sizeof(*mmio), &model, sizeof(model));
                g_assert_cmpint(virtio_mmio_check(mmio), ==, 0);
        }
}

static void test_mutations(void)
{
        const uint32_t seed = g_test_rand_int() & 0xffffff;
        GRand *rand = g_rand_new_with_seed(seed);
        unsigned int n_good = 0;

        g_test_message("seed %u", seed);
        for (unsigned int i = 0; i < 100000; i++) {
                VirtioMmio mmio = mmio_new();
                uint8_t *bytes = (uint8_t *)&mmio;

                for (int n = g_rand_int_range(rand, 1, 4); n > 0; n--) {
                        /* Mostly within the fields, not the many unused queues. */
                        const int end = g_rand_int_range(rand, 0, 4) ? 450 : (int)sizeof(mmio);

                        bytes[g_rand_int_range(rand, 0, end)] ^=
                                (uint8_t)(1 << g_rand_int_range(rand, 0, 8));
                }
                if (virtio_mmio_check(&mmio) < 0)
                        continue;
                n_good++;
                drive(&mmio, rand);
        }
        g_assert_cmpuint(n_good, >, 1000);
        g_rand_free(rand);
}

/* A control queue lies behind pairs, and as many are in use. */
static void test_pairs(void)
{
        static const struct {
                uint8_t n_queues, control_queue, n_pairs;
                int result;
        } pairs[] = {
                { 3, 2, 1, 0 },         { 5, 4, 2, 0 },         { 63, 62, 31, 0 },
                { 3, 2, 0, -EINVAL },   { 3, 2, 2, -EINVAL },   { 5, 4, 3, -EINVAL },
                { 5, 4, 255, -EINVAL }, { 5, 2, 1, -EINVAL },   { 5, 6, 1, -EINVAL },
                { 4, 3, 1, -EINVAL },   { 5, 255, 1, -EINVAL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
                VirtioMmio mmio = mmio_new();

                mmio.device.n_queues = pairs[i].n_queues;
                mmio.device.control_queue = pairs[i].control_queue;
                mmio.device.n_pairs = pairs[i].n_pairs;
                g_test_message("case %zu", i);
                g_assert_cmpint(virtio_mmio_check(&mmio), ==, pairs[i].result);
        }
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/virtio-state/layout", test_layout);
        g_test_add_func("/virtio-state/good-states", test_good_states);
        g_test_add_func("/virtio-state/fields", test_fields);
        g_test_add_func("/virtio-state/pairs", test_pairs);
        g_test_add_func("/virtio-state/before-features-ok", test_before_features_ok);
        g_test_add_func("/virtio-state/mutations", test_mutations);
        return g_test_run();
}
