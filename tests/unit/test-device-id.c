/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "common/device-id.h"
#include "common/device-type.h"

static void test_names(void)
{
        for (uint32_t id = 0; id <= DEVICE_ID_MAX + 1; id++) {
                const char *name = device_id_name(id);

                if (name)
                        g_assert_cmpuint(device_id_find(name), ==, id);
                /* What both tables know has one name. */
                if (device_type_find(id)->name)
                        g_assert_cmpstr(device_type_find(id)->name, ==, name);
        }
        g_assert_cmpuint(device_id_find("block"), ==, 2);
        g_assert_cmpuint(device_id_find("Block"), ==, 0);
        g_assert_cmpuint(device_id_find(""), ==, 0);
}

static void test_parse(void)
{
        g_assert_cmpuint(device_id_parse("fs"), ==, 26);
        g_assert_cmpuint(device_id_parse("0x1a"), ==, 26);
        g_assert_cmpuint(device_id_parse("63"), ==, 63);
        g_assert_cmpuint(device_id_parse("64"), ==, 0);
        g_assert_cmpuint(device_id_parse("0"), ==, 0);
        g_assert_cmpuint(device_id_parse("-1"), ==, 0);
        g_assert_cmpuint(device_id_parse(""), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/device-id/names", test_names);
        g_test_add_func("/device-id/parse", test_parse);
        return g_test_run();
}
