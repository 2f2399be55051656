/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a frontend is told of a device's options; test-configuration.c has where they come from. */

#include "orchestrator/device-options.h"

#include <glib.h>

static LaunchConfig hand_over(uint32_t device_id, DeviceOption option, const char *value)
{
        const DeviceSpec spec = {
                .name = { .domid = 5, .kind = DEVICE_KIND_VIRTIO, .devid = 3 },
                .uuid = "01234567-89ab-cdef-0123-456789abcdef",
                .device_id = device_id,
        };
        DeviceOptions options = { 0 };
        LaunchConfig config;

        if (value)
                options.values[option] = g_strdup(value);
        device_options_complete(&spec, &options);
        device_options_hand_over(&options, &config);
        device_options_clear(&options);
        return config;
}

static void test_net(void)
{
        const uint8_t mac[] = { 0x00, 0x16, 0x3e, 0x0a, 0xBC, 0xff };
        LaunchConfig config = hand_over(1, OPTION_NET_MAC, "00:16:3e:0a:BC:ff");

        g_assert_cmpmem(config.net_mac, LAUNCH_MAC_SIZE, mac, sizeof(mac));
        g_assert_cmpuint(config.net_mtu + config.net_queue_pairs, ==, 0);
        config = hand_over(1, OPTION_NET_MTU, "9000");
        g_assert_cmpuint(config.net_mtu, ==, 9000);
        /* Made up, the same each time. */
        g_assert_cmpuint(config.net_mac[0] & 3, ==, 2);
        g_assert_cmpmem(config.net_mac, LAUNCH_MAC_SIZE,
                        hand_over(1, OPTION_NET_QUEUE_PAIRS, "2").net_mac, LAUNCH_MAC_SIZE);
        g_assert_cmpuint(hand_over(1, OPTION_NET_QUEUE_PAIRS, "2").net_queue_pairs, ==, 2);
}

static void test_others(void)
{
        g_assert_cmpstr(hand_over(26, OPTION_FS_TAG, "a b").fs_tag, ==, "a b");
        g_assert_cmpstr(hand_over(26, OPTION_FS_TAG, NULL).fs_tag, ==, "fs3");
        g_assert_cmpuint(hand_over(26, OPTION_FS_REQUEST_QUEUES, "4").fs_request_queues, ==, 4);
        g_assert_cmpuint(hand_over(19, OPTION_VSOCK_CID, "4294967294").vsock_cid, ==, 0xfffffffe);
        g_assert_cmpuint(hand_over(19, OPTION_VSOCK_CID, NULL).vsock_cid, ==, 8);
}

/* A device that is of none of these types. */
static void test_none(void)
{
        const LaunchConfig none = { 0 }, config = hand_over(2, OPTION_NET_MAC, NULL);

        g_assert_cmpmem(&config, sizeof(config), &none, sizeof(none));
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/device-options/net", test_net);
        g_test_add_func("/device-options/others", test_others);
        g_test_add_func("/device-options/none", test_none);
        return g_test_run();
}
