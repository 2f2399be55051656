/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/virtio.h"

#include <glib.h>
#include <string.h>

#define BIT(n)   (UINT64_C(1) << (n))
#define FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(9) | BIT(28))
#define RAM      GUEST_BANK0_BASE
#define N_QUEUES 3

#define ACKNOWLEDGE VIRTIO_STATUS_ACKNOWLEDGE
#define DRIVER      VIRTIO_STATUS_DRIVER
#define DRIVER_OK   VIRTIO_STATUS_DRIVER_OK
#define FEATURES_OK VIRTIO_STATUS_FEATURES_OK
#define NEEDS_RESET VIRTIO_STATUS_NEEDS_RESET
#define FAILED      VIRTIO_STATUS_FAILED
#define DRIVER_BITS (ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | FAILED)

static VirtioDevice device_new(void)
{
        VirtioDevice device = { .device_id = 2, .n_banks = 1 };

        device.banks[0] = (MemoryBank){ RAM, UINT64_C(1) << 20 };
        virtio_offer(&device, FEATURES, N_QUEUES, 256, "config", 6);
        return device;
}

static void features_accept(VirtioDevice *device)
{
        virtio_driver_features_write(device, 0, (uint32_t)FEATURES);
        virtio_driver_features_write(device, 1, (uint32_t)(FEATURES >> 32));
}

static void queue_set(VirtioDevice *device, uint16_t index)
{
        device->queues[index].size = 16;
        device->queues[index].descriptor_area = RAM;
        device->queues[index].driver_area = RAM + 4096;
        device->queues[index].device_area = RAM + 8192;
}

static VirtioDevice device_new_running(void)
{
        VirtioDevice device = device_new();

        virtio_status_write(&device, ACKNOWLEDGE | DRIVER);
        features_accept(&device);
        virtio_status_write(&device, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        queue_set(&device, 0);
        g_assert_cmpint(virtio_queue_ready_write(&device, 0, true).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_status_write(&device, 0xf).type, ==, VIRTIO_EVENT_START);
        return device;
}

/* What section 3.1.1 says of one write, written down a second time. */
static uint8_t status_oracle(uint8_t before, uint8_t value, bool features_good)
{
        uint8_t after = before | (value & DRIVER_BITS);

        if (value == 0)
                return 0;
        if (!(before & FEATURES_OK) && !features_good)
                after &= (uint8_t)~FEATURES_OK;
        if (!(before & DRIVER_OK) && (after & DRIVER_OK) && !(after & FEATURES_OK))
                after = (after & (uint8_t)~DRIVER_OK) | NEEDS_RESET;
        return after;
}

static VirtioEventType event_oracle(uint8_t before, uint8_t value, uint8_t after)
{
        if (value == 0)
                return before ? VIRTIO_EVENT_RESET : VIRTIO_EVENT_NONE;
        if (!(value & DRIVER_OK) || (before & DRIVER_OK))
                return VIRTIO_EVENT_NONE;
        return after & NEEDS_RESET ? VIRTIO_EVENT_BROKEN : VIRTIO_EVENT_START;
}

static void write_and_compare(VirtioDevice *device, uint8_t value, bool features_good)
{
        const uint8_t before = device->status;
        VirtioEvent event;

        /* A reset forgets them. */
        if (features_good && !(before & FEATURES_OK))
                features_accept(device);
        event = virtio_status_write(device, value);
        if (device->status != status_oracle(before, value, features_good) ||
            event.type != event_oracle(before, value, device->status))
                g_error("status %#x, write %#x: status %#x, event %d", before, value,
                        device->status, event.type);
}

/* The 64 values: all of the driver's bits, without and with all of those that it does not own. */
static uint8_t status_value(unsigned int i)
{
        return (uint8_t)((i & 0xf) | (i & 0x10 ? FAILED : 0) | (i & 0x20 ? 0x70 : 0));
}

static void test_status_sequences(gconstpointer data)
{
        const bool features_good = data != NULL;

        for (unsigned int first = 0; first < 64; first++) {
                VirtioDevice one = device_new();

                write_and_compare(&one, status_value(first), features_good);
                for (unsigned int second = 0; second < 64; second++) {
                        VirtioDevice two = one;

                        write_and_compare(&two, status_value(second), features_good);
                        for (unsigned int third = 0; third < 64; third++) {
                                VirtioDevice three = two;

                                write_and_compare(&three, status_value(third), features_good);
                        }
                }
        }
}

/* All that may be said of one write after any others, without knowing those. */
static void check_write(VirtioDevice *device, uint8_t value, uint8_t last, bool *started)
{
        const uint8_t before = device->status;
        const VirtioEventType event = virtio_status_write(device, value).type;
        const uint8_t after = device->status;
        bool good = true;

        good &= (after & ~(DRIVER_BITS | NEEDS_RESET)) == 0;
        good &= !(after & DRIVER_OK) || (after & FEATURES_OK);
        good &= value == 0 ? after == 0 : (after & before) == before;
        good &= ((after & ~before) & ~(value | NEEDS_RESET)) == 0;
        good &= !(after & ~before & NEEDS_RESET) || event == VIRTIO_EVENT_BROKEN;
        good &= event != VIRTIO_EVENT_BROKEN || (after & NEEDS_RESET);
        good &= event != VIRTIO_EVENT_START || (!*started && virtio_is_running(device));
        good &= (event == VIRTIO_EVENT_RESET) == (after == 0 && before != 0);
        good &= value != last || event == VIRTIO_EVENT_NONE || event == VIRTIO_EVENT_BROKEN;
        *started = (*started || event == VIRTIO_EVENT_START) && event != VIRTIO_EVENT_RESET;
        good &= *started == virtio_is_running(device);
        good &= virtio_is_consistent(device);
        if (!good)
                g_error("status %#x, write %#x: status %#x, event %d", before, value, after, event);
}

/* All sequences of so many writes that begin in this state. */
static void check_sequences(const VirtioDevice *device, uint8_t last, bool started, bool features,
                            unsigned int depth)
{
        static const uint8_t values[] = { 0, 1, 2, 3, 4, 7, 8, 0xb, 0xf, 0x40, 0x80, 0xff };

        for (size_t i = 0; i < G_N_ELEMENTS(values) && depth > 0; i++) {
                VirtioDevice next = *device;
                bool next_started = started;

                if (features && !(next.status & FEATURES_OK))
                        features_accept(&next);
                check_write(&next, values[i], last, &next_started);
                check_sequences(&next, values[i], next_started, features, depth - 1);
        }
}

static void test_long_status_sequences(gconstpointer data)
{
        VirtioDevice device = device_new();

        check_sequences(&device, 0x20, false, data != NULL, 6);
}

static void test_normal_life(void)
{
        VirtioDevice device = device_new_running();

        g_assert_true(virtio_is_running(&device));
        g_assert_cmpint(virtio_status_write(&device, 0xf).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_status_write(&device, 0).type, ==, VIRTIO_EVENT_RESET);
        g_assert_false(virtio_is_running(&device));
        g_assert_cmpint(virtio_status_write(&device, 0).type, ==, VIRTIO_EVENT_NONE);
}

static void test_reset_forgets(void)
{
        VirtioDevice device = device_new_running(), fresh = device_new();

        virtio_interrupt_raise(&device, VIRTIO_INTERRUPT_QUEUE | VIRTIO_INTERRUPT_CONFIG);
        virtio_break(&device);
        virtio_status_write(&device, 0);
        g_assert_cmpmem(&device, sizeof(device), &fresh, sizeof(fresh));
}

static void test_broken(void)
{
        VirtioDevice device = device_new_running();

        virtio_break(&device);
        g_assert_false(virtio_is_running(&device));
        g_assert_cmphex(device.status, ==, 0xf | NEEDS_RESET);
        g_assert_cmphex(device.interrupt_status, ==, VIRTIO_INTERRUPT_CONFIG);
        g_assert_cmpint(virtio_status_write(&device, 0xf).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmphex(device.status, ==, 0xf | NEEDS_RESET);
        g_assert_cmpint(virtio_notify(&device, 0).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_status_write(&device, 0).type, ==, VIRTIO_EVENT_RESET);

        /* Before DRIVER_OK no driver listens to interrupts: then it is told. */
        device = device_new();
        virtio_break(&device);
        g_assert_cmphex(device.interrupt_status, ==, 0);
        features_accept(&device);
        g_assert_cmpint(virtio_status_write(&device, 0xb).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmphex(device.interrupt_status, ==, 0);
        g_assert_cmpint(virtio_status_write(&device, 0xf).type, ==, VIRTIO_EVENT_BROKEN);
        g_assert_cmphex(device.interrupt_status, ==, VIRTIO_INTERRUPT_CONFIG);

        /* The rule was broken by DRIVER_OK itself. */
        device = device_new();
        g_assert_cmpint(virtio_status_write(&device, 7).type, ==, VIRTIO_EVENT_BROKEN);
        g_assert_cmphex(device.status, ==, 3 | NEEDS_RESET);
}

static void test_features(void)
{
        static const struct {
                uint64_t offered, chosen;
                bool good;
        } cases[] = {
                { FEATURES, FEATURES, true },
                { FEATURES, BIT(VIRTIO_F_VERSION_1), true },
                { FEATURES, 0, false },
                { FEATURES, BIT(9) | BIT(28), false }, /* a legacy driver */
                { FEATURES, FEATURES | BIT(10), false },
                { FEATURES, FEATURES | BIT(63), false },
                { FEATURES, UINT64_MAX, false },
                { FEATURES | BIT(VIRTIO_F_ACCESS_PLATFORM), FEATURES, false },
                { FEATURES | BIT(VIRTIO_F_ACCESS_PLATFORM),
                  FEATURES | BIT(VIRTIO_F_ACCESS_PLATFORM), true },
                { 0, BIT(VIRTIO_F_VERSION_1), true }, /* VERSION_1 is always offered */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                VirtioDevice device = device_new();

                virtio_offer(&device, cases[i].offered, N_QUEUES, 256, "config", 6);
                virtio_status_write(&device, ACKNOWLEDGE | DRIVER);
                virtio_driver_features_write(&device, 0, (uint32_t)cases[i].chosen);
                virtio_driver_features_write(&device, 1, (uint32_t)(cases[i].chosen >> 32));
                virtio_driver_features_write(&device, 2, UINT32_MAX);
                virtio_driver_features_write(&device, UINT32_MAX, UINT32_MAX);
                g_assert_cmphex(device.driver_features, ==, cases[i].chosen);
                virtio_status_write(&device, ACKNOWLEDGE | DRIVER | FEATURES_OK);
                g_test_message("case %zu", i);
                g_assert_cmpint((device.status & FEATURES_OK) != 0, ==, cases[i].good);
        }
}

static void test_features_are_fixed(void)
{
        VirtioDevice device = device_new_running();

        virtio_driver_features_write(&device, 0, 0);
        virtio_driver_features_write(&device, 1, 0);
        g_assert_cmphex(device.driver_features, ==, FEATURES);
}

static void test_offer(void)
{
        VirtioDevice device = device_new();
        uint32_t generation = device.config_generation;
        char large[VIRTIO_CONFIG_SIZE_MAX];

        virtio_offer(&device, FEATURES, N_QUEUES, 256, "config", 6);
        g_assert_cmpuint(device.config_generation, ==, generation);
        virtio_offer(&device, FEATURES, N_QUEUES, 256, "Config", 6);
        g_assert_cmpuint(device.config_generation, ==, generation + 1);
        memset(large, 'x', sizeof(large));
        virtio_offer(&device, FEATURES, VIRTIO_QUEUES_MAX, 256, large, sizeof(large));
        g_assert_cmpuint(device.config_generation, ==, generation + 2);
        virtio_offer(&device, FEATURES, N_QUEUES, 256, "co", 2);
        g_assert_cmpmem(device.config, 4, "co\0", 4); /* nothing of the longer one is left */

        /* Nor of queues that were set up too early. */
        queue_set(&device, N_QUEUES - 1);
        virtio_offer(&device, FEATURES, N_QUEUES - 1, 256, "co", 2);
        g_assert_true(virtio_is_consistent(&device));
        g_assert_cmpuint(device.queues[N_QUEUES - 1].size, ==, 0);
}

/* Before FEATURES_OK the halves come in any order, and again; a refusal is not the end. */
static void test_features_again(void)
{
        VirtioDevice device = device_new();

        virtio_status_write(&device, ACKNOWLEDGE | DRIVER);
        virtio_driver_features_write(&device, 1, (uint32_t)(FEATURES >> 32));
        virtio_driver_features_write(&device, 0, UINT32_MAX);
        virtio_status_write(&device, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        g_assert_cmphex(device.status, ==, ACKNOWLEDGE | DRIVER);
        g_assert_false(virtio_has_feature(&device, 9));

        virtio_driver_features_write(&device, 0, 0);
        virtio_driver_features_write(&device, 0, BIT(9));
        virtio_status_write(&device, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        g_assert_cmphex(device.status, ==, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        g_assert_true(virtio_has_feature(&device, 9));
        g_assert_true(virtio_has_feature(&device, VIRTIO_F_VERSION_1));
        g_assert_false(virtio_has_feature(&device, 28));
        g_assert_false(virtio_has_feature(&device, VIRTIO_F_RING_PACKED));
}

/* A device that no backend has described has nothing that a driver could agree on. */
static void test_before_offer(void)
{
        const MemoryBank bank = { RAM, GUEST_PAGE_SIZE };
        VirtioDevice device;

        virtio_init(&device, &bank, 1);
        virtio_status_write(&device, ACKNOWLEDGE | DRIVER);
        for (unsigned int i = 0; i < 2; i++) {
                g_assert_cmpint(virtio_status_write(&device, 0xb).type, ==, VIRTIO_EVENT_NONE);
                g_assert_cmphex(device.status, ==, ACKNOWLEDGE | DRIVER);
                virtio_driver_features_write(&device, 1, 1);
        }
}

static void test_notification_data_is_never_offered(void)
{
        VirtioDevice device = device_new();

        virtio_offer(&device, UINT64_MAX, N_QUEUES, 256, "config", 6);
        g_assert_cmphex(device.device_features, ==, ~BIT(VIRTIO_F_NOTIFICATION_DATA));
}

static void test_config_change(void)
{
        VirtioDevice device = device_new();
        uint32_t generation = device.config_generation;

        /* Nobody listens yet. */
        g_assert_false(virtio_config_change(&device, "Config", 6));
        g_assert_cmpuint(device.config_generation, ==, ++generation);
        g_assert_cmphex(device.interrupt_status, ==, 0);

        device = device_new_running();
        generation = device.config_generation;
        g_assert_false(virtio_config_change(&device, "config", 6));
        g_assert_cmpuint(device.config_generation, ==, generation);
        g_assert_cmphex(device.interrupt_status, ==, 0);
        g_assert_true(virtio_config_change(&device, "conf", 4));
        g_assert_cmpuint(device.config_generation, ==, ++generation);
        g_assert_cmphex(device.interrupt_status, ==, VIRTIO_INTERRUPT_CONFIG);
        g_assert_cmpuint(device.config_size, ==, 4);
        g_assert_cmpmem(device.config, 6, "conf\0", 6);

        /* A reset takes the interrupt back, but not the generation. */
        virtio_status_write(&device, 0);
        g_assert_cmphex(device.interrupt_status, ==, 0);
        g_assert_cmpuint(device.config_generation, ==, generation);
        virtio_offer(&device, FEATURES, N_QUEUES, 256, "config", 6);
        g_assert_cmpuint(device.config_generation, ==, ++generation);
}

static void test_config_write(void)
{
        VirtioDevice device = device_new_running();
        const uint32_t generation = device.config_generation;
        VirtioEvent event = virtio_config_write(&device, 0, 1, 'C');

        g_assert_cmpint(event.type, ==, VIRTIO_EVENT_NONE);
        virtio_config_set_writable(&device, true);
        for (unsigned int i = 0; i < 2; i++) {
                event = virtio_config_write(&device, 2, 4, 0x44434241);
                g_assert_cmpint(event.type, ==, VIRTIO_EVENT_CONFIG_WRITE);
                g_assert_cmpuint(event.offset, ==, 2);
                g_assert_cmpuint(event.size, ==, 4);
        }
        g_assert_cmpmem(device.config, 7, "coABCD", 7);
        g_assert_cmpint(virtio_config_write(&device, 5, 1, 0xffffff00 | 'd').type, ==,
                        VIRTIO_EVENT_CONFIG_WRITE);
        g_assert_cmpmem(device.config, 7, "coABCd", 7);
        g_assert_cmpuint(device.config_generation, ==, generation);
        g_assert_cmphex(device.interrupt_status, ==, 0);

        g_assert_cmpint(virtio_config_write(&device, 6, 1, 1).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_config_write(&device, 3, 4, 1).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_config_write(&device, UINT32_MAX, 4, 1).type, ==, VIRTIO_EVENT_NONE);
        virtio_config_change(&device, "co", 2);
        g_assert_cmpint(virtio_config_write(&device, 0, 4, 1).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpint(virtio_config_write(&device, 0, 2, 'c' | 'o' << 8).type, ==,
                        VIRTIO_EVENT_CONFIG_WRITE);
        virtio_config_set_writable(&device, false);
        g_assert_cmpint(virtio_config_write(&device, 0, 1, 1).type, ==, VIRTIO_EVENT_NONE);
        g_assert_cmpmem(device.config, 4, "co\0", 4);
}

static void test_interrupts(void)
{
        VirtioDevice device = device_new_running();

        virtio_interrupt_raise(&device, VIRTIO_INTERRUPT_QUEUE);
        virtio_interrupt_raise(&device, VIRTIO_INTERRUPT_CONFIG);
        virtio_interrupt_acknowledge(&device, VIRTIO_INTERRUPT_QUEUE);
        g_assert_cmphex(device.interrupt_status, ==, VIRTIO_INTERRUPT_CONFIG);
        virtio_interrupt_acknowledge(&device, UINT32_MAX);
        g_assert_cmphex(device.interrupt_status, ==, 0);
}

/* The kernel interrupts: it may have done so at any time. */
static void test_interrupts_unseen(void)
{
        VirtioDevice device = device_new_running();

        g_assert_cmphex(virtio_interrupt_causes(&device), ==, 0);
        virtio_interrupts_unseen(&device, true);
        virtio_interrupt_acknowledge(&device, VIRTIO_INTERRUPT_QUEUE);
        g_assert_cmphex(virtio_interrupt_causes(&device), ==, VIRTIO_INTERRUPT_QUEUE);

        virtio_interrupt_raise(&device, VIRTIO_INTERRUPT_CONFIG);
        g_assert_cmphex(virtio_interrupt_causes(&device), ==,
                        VIRTIO_INTERRUPT_QUEUE | VIRTIO_INTERRUPT_CONFIG);
        virtio_interrupt_acknowledge(&device, UINT32_MAX);
        g_assert_cmphex(virtio_interrupt_causes(&device), ==, VIRTIO_INTERRUPT_QUEUE);

        /* The last one may be on its way. */
        virtio_interrupts_unseen(&device, false);
        virtio_interrupts_unseen(&device, false);
        g_assert_cmphex(virtio_interrupt_causes(&device), ==, VIRTIO_INTERRUPT_QUEUE);
        virtio_interrupt_acknowledge(&device, VIRTIO_INTERRUPT_QUEUE);
        g_assert_cmphex(virtio_interrupt_causes(&device), ==, 0);

        virtio_interrupts_unseen(&device, true);
        virtio_status_write(&device, 0);
        g_assert_cmphex(virtio_interrupt_causes(&device), ==, 0);
        virtio_interrupts_unseen(&device, false);
        g_assert_cmphex(virtio_interrupt_causes(&device), ==, 0);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_data_func("/virtio/status-sequences/good-features", "good",
                             test_status_sequences);
        g_test_add_data_func("/virtio/status-sequences/bad-features", NULL, test_status_sequences);
        g_test_add_data_func("/virtio/long-status-sequences/good-features", "good",
                             test_long_status_sequences);
        g_test_add_data_func("/virtio/long-status-sequences/bad-features", NULL,
                             test_long_status_sequences);
        g_test_add_func("/virtio/normal-life", test_normal_life);
        g_test_add_func("/virtio/reset-forgets", test_reset_forgets);
        g_test_add_func("/virtio/broken", test_broken);
        g_test_add_func("/virtio/features", test_features);
        g_test_add_func("/virtio/features-are-fixed", test_features_are_fixed);
        g_test_add_func("/virtio/offer", test_offer);
        g_test_add_func("/virtio/features-again", test_features_again);
        g_test_add_func("/virtio/before-offer", test_before_offer);
        g_test_add_func("/virtio/notification-data-is-never-offered",
                        test_notification_data_is_never_offered);
        g_test_add_func("/virtio/config-change", test_config_change);
        g_test_add_func("/virtio/config-write", test_config_write);
        g_test_add_func("/virtio/interrupts", test_interrupts);
        g_test_add_func("/virtio/interrupts-unseen", test_interrupts_unseen);
        return g_test_run();
}
