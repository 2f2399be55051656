/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>

#include "orchestrator/ctl-json.h"

/* Every field of a report is in the object, with its value and the name that it has on the bus. */
static void test_report(void)
{
        const DeviceReport report = {
                .instance = "5-disk-51712",
                .state = "ready",
                .problem = "",
                .domid = 5,
                .server = 3,
                .base = 0x2000000,
                .counters = { .requests = UINT64_C(1) << 40, .dropped_lines = 9 },
        };
        g_autoptr(JsonBuilder) builder = json_builder_new();
        g_autoptr(JsonNode) root = NULL;
        JsonObject *object;

        json_builder_begin_object(builder);
        json_add_report(builder, &report);
        json_builder_end_object(builder);
        root = json_builder_get_root(builder);
        object = json_node_get_object(root);

        g_assert_cmpuint(json_object_get_size(object), ==, n_report_fields);
        g_assert_cmpstr(json_object_get_string_member(object, "device"), ==, "5-disk-51712");
        g_assert_cmpint(json_object_get_int_member(object, "domid"), ==, 5);
        g_assert_cmpint(json_object_get_int_member(object, "ioreq-server"), ==, 3);
        g_assert_cmpint(json_object_get_int_member(object, "base"), ==, 0x2000000);
        g_assert_cmpint(json_object_get_int_member(object, "requests"), ==, INT64_C(1) << 40);
        g_assert_cmpint(json_object_get_int_member(object, "dropped-lines"), ==, 9);
        g_assert_true(json_object_get_null_member(object, "problem"));
        g_assert_true(json_object_get_null_member(object, "domain"));
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/ctl-json/report", test_report);
        return g_test_run();
}
