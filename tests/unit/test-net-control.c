/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/net-control.h"

#include <glib.h>

#define BIT(n)  (UINT64_C(1) << (n))
#define CTRL_VQ BIT(17)
#define MQ      BIT(22)
#define VERSION BIT(32)

/* A card whose driver has chosen these, of four pairs and a control queue that is served here. */
static VirtioDevice card_new(uint64_t features)
{
        VirtioDevice device;

        virtio_init(&device, NULL, 0);
        virtio_offer(&device, CTRL_VQ | MQ, 9, 256, "", 0);
        virtio_control_queue_set(&device, 8);
        virtio_status_write(&device, 3);
        virtio_driver_features_write(&device, 0, (uint32_t)features);
        virtio_driver_features_write(&device, 1, 1);
        virtio_status_write(&device, 11);
        return device;
}

/* Section 5.1.2. */
static void test_queues(void)
{
        static const struct {
                uint64_t features;
                uint16_t control, backends;
        } cases[] = {
                { CTRL_VQ | MQ, 8, 8 },
                { CTRL_VQ, 2, 2 },
                { MQ, 0, 8 },
                { 0, 0, 2 },
        };
        VirtioDevice device;

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                device = card_new(cases[i].features);
                g_assert_cmpuint(net_control_queue(&device), ==, cases[i].control);
                g_assert_cmpuint(net_control_backend_queues(&device), ==, cases[i].backends);
        }
        /* A device whose backend has all queues, whatever its bits mean. */
        virtio_init(&device, NULL, 0);
        virtio_offer(&device, CTRL_VQ | MQ, 9, 256, "", 0);
        virtio_driver_features_write(&device, 0, CTRL_VQ | MQ);
        virtio_driver_features_write(&device, 1, 1);
        virtio_status_write(&device, 11);
        g_assert_cmpuint(net_control_queue(&device), ==, 0);
        g_assert_cmpuint(net_control_backend_queues(&device), ==, 9);
        g_assert_cmpuint(device.n_pairs, ==, 0);
}

static void test_enables(void)
{
        for (uint16_t queue = 0; queue < 64; queue++) {
                g_assert_true(net_control_enables(0, queue));
                for (uint16_t n_pairs = 1; n_pairs < 32; n_pairs++)
                        g_assert_true(net_control_enables(n_pairs, queue) == (queue / 2 < n_pairs));
        }
}

/* A reset takes all pairs but the first, and an offer without a control queue all of it. */
static void test_pairs_of_a_device(void)
{
        VirtioDevice device = card_new(CTRL_VQ | MQ);

        g_assert_cmpuint(device.n_pairs, ==, 1);
        virtio_pairs_set(&device, 4);
        g_assert_cmpuint(device.n_pairs, ==, 4);
        g_assert_true(virtio_is_consistent(&device));
        virtio_status_write(&device, 0);
        g_assert_cmpuint(device.n_pairs, ==, 1);
        g_assert_cmpuint(device.control_queue, ==, 8);
        virtio_offer(&device, 0, 2, 256, "", 0);
        g_assert_cmpuint(device.n_pairs, ==, 0);
        g_assert_cmpuint(device.control_queue, ==, 0);
        virtio_status_write(&device, 1);
        virtio_status_write(&device, 0);
        g_assert_cmpuint(device.n_pairs, ==, 0);
}

/* All 2^32 commands of the right size would take a while: each byte by itself. */
static void test_commands(void)
{
        const VirtioDevice all = card_new(CTRL_VQ | MQ), none = card_new(CTRL_VQ);
        uint8_t command[16] = { 0 };

        for (unsigned int class = 0; class < 256; class ++) {
                for (unsigned int number = 0; number < 256; number++) {
                        for (unsigned int pairs = 0; pairs < 8; pairs++) {
                                const bool good =
                                        class == 4 && number == 0 && pairs >= 1 && pairs <= 4;

                                command[0] = (uint8_t) class;
                                command[1] = (uint8_t)number;
                                command[2] = (uint8_t)pairs;
                                g_assert_cmpuint(net_control_pairs(&all, command, 4), ==,
                                                 good ? pairs : 0);
                                g_assert_cmpuint(net_control_pairs(&none, command, 4), ==, 0);
                        }
                }
        }
        command[0] = 4;
        command[1] = 0;
        for (unsigned int pairs = 0; pairs <= UINT16_MAX; pairs++) {
                command[2] = (uint8_t)pairs;
                command[3] = (uint8_t)(pairs >> 8);
                g_assert_cmpuint(net_control_pairs(&all, command, 4), ==, pairs <= 4 ? pairs : 0);
        }
        command[2] = 1;
        command[3] = 0;
        for (uint64_t size = 0; size < 40; size++)
                g_assert_cmpuint(net_control_pairs(&all, command, size), ==, size == 4);
        g_assert_cmpuint(net_control_pairs(&all, command, UINT64_MAX), ==, 0);
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/net-control/queues", test_queues);
        g_test_add_func("/net-control/enables", test_enables);
        g_test_add_func("/net-control/pairs-of-a-device", test_pairs_of_a_device);
        g_test_add_func("/net-control/commands", test_commands);
        return g_test_run();
}
