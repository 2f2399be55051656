/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What may stand in a launch file: anything. What is accepted is in range, and reads back. */

#include <glib.h>

#include "common/guest-memory.h"
#include "common/launch.h"
#include "tests/fuzz/input.h"

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
        return 0;
}
