/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * frontend/virtio-mmio.h against the model of register-model.h: every access in typical states of
 * the device, and storms of random ones, after which the world rings has to be in order, too.
 */

#include "frontend/virtio-mmio.h"

#include <glib.h>
#include <string.h>

#include "tests/unit/register-model.h"
#include "tests/unit/ring-model.h"

#define BIT(n)      (UINT64_C(1) << (n))
#define RAM         GUEST_BANK0_BASE
#define RAM_SIZE    (UINT64_C(1) << 20)
#define N_QUEUES    3
#define CONFIG_SIZE 59 /* ends within a word */

#define FEATURES                                                                                   \
        (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_RESET) | BIT(VIRTIO_F_RING_PACKED) | BIT(9))

static VirtioMmio mmio_new(void)
{
        const MemoryBank banks[] = { { RAM, RAM_SIZE }, { GUEST_BANK1_BASE, RAM_SIZE } };
        uint8_t config[CONFIG_SIZE];
        VirtioMmio mmio;

        for (uint8_t i = 0; i < CONFIG_SIZE; i++)
                config[i] = (uint8_t)(i + 1);
        virtio_mmio_init(&mmio, banks, G_N_ELEMENTS(banks));
        virtio_offer(&mmio.device, FEATURES, N_QUEUES, 256, config, CONFIG_SIZE);
        mmio.device.device_id = 2;
        return mmio;
}

static void put(VirtioMmio *mmio, uint64_t offset, uint32_t value)
{
        virtio_mmio_write(mmio, offset, 4, value);
}

static void queue_put(VirtioMmio *mmio, uint32_t index)
{
        put(mmio, VIRTIO_MMIO_QUEUE_SEL, index);
        put(mmio, VIRTIO_MMIO_QUEUE_SIZE, 16);
        put(mmio, VIRTIO_MMIO_QUEUE_DESC_LOW, RAM);
        put(mmio, VIRTIO_MMIO_QUEUE_DRIVER_LOW, RAM + 4096);
        put(mmio, VIRTIO_MMIO_QUEUE_DEVICE_LOW, RAM + 8192);
}

/* Up to FEATURES_OK, and two queues set up, the first one ready. */
static VirtioMmio mmio_new_negotiated(uint64_t features)
{
        VirtioMmio mmio = mmio_new();

        put(&mmio, VIRTIO_MMIO_STATUS, 3);
        for (uint32_t half = 0; half < 2; half++) {
                put(&mmio, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
                put(&mmio, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> (32 * half)));
        }
        put(&mmio, VIRTIO_MMIO_STATUS, 0xb);
        queue_put(&mmio, 0);
        put(&mmio, VIRTIO_MMIO_QUEUE_READY, 1);
        queue_put(&mmio, 1);
        g_assert_cmphex(mmio.device.status, ==, 0xb);
        return mmio;
}

enum {
        STATE_FRESH,
        STATE_FEATURES_WRONG,
        STATE_NEGOTIATED,
        STATE_RUNNING,
        STATE_RUNNING_READY,
        STATE_RUNNING_WITHOUT_RESET,
        STATE_RESET_QUEUE,
        STATE_RESET_QUEUE_SET_UP,
        STATE_NO_SUCH_QUEUE,
        STATE_BROKEN,
        STATE_BROKEN_BEFORE_DRIVER_OK,
        STATE_CONFIG_WRITABLE,
        _STATE_MAX,
};

static VirtioMmio mmio_new_in(unsigned int state)
{
        const uint64_t features = state == STATE_RUNNING_WITHOUT_RESET
                                          ? FEATURES & ~BIT(VIRTIO_F_RING_RESET)
                                          : FEATURES;
        VirtioMmio mmio = state > STATE_FEATURES_WRONG ? mmio_new_negotiated(features) : mmio_new();

        if (state > STATE_NEGOTIATED && state != STATE_BROKEN_BEFORE_DRIVER_OK)
                put(&mmio, VIRTIO_MMIO_STATUS, 0xf);
        virtio_interrupt_raise(&mmio.device, VIRTIO_INTERRUPT_QUEUE | VIRTIO_INTERRUPT_CONFIG);

        if (state == STATE_FEATURES_WRONG)
                put(&mmio, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
        if (state == STATE_RUNNING_READY)
                put(&mmio, VIRTIO_MMIO_QUEUE_SEL, 0);
        if (state == STATE_RESET_QUEUE || state == STATE_RESET_QUEUE_SET_UP)
                put(&mmio, VIRTIO_MMIO_QUEUE_RESET, 1);
        if (state == STATE_RESET_QUEUE_SET_UP)
                queue_put(&mmio, 1);
        if (state == STATE_NO_SUCH_QUEUE)
                put(&mmio, VIRTIO_MMIO_QUEUE_SEL, N_QUEUES);
        if (state == STATE_BROKEN || state == STATE_BROKEN_BEFORE_DRIVER_OK)
                virtio_break(&mmio.device);
        virtio_config_set_writable(&mmio.device, state == STATE_CONFIG_WRITABLE);
        return mmio;
}

static void assert_event_equal(VirtioEvent a, VirtioEvent b)
{
        g_assert_cmpint(a.type, ==, b.type);
        g_assert_cmpuint(a.queue, ==, b.queue);
        g_assert_cmpuint(a.offset, ==, b.offset);
        g_assert_cmpuint(a.size, ==, b.size);
}

static void assert_same(const VirtioMmio *mmio, const VirtioMmio *model)
{
        g_assert_cmpmem(mmio, sizeof(*mmio), model, sizeof(*model));
}

static void compare_read(const VirtioMmio *state, uint64_t offset, uint32_t size)
{
        VirtioMmio mmio = *state, model = *state;
        const uint64_t value = virtio_mmio_read(&mmio, offset, size);

        g_assert_cmphex(value, ==, register_model_read(&model, offset, size));
        assert_same(&mmio, &model);
        /* Reading changes nothing but the count. */
        mmio.n_bad_accesses = state->n_bad_accesses;
        assert_same(&mmio, state);
}

static void compare_write(const VirtioMmio *state, uint64_t offset, uint32_t size, uint64_t value)
{
        VirtioMmio mmio = *state, model = *state;
        VirtioEvent event = virtio_mmio_write(&mmio, offset, size, value);

        assert_event_equal(event, register_model_write(&model, offset, size, value));
        assert_same(&mmio, &model);
        g_assert_cmpint(virtio_mmio_check(&mmio), ==, 0);

        /* A write that had to wait is repeated. */
        if (event.type == VIRTIO_EVENT_NONE || event.type == VIRTIO_EVENT_CONFIG_WRITE ||
            event.type == VIRTIO_EVENT_NOTIFY || event.type == VIRTIO_EVENT_BROKEN)
                return;
        event = virtio_mmio_write(&mmio, offset, size, value);
        g_assert_cmpint(event.type, ==, VIRTIO_EVENT_NONE);
        assert_same(&mmio, &model);
}

static void test_every_access(gconstpointer data)
{
        static const uint64_t values[] = {
                0,          1,          2,
                3,          0xb,        0xf,
                16,         0x40,       0x80,
                0xff,       0x100,      0x10000,
                0x10001,    0x12345678, 0x40001000,
                0x80000000, UINT32_MAX, UINT64_C(0x123456789abcdef0),
                UINT64_MAX,
        };
        const VirtioMmio state = mmio_new_in(GPOINTER_TO_UINT(data));

        g_assert_cmpint(virtio_mmio_check(&state), ==, 0);
        for (uint64_t offset = 0; offset <= 0x210; offset++) {
                for (uint32_t size = 0; size <= 9; size++) {
                        compare_read(&state, offset, size);
                        for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
                                compare_write(&state, offset, size, values[i]);
                }
                compare_read(&state, offset, UINT32_MAX);
                compare_write(&state, offset, UINT32_MAX, 1);
        }
        for (uint32_t size = 1; size <= 8; size++) {
                compare_read(&state, UINT64_MAX - size + 1, size);
                compare_write(&state, UINT64_MAX - size + 1, size, 1);
        }
}

static uint32_t storm_value(GRand *rand, uint64_t offset)
{
        static const uint32_t statuses[] = { 0, 1, 3, 0xb, 0xb, 0xb, 0xf, 0xf, 0xf, 0x8f };
        static const uint32_t addresses[] = { 0, RAM, RAM + 4096, RAM + RAM_SIZE - 256,
                                              UINT32_MAX };
        const uint64_t choice = g_rand_int_range(rand, 0, 16);

        if (choice == 0)
                return g_rand_int(rand);
        if (offset == VIRTIO_MMIO_STATUS)
                return statuses[g_rand_int_range(rand, 0, G_N_ELEMENTS(statuses))];
        if (offset == VIRTIO_MMIO_DRIVER_FEATURES)
                return choice < 8 ? (uint32_t)FEATURES : (uint32_t)(FEATURES >> 32);
        if (offset == VIRTIO_MMIO_QUEUE_SIZE)
                return choice < 12 ? 16 : (uint32_t)g_rand_int_range(rand, 0, 300);
        if (offset == VIRTIO_MMIO_QUEUE_DESC_LOW || offset == VIRTIO_MMIO_QUEUE_DRIVER_LOW ||
            offset == VIRTIO_MMIO_QUEUE_DEVICE_LOW)
                return addresses[g_rand_int_range(rand, 1, choice < 12 ? 3 : 5)];
        if (offset == VIRTIO_MMIO_QUEUE_DESC_HIGH || offset == VIRTIO_MMIO_QUEUE_DRIVER_HIGH ||
            offset == VIRTIO_MMIO_QUEUE_DEVICE_HIGH)
                return choice == 1 ? 2 : 0;
        return (uint32_t)g_rand_int_range(rand, 0, N_QUEUES + 1);
}

/* One access in both directions, compared with the model. */
static void storm_access(VirtioMmio *mmio, RingModel *rings, uint64_t offset, uint32_t size,
                         uint64_t value)
{
        const uint32_t generation = mmio->device.config_generation;
        VirtioMmio model = *mmio;
        VirtioEvent event;

        g_assert_cmphex(virtio_mmio_read(mmio, offset, size), ==,
                        register_model_read(&model, offset, size));
        event = virtio_mmio_write(mmio, offset, size, value);
        assert_event_equal(event, register_model_write(&model, offset, size, value));
        assert_same(mmio, &model);
        ring_model_apply(rings, &mmio->device, event);
        g_assert_cmpuint(mmio->device.config_generation, ==, generation);
}

typedef struct Step {
        uint16_t offset;
        uint32_t value;
} Step;

/* Drivers that do it right, in the midst of those that do not. */
static const Step driver_starts[] = {
        { 0x70, 0 },          { 0x70, 3 },
        { 0x24, 0 },          { 0x20, (uint32_t)FEATURES },
        { 0x24, 1 },          { 0x20, (uint32_t)(FEATURES >> 32) },
        { 0x70, 0xb },        { 0x30, 1 },
        { 0x38, 16 },         { 0x84, 0 },
        { 0x80, RAM },        { 0x94, 0 },
        { 0x90, RAM + 4096 }, { 0xa4, 0 },
        { 0xa0, RAM + 8192 }, { 0x44, 1 },
        { 0x70, 0xf },
};
static const Step driver_resets_queue[] = {
        { 0xc0, 1 }, { 0x38, 8 }, { 0x80, RAM }, { 0x90, RAM }, { 0xa0, RAM }, { 0x44, 1 },
};

static void storm_driver(VirtioMmio *mmio, RingModel *rings, const Step *steps, size_t n)
{
        for (size_t i = 0; i < n; i++)
                storm_access(mmio, rings, steps[i].offset, 4, steps[i].value);
}

/* The device's side of things. */
static void storm_device(VirtioMmio *mmio, uint64_t value)
{
        const uint32_t generation = mmio->device.config_generation;
        const bool is_up = mmio->device.status & VIRTIO_STATUS_DRIVER_OK;

        switch (value % 3) {
        case 0:
                virtio_break(&mmio->device);
                break;
        case 1:
                g_assert_cmpint(virtio_config_change(&mmio->device, &value, sizeof(value)), ==,
                                is_up && mmio->device.config_generation != generation);
                break;
        default:
                virtio_config_set_writable(&mmio->device, value & 8);
                break;
        }
}

static void storm_step(GRand *rand, VirtioMmio *mmio, RingModel *rings)
{
        static const uint8_t registers[] = {
                0x14, 0x20, 0x24, 0x30, 0x30, 0x30, 0x38, 0x38, 0x38, 0x44, 0x44, 0x50, 0x50,
                0x64, 0x80, 0x80, 0x84, 0x90, 0x90, 0x94, 0xa0, 0xa0, 0xa4, 0xac, 0xc0, 0xc0,
        };
        const int choice = g_rand_int_range(rand, 0, 256);
        uint64_t offset = registers[g_rand_int_range(rand, 0, sizeof(registers))];

        if (choice == 0) {
                storm_driver(mmio, rings, driver_starts, G_N_ELEMENTS(driver_starts));
                g_assert_true(virtio_is_running(&mmio->device));
        } else if (choice < 4) {
                storm_driver(mmio, rings, driver_resets_queue, G_N_ELEMENTS(driver_resets_queue));
        } else if (choice == 4) {
                storm_device(mmio, g_rand_int(rand));
        } else if (choice < 32) {
                offset = (uint64_t)g_rand_int_range(rand, 0, 0x210);
                storm_access(mmio, rings, offset, (uint32_t)g_rand_int_range(rand, 0, 9),
                             storm_value(rand, offset));
        } else {
                offset = choice < 40 ? VIRTIO_MMIO_STATUS : offset;
                storm_access(mmio, rings, offset, 4, storm_value(rand, offset));
        }
}

static void test_storms(void)
{
        const uint32_t first = g_test_rand_int() & 0xffffff;
        unsigned int n_events[VIRTIO_EVENT_BROKEN + 1] = { 0 };

        for (uint32_t seed = first; seed < first + 1000; seed++) {
                GRand *rand = g_rand_new_with_seed(seed);
                VirtioMmio mmio = mmio_new();
                RingModel rings = { 0 };

                g_test_message("storm %u", seed); /* the last one shown is the one that failed */
                for (unsigned int step = 0; step < 1000; step++)
                        storm_step(rand, &mmio, &rings);
                g_assert_cmpint(virtio_mmio_check(&mmio), ==, 0);
                for (unsigned int type = 0; type <= VIRTIO_EVENT_BROKEN; type++)
                        n_events[type] += rings.n_events[type];
                g_rand_free(rand);
        }
        /* Storms that never get anywhere would prove nothing. */
        for (unsigned int type = 0; type <= VIRTIO_EVENT_BROKEN; type++) {
                g_test_message("%u events of type %u", n_events[type], type);
                g_assert_cmpuint(n_events[type], >, 100);
        }
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        for (unsigned int state = 0; state < _STATE_MAX; state++) {
                g_autofree char *name = g_strdup_printf("/virtio-registers/every-access/%u", state);

                g_test_add_data_func(name, GUINT_TO_POINTER(state), test_every_access);
        }
        g_test_add_func("/virtio-registers/storms", test_storms);
        return g_test_run();
}
