/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/virtio-mmio.h"

#include <glib.h>
#include <string.h>

#include "common/launch.h"

#define RAM      GUEST_BANK0_BASE
#define FEATURES (UINT64_C(1) << VIRTIO_F_VERSION_1 | UINT64_C(0x30000200))
#define N_QUEUES 2

static VirtioMmio mmio_new(void)
{
        VirtioMmio mmio = { .device = { .device_id = 2, .n_banks = 1 } };
        uint8_t config[60];

        for (uint8_t i = 0; i < sizeof(config); i++)
                config[i] = (uint8_t)(i + 1);
        mmio.device.banks[0] = (MemoryBank){ RAM, 1 << 20 };
        virtio_offer(&mmio.device, FEATURES, N_QUEUES, 256, config, sizeof(config));
        return mmio;
}

static uint32_t get(VirtioMmio *mmio, uint64_t offset)
{
        return (uint32_t)virtio_mmio_read(mmio, offset, 4);
}

static VirtioEventType put(VirtioMmio *mmio, uint64_t offset, uint32_t value)
{
        return virtio_mmio_write(mmio, offset, 4, value).type;
}

static void queue_put(VirtioMmio *mmio, uint32_t index)
{
        put(mmio, VIRTIO_MMIO_QUEUE_SEL, index);
        put(mmio, VIRTIO_MMIO_QUEUE_SIZE, 16);
        put(mmio, VIRTIO_MMIO_QUEUE_DESC_LOW, RAM);
        put(mmio, VIRTIO_MMIO_QUEUE_DRIVER_LOW, RAM + 4096);
        put(mmio, VIRTIO_MMIO_QUEUE_DEVICE_LOW, RAM + 8192);
}

static void features_put(VirtioMmio *mmio)
{
        put(mmio, VIRTIO_MMIO_STATUS, 3);
        for (uint32_t half = 0; half < 2; half++) {
                put(mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
                put(mmio, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(FEATURES >> (32 * half)));
        }
        put(mmio, VIRTIO_MMIO_STATUS, 0xb);
        g_assert_cmphex(get(mmio, VIRTIO_MMIO_STATUS), ==, 0xb);
}

/* The registers that can be read, and what they read as in a new device (table 4.1). */
static const struct {
        uint64_t offset;
        uint32_t value;
} readable[] = {
        { 0x000, 0x74726976 }, { 0x004, 2 },          { 0x008, 2 },          { 0x00c, 0x564e4558 },
        { 0x010, 0x30000200 }, { 0x034, 256 },        { 0x044, 0 },          { 0x060, 0 },
        { 0x070, 0 },          { 0x0b0, UINT32_MAX }, { 0x0b4, UINT32_MAX }, { 0x0b8, UINT32_MAX },
        { 0x0bc, UINT32_MAX }, { 0x0fc, 1 },
};

static uint64_t read_oracle(const VirtioMmio *mmio, uint64_t offset, uint32_t size)
{
        if (offset >= 0x100 && offset < VIRTIO_MMIO_RANGE_SIZE) {
                uint32_t value = 0;

                if ((size != 1 && size != 2 && size != 4) || offset % size != 0)
                        return 0;
                memcpy(&value, mmio->device.config + offset - 0x100, size);
                return value;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(readable); i++) {
                if (readable[i].offset == offset && size == 4)
                        return readable[i].value;
        }
        return 0;
}

/* Every offset by every size: the value, and that reading changes nothing. */
static void test_read_everything(void)
{
        VirtioMmio mmio = mmio_new();
        const VirtioDevice before = mmio.device;

        for (uint64_t offset = 0; offset < VIRTIO_MMIO_RANGE_SIZE + 16; offset++) {
                for (uint32_t size = 0; size <= 255; size++) {
                        uint64_t value = virtio_mmio_read(&mmio, offset, size);

                        if (value != read_oracle(&mmio, offset, size))
                                g_error("%#x by %u: %#x", (unsigned int)offset, size,
                                        (unsigned int)value);
                }
        }
        g_assert_cmpmem(&mmio.device, sizeof(mmio.device), &before, sizeof(before));
        g_assert_cmpuint(virtio_mmio_read(&mmio, UINT64_MAX, 4), ==, 0);
        g_assert_cmpuint(virtio_mmio_read(&mmio, UINT64_MAX - 3, 4), ==, 0);
        g_assert_cmpuint(mmio.n_bad_accesses, >, 1000);
}

/* Writes of other sizes, and writes to what can only be read, change nothing. */
static void test_write_in_vain(void)
{
        static const uint64_t read_only[] = { 0x000, 0x004, 0x008, 0x00c, 0x010, 0x034, 0x060,
                                              0x0b0, 0x0b4, 0x0b8, 0x0bc, 0x0c0, 0x0fc };
        VirtioMmio mmio = mmio_new();
        const VirtioMmio before = mmio;

        for (uint64_t offset = 0; offset < VIRTIO_MMIO_RANGE_SIZE + 16; offset++) {
                for (uint32_t size = 0; size <= 255; size++) {
                        if (size != 4 || offset % 4 != 0)
                                g_assert_cmpint(
                                        virtio_mmio_write(&mmio, offset, size, UINT64_MAX).type, ==,
                                        VIRTIO_EVENT_NONE);
                }
        }
        for (size_t i = 0; i < G_N_ELEMENTS(read_only); i++)
                g_assert_cmpint(put(&mmio, read_only[i], UINT32_MAX), ==, VIRTIO_EVENT_NONE);
        for (uint64_t offset = 0x100; offset < VIRTIO_MMIO_RANGE_SIZE; offset += 4)
                put(&mmio, offset, UINT32_MAX);
        g_assert_cmpint(virtio_mmio_write(&mmio, UINT64_MAX - 3, 4, 1).type, ==, VIRTIO_EVENT_NONE);

        g_assert_cmpuint(mmio.n_bad_accesses, >, 0);
        mmio.n_bad_accesses = 0;
        g_assert_cmpmem(&mmio, sizeof(mmio), &before, sizeof(before));
}

static void test_feature_selectors(void)
{
        VirtioMmio mmio = mmio_new();

        put(&mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
        g_assert_cmphex(get(&mmio, VIRTIO_MMIO_DEVICE_FEATURES), ==, 1);
        for (uint32_t select = 2; select != 0; select <<= 1) {
                put(&mmio, VIRTIO_MMIO_DEVICE_FEATURES_SEL, select);
                g_assert_cmphex(get(&mmio, VIRTIO_MMIO_DEVICE_FEATURES), ==, 0);
                put(&mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, select);
                put(&mmio, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
        }
        g_assert_cmphex(mmio.device.driver_features, ==, 0);
        features_put(&mmio);
        g_assert_cmphex(mmio.device.driver_features, ==, FEATURES);
}

/* All 2^16 small numbers and single bits above: only those below the number of queues exist. */
static void test_queue_selector(void)
{
        VirtioMmio mmio = mmio_new();

        features_put(&mmio);
        for (uint64_t step = 0; step <= UINT16_MAX + 16; step++) {
                const uint32_t index =
                        (uint32_t)(step <= UINT16_MAX ? step : UINT64_C(1) << (step & 31));
                const bool exists = index < N_QUEUES;

                queue_put(&mmio, index);
                g_assert_cmpuint(get(&mmio, VIRTIO_MMIO_QUEUE_SIZE_MAX), ==, exists ? 256 : 0);
                if (!exists) {
                        put(&mmio, VIRTIO_MMIO_QUEUE_READY, 1);
                        g_assert_cmpuint(get(&mmio, VIRTIO_MMIO_QUEUE_READY), ==, 0);
                }
        }
        g_assert_cmphex(get(&mmio, VIRTIO_MMIO_STATUS), ==, 0xb);
        for (uint16_t i = N_QUEUES; i < VIRTIO_QUEUES_MAX; i++)
                g_assert_cmpuint(mmio.device.queues[i].size, ==, 0);
}

static void test_queue_addresses(void)
{
        VirtioMmio mmio = mmio_new();
        const VirtioQueue *queue = &mmio.device.queues[1];

        put(&mmio, VIRTIO_MMIO_QUEUE_SEL, 1);
        put(&mmio, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x11111111);
        put(&mmio, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x22222222);
        put(&mmio, VIRTIO_MMIO_QUEUE_DRIVER_LOW, 0x44444444);
        put(&mmio, VIRTIO_MMIO_QUEUE_DRIVER_HIGH, 0x33333333);
        put(&mmio, VIRTIO_MMIO_QUEUE_DEVICE_LOW, 0x66666666);
        put(&mmio, VIRTIO_MMIO_QUEUE_DEVICE_HIGH, 0x55555555);
        put(&mmio, VIRTIO_MMIO_QUEUE_SIZE, 128);
        g_assert_cmphex(queue->descriptor_area, ==, 0x1111111122222222);
        g_assert_cmphex(queue->driver_area, ==, 0x3333333344444444);
        g_assert_cmphex(queue->device_area, ==, 0x5555555566666666);
        g_assert_cmpuint(queue->size, ==, 128);
        put(&mmio, VIRTIO_MMIO_QUEUE_SIZE, 0x10000 + 128); /* is not cut down to 128 */
        g_assert_cmpuint(queue->size, ==, 0);
}

static void test_ready_queue_is_fixed(void)
{
        VirtioMmio mmio = mmio_new();
        VirtioQueue before;

        features_put(&mmio);
        queue_put(&mmio, 0);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_READY, 1), ==, VIRTIO_EVENT_NONE);
        g_assert_cmpuint(get(&mmio, VIRTIO_MMIO_QUEUE_READY), ==, 1);
        before = mmio.device.queues[0];
        for (uint64_t offset = VIRTIO_MMIO_QUEUE_DESC_LOW; offset <= VIRTIO_MMIO_QUEUE_DEVICE_HIGH;
             offset += 4)
                put(&mmio, offset, 0xabcdef00);
        put(&mmio, VIRTIO_MMIO_QUEUE_SIZE, 1);
        g_assert_cmpmem(&mmio.device.queues[0], sizeof(before), &before, sizeof(before));
}

static void test_life(void)
{
        VirtioMmio mmio = mmio_new();

        features_put(&mmio);
        queue_put(&mmio, 1);
        put(&mmio, VIRTIO_MMIO_QUEUE_READY, 1);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 1), ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_STATUS, 0xf), ==, VIRTIO_EVENT_START);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 1), ==, VIRTIO_EVENT_NOTIFY);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0), ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 0x10001), ==, VIRTIO_EVENT_NONE);

        virtio_interrupt_raise(&mmio.device, 3);
        g_assert_cmphex(get(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), ==, 3);
        put(&mmio, VIRTIO_MMIO_INTERRUPT_ACK, 1);
        g_assert_cmphex(get(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), ==, 2);

        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_STATUS, 0), ==, VIRTIO_EVENT_RESET);
        g_assert_cmphex(get(&mmio, VIRTIO_MMIO_STATUS), ==, 0);
        g_assert_cmphex(get(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), ==, 0);
        g_assert_cmphex(get(&mmio, VIRTIO_MMIO_QUEUE_READY), ==, 0);
}

/* A driver from its first look on; it uses so many queues. */
static void driver_start(VirtioMmio *mmio, uint32_t n_queues)
{
        put(mmio, VIRTIO_MMIO_STATUS, 0);
        g_assert_cmphex(get(mmio, VIRTIO_MMIO_STATUS), ==, 0);
        features_put(mmio);
        for (uint32_t i = 0; i < n_queues; i++) {
                put(mmio, VIRTIO_MMIO_QUEUE_SEL, i);
                g_assert_cmpuint(get(mmio, VIRTIO_MMIO_QUEUE_READY), ==, 0);
                queue_put(mmio, i);
                g_assert_cmpint(put(mmio, VIRTIO_MMIO_QUEUE_READY, 1), ==, VIRTIO_EVENT_NONE);
        }
        g_assert_cmpint(put(mmio, VIRTIO_MMIO_STATUS, 0xf), ==, VIRTIO_EVENT_START);
        for (uint32_t i = 0; i < N_QUEUES; i++)
                g_assert_cmpint(put(mmio, VIRTIO_MMIO_QUEUE_NOTIFY, i), ==,
                                i < n_queues ? VIRTIO_EVENT_NOTIFY : VIRTIO_EVENT_NONE);
}

/* One driver goes, with its queues or all at once, and another one comes. */
static void test_rebind(void)
{
        VirtioMmio mmio = mmio_new();
        const VirtioDevice fresh = mmio.device;

        driver_start(&mmio, 2);
        put(&mmio, VIRTIO_MMIO_QUEUE_SEL, 0);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_READY, 0), ==, VIRTIO_EVENT_QUEUE_STOP);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_STATUS, 0), ==, VIRTIO_EVENT_RESET);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_READY, 0), ==, VIRTIO_EVENT_NONE);
        g_assert_cmpmem(&mmio.device, sizeof(fresh), &fresh, sizeof(fresh));
        driver_start(&mmio, 2);
}

/* A firmware reads its boot sector through one queue; the system that it starts uses all. */
static void test_firmware_then_system(void)
{
        VirtioMmio mmio = mmio_new();

        driver_start(&mmio, 1);
        driver_start(&mmio, 2);
        driver_start(&mmio, 0);
        driver_start(&mmio, 2);
}

/* A kernel that is started by another one finds the device in any state. */
static void test_kexec(void)
{
        static const uint8_t left[] = { 0, 1, 3, 0xb, 0xf, 0x8f, 0x80 };

        for (size_t i = 0; i < G_N_ELEMENTS(left); i++) {
                for (unsigned int broken = 0; broken < 2; broken++) {
                        VirtioMmio mmio = mmio_new();

                        features_put(&mmio);
                        queue_put(&mmio, 0);
                        put(&mmio, VIRTIO_MMIO_QUEUE_READY, left[i] != 3);
                        if (!(left[i] & VIRTIO_STATUS_FEATURES_OK))
                                put(&mmio, VIRTIO_MMIO_STATUS, 0);
                        put(&mmio, VIRTIO_MMIO_STATUS, left[i]);
                        if (broken)
                                virtio_break(&mmio.device);
                        virtio_interrupt_raise(&mmio.device, VIRTIO_INTERRUPT_QUEUE);
                        driver_start(&mmio, 2);
                        g_assert_cmphex(get(&mmio, VIRTIO_MMIO_INTERRUPT_STATUS), ==, 0);
                }
        }
}

static VirtioMmio mmio_new_with_reset(void)
{
        VirtioMmio mmio = mmio_new();
        const uint64_t features = FEATURES | UINT64_C(1) << VIRTIO_F_RING_RESET;

        virtio_offer(&mmio.device, features, N_QUEUES, 256, "", 0);
        put(&mmio, VIRTIO_MMIO_STATUS, 3);
        put(&mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        put(&mmio, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_RESET, 1), ==, VIRTIO_EVENT_NONE);
        g_assert_cmpuint(mmio.n_bad_accesses, ==, 1); /* nothing is agreed on yet */
        put(&mmio, VIRTIO_MMIO_STATUS, 0xb);
        queue_put(&mmio, 1);
        put(&mmio, VIRTIO_MMIO_QUEUE_READY, 1);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_STATUS, 0xf), ==, VIRTIO_EVENT_START);
        return mmio;
}

static void test_queue_reset(void)
{
        VirtioMmio mmio = mmio_new_with_reset();

        g_assert_cmpuint(get(&mmio, VIRTIO_MMIO_QUEUE_RESET), ==, 0);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_RESET, 0), ==, VIRTIO_EVENT_NONE);
        g_assert_cmpuint(get(&mmio, VIRTIO_MMIO_QUEUE_READY), ==, 1);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_RESET, 1), ==, VIRTIO_EVENT_QUEUE_STOP);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_RESET, 1), ==, VIRTIO_EVENT_NONE);
        g_assert_cmpuint(get(&mmio, VIRTIO_MMIO_QUEUE_RESET), ==, 0);
        g_assert_cmpuint(get(&mmio, VIRTIO_MMIO_QUEUE_READY), ==, 0);
        queue_put(&mmio, 1);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_READY, 1), ==, VIRTIO_EVENT_QUEUE_START);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_NOTIFY, 1), ==, VIRTIO_EVENT_NOTIFY);

        g_assert_cmpuint(mmio.n_bad_accesses, ==, 1);
        put(&mmio, VIRTIO_MMIO_QUEUE_SEL, N_QUEUES);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_QUEUE_RESET, 1), ==, VIRTIO_EVENT_NONE);
        g_assert_cmpuint(get(&mmio, VIRTIO_MMIO_QUEUE_RESET), ==, 0);
        g_assert_cmpuint(mmio.n_bad_accesses, ==, 3);
}

/* Bytes, halves and words, each in its place; not across the end, and not unless permitted. */
static void test_config_writes(void)
{
        VirtioMmio mmio = mmio_new();
        const uint32_t end = VIRTIO_MMIO_CONFIG + mmio.device.config_size;
        const uint32_t generation = get(&mmio, VIRTIO_MMIO_CONFIG_GENERATION);
        VirtioEvent event;

        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_CONFIG, 0), ==, VIRTIO_EVENT_NONE);
        g_assert_cmpuint(mmio.n_bad_accesses, ==, 1);
        virtio_config_set_writable(&mmio.device, true);
        event = virtio_mmio_write(&mmio, VIRTIO_MMIO_CONFIG + 5, 1, 0xaa);
        g_assert_cmpint(event.type, ==, VIRTIO_EVENT_CONFIG_WRITE);
        g_assert_cmpuint(event.offset, ==, 5);
        g_assert_cmpuint(event.size, ==, 1);
        virtio_mmio_write(&mmio, VIRTIO_MMIO_CONFIG + 6, 2, 0xccbb);
        g_assert_cmphex(get(&mmio, VIRTIO_MMIO_CONFIG + 4), ==, 0xccbbaa05);
        virtio_mmio_write(&mmio, VIRTIO_MMIO_CONFIG + 4, 4, 0x11223344);
        g_assert_cmphex(virtio_mmio_read(&mmio, VIRTIO_MMIO_CONFIG + 6, 2), ==, 0x1122);
        g_assert_cmpint(put(&mmio, end - 4, 1), ==, VIRTIO_EVENT_CONFIG_WRITE);
        g_assert_cmpuint(mmio.n_bad_accesses, ==, 1);

        g_assert_cmpint(put(&mmio, end, 1), ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(put(&mmio, VIRTIO_MMIO_CONFIG + 2, 1), ==, VIRTIO_EVENT_NONE);
        event = virtio_mmio_write(&mmio, VIRTIO_MMIO_CONFIG, 8, 1);
        g_assert_cmpint(event.type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpuint(mmio.n_bad_accesses, ==, 4);
        g_assert_cmpuint(get(&mmio, VIRTIO_MMIO_CONFIG_GENERATION), ==, generation);
}

/* Nonsense: nothing may break (the sanitizers watch), and what must hold does. */
static void test_random_accesses(void)
{
        VirtioMmio mmio = mmio_new();

        for (unsigned int i = 0; i < 2000000; i++) {
                uint64_t offset = (uint64_t)g_test_rand_int_range(0, VIRTIO_MMIO_RANGE_SIZE);
                uint32_t value = g_test_rand_bit() ? (uint32_t)g_test_rand_int()
                                                   : (uint32_t)g_test_rand_int_range(0, 16);
                uint32_t size = g_test_rand_int_range(0, 8) ? 4 : (uint32_t)g_test_rand_int() & 15;

                if (g_test_rand_bit())
                        virtio_mmio_read(&mmio, offset, size);
                else
                        virtio_mmio_write(&mmio, size == 4 ? offset & ~UINT64_C(3) : offset, size,
                                          value);
                for (unsigned int queue = 0; queue < VIRTIO_QUEUES_MAX; queue++)
                        g_assert_false(mmio.device.queues[queue].ready && queue >= N_QUEUES);
                if (virtio_is_running(&mmio.device))
                        g_assert_true(mmio.device.status & VIRTIO_STATUS_FEATURES_OK);
        }
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/virtio-mmio/read-everything", test_read_everything);
        g_test_add_func("/virtio-mmio/write-in-vain", test_write_in_vain);
        g_test_add_func("/virtio-mmio/feature-selectors", test_feature_selectors);
        g_test_add_func("/virtio-mmio/queue-selector", test_queue_selector);
        g_test_add_func("/virtio-mmio/queue-addresses", test_queue_addresses);
        g_test_add_func("/virtio-mmio/ready-queue-is-fixed", test_ready_queue_is_fixed);
        g_test_add_func("/virtio-mmio/life", test_life);
        g_test_add_func("/virtio-mmio/rebind", test_rebind);
        g_test_add_func("/virtio-mmio/firmware-then-system", test_firmware_then_system);
        g_test_add_func("/virtio-mmio/kexec", test_kexec);
        g_test_add_func("/virtio-mmio/queue-reset", test_queue_reset);
        g_test_add_func("/virtio-mmio/config-writes", test_config_writes);
        g_test_add_func("/virtio-mmio/random-accesses", test_random_accesses);
        return g_test_run();
}
