/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What may stand in a launch file: anything. What is accepted is in range, and reads back. */

#include <string.h>

#include <glib.h>

#include "common/guest-memory.h"
#include "common/launch.h"
#include "tests/fuzz/input.h"

static void config_check(const LaunchConfig *config, uint32_t device_id)
{
        static const uint8_t none[LAUNCH_MAC_SIZE];
        const bool has_mac = memcmp(config->net_mac, none, sizeof(none)) != 0;

        g_assert_cmpuint(config->net_mac[0] & 1, ==, 0);
        g_assert_true(config->net_mtu == 0 || config->net_mtu >= 68);
        g_assert_cmpuint(config->net_queue_pairs, <=, 31);
        g_assert_nonnull(memchr(config->fs_tag, '\0', sizeof(config->fs_tag)));
        g_assert_cmpuint(config->fs_request_queues, <=, 63);
        g_assert_true(config->vsock_cid == 0 ||
                      (config->vsock_cid >= 3 && config->vsock_cid < UINT32_MAX));
        g_assert_cmpuint(config->bytes_offset + config->bytes_size, <=, LAUNCH_CONFIG_SIZE);
        g_assert_true(device_id == 1 || (!has_mac && config->net_mtu == 0));
        g_assert_true(device_id == 26 || config->fs_tag[0] == '\0');
        g_assert_true(device_id == 19 || config->vsock_cid == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        MemoryBank banks[MEMORY_BANKS_MAX];
        char text[LAUNCH_FILE_LIMIT];
        const char *key = NULL;
        Launch launch, again;
        int length;

        if (launch_parse((const char *)bytes, size, &launch, &key) < 0) {
                g_assert_nonnull(key);
                return 0;
        }
        g_assert_cmpuint(launch.base % VIRTIO_MMIO_RANGE_SIZE, ==, 0);
        g_assert_true(launch.irq >= 32 && launch.irq <= 1019);
        g_assert_true(launch.device_id >= 1 && launch.device_id <= 63);
        g_assert_cmpint(guest_memory_banks(launch.memory_kib, banks), >, 0);

        config_check(&launch.config, launch.device_id);

        length = launch_format(&launch, text, sizeof(text));
        g_assert_cmpint(length, >, 0);
        g_assert_cmpint(launch_parse(text, (size_t)length, &again, NULL), ==, 0);
        g_assert_cmpstr(again.uuid, ==, launch.uuid);
        g_assert_cmpuint(again.server, ==, launch.server);
        g_assert_cmphex(again.base, ==, launch.base);
        g_assert_cmpuint(again.irq, ==, launch.irq);
        g_assert_cmpuint(again.device_id, ==, launch.device_id);
        g_assert_cmpuint(again.memory_kib, ==, launch.memory_kib);
        g_assert_cmpint(again.grant_usage, ==, launch.grant_usage);
        g_assert_cmpint(again.memory, ==, launch.memory);
        g_assert_cmpmem(&again.config, sizeof(again.config), &launch.config, sizeof(launch.config));
        return 0;
}
