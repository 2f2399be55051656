/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What may stand in a list of devices: anything. What is accepted reads back as it was. */

#include <glib.h>
#include <string.h>

#include "common/device-list.h"
#include "tests/fuzz/input.h"

#define DOMID 5

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
        char text[DEVICE_LIST_LIMIT];
        const char *problem = NULL;
        DeviceList list;
        int length;

        if (device_list_parse((const char *)bytes, size, DOMID, &list, &problem) < 0) {
                g_assert_nonnull(problem);
                return 0;
        }
        g_assert_cmpuint(list.n, <=, DEVICE_LIST_MAX);
        for (unsigned int i = 0; i < list.n; i++)
                g_assert_cmpuint(list.names[i].domid, ==, DOMID);
        length = device_list_format(&list, text, sizeof(text));
        g_assert_cmpint(length, >=, 0);
        g_assert_cmpuint((size_t)length, ==, size);
        g_assert_true(memcmp(text, bytes, size) == 0);
        return 0;
}
