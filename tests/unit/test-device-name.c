/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/device-name.h"

#include <errno.h>
#include <glib.h>

static const DeviceName disk = { .domid = 5, .kind = DEVICE_KIND_DISK, .devid = 51712 };
static const DeviceName longest = {
        .domid = DOMID_RESERVED - 1,
        .kind = DEVICE_KIND_VIRTIO,
        .devid = UINT32_MAX,
};

static void test_names(void)
{
        char instance[DEVICE_INSTANCE_MAX], unit[DEVICE_UNIT_MAX], path[DEVICE_PATH_MAX];

        g_assert_cmpstr(device_kind_name(DEVICE_KIND_VIRTIO), ==, "virtio");
        g_assert_cmpstr(device_kind_node(DEVICE_KIND_DISK), ==, "virtio_disk");

        device_name_instance(&disk, instance);
        g_assert_cmpstr(instance, ==, "5-disk-51712");
        device_name_frontend_unit(&disk, unit);
        g_assert_cmpstr(unit, ==, "xen-virtio-frontend@5-disk-51712.service");
        device_name_backend_unit(&disk, unit);
        g_assert_cmpstr(unit, ==, "xen-virtio-backend@5-disk-51712.service");
        device_name_slice(&disk, unit);
        g_assert_cmpstr(unit, ==, "xen-virtio-5-disk-51712.slice");
        device_name_guest_slice(5, unit);
        g_assert_cmpstr(unit, ==, "xen-virtio-5.slice");
        device_name_path(&disk, /* file= */ NULL, path);
        g_assert_cmpstr(path, ==, "/run/xen-virtio/5-disk-51712");
        device_name_path(&disk, LAUNCH_FILE, path);
        g_assert_cmpstr(path, ==, "/run/xen-virtio/5-disk-51712/launch");
}

/* The longest name has to come out whole in every buffer that the header promises to be enough. */
static void test_compare(void)
{
        static const DeviceName sorted[] = {
                { 1, DEVICE_KIND_VIRTIO, 9 }, { 2, DEVICE_KIND_VIRTIO, 0 },
                { 2, DEVICE_KIND_VIRTIO, 1 }, { 2, DEVICE_KIND_VIRTIO, UINT32_MAX },
                { 2, DEVICE_KIND_DISK, 0 },   { 3, DEVICE_KIND_VIRTIO, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(sorted); i++) {
                for (size_t k = 0; k < G_N_ELEMENTS(sorted); k++) {
                        int order = device_name_compare(&sorted[i], &sorted[k]);

                        g_assert_cmpint((order > 0) - (order < 0), ==, (i > k) - (i < k));
                }
        }
}

static void test_longest(void)
{
        char instance[DEVICE_INSTANCE_MAX], unit[DEVICE_UNIT_MAX], path[DEVICE_PATH_MAX];

        device_name_instance(&longest, instance);
        g_assert_cmpstr(instance, ==, "32751-virtio-4294967295");
        device_name_frontend_unit(&longest, unit);
        g_assert_true(g_str_has_suffix(unit, "-4294967295.service"));
        device_name_backend_unit(&longest, unit);
        g_assert_true(g_str_has_suffix(unit, "-4294967295.service"));
        device_name_path(&longest, BACKEND_SOCKET, path);
        g_assert_true(g_str_has_suffix(path, "/" BACKEND_SOCKET));
}

static void test_round_trip(void)
{
        const DeviceName names[] = { { 0, DEVICE_KIND_VIRTIO, 0 }, disk, longest };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                char instance[DEVICE_INSTANCE_MAX];
                DeviceName back;

                device_name_instance(&names[i], instance);
                g_assert_cmpint(device_name_parse(instance, &back), ==, 0);
                g_assert_cmpuint(back.domid, ==, names[i].domid);
                g_assert_cmpint(back.kind, ==, names[i].kind);
                g_assert_cmpuint(back.devid, ==, names[i].devid);
        }
}

static void test_hostile(void)
{
        static const char *const texts[] = {
                "",
                "5",
                "5-",
                "5-disk",
                "5-disk-",
                "-disk-1",
                "5--1",
                "5-disk-51712x",
                "5-disk-51712 ",
                " 5-disk-51712",
                "5-disk-51712\n",
                "5-disk-+1",
                "5-disk--1",
                "+5-disk-1",
                "05-disk-1",
                "5-disk-01",
                "5-DISK-1",
                "5-disks-1",
                "5-virtio_disk-1",
                "5-net-1",
                "32752-disk-1",
                "65536-disk-1",
                "99999-disk-1",
                "5-disk-4294967296",
                "5-disk-9999999999",
                "5-disk-11111111111",
                "0x5-disk-1",
                "5-disk-0x1",
                "5/../disk-1",
                "../5-disk-1",
                "5-disk-1/..",
                "5-disk-1.service",
                "5-%s-1",
                "\xff-disk-1",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autofree char *printable = g_strescape(texts[i], NULL);
                DeviceName name = disk;

                g_test_message("\"%s\"", printable);
                g_assert_cmpint(device_name_parse(texts[i], &name), ==, -EINVAL);
                g_assert_cmpuint(name.devid, ==, disk.devid); /* untouched */
        }
}

static void test_shared(void)
{
        static const char *const hostile[] = {
                "",
                "5",
                "5-",
                "5-share",
                "5-shared ",
                "5-shared\n",
                "5-shared-",
                "05-shared",
                "+5-shared",
                "65536-shared",
                "32752-shared",
                "-shared",
                "5-shared-1",
                "5-disk-1",
                "../5-shared",
        };
        char text[DEVICE_UNIT_MAX];
        uint16_t domid = 77;
        DeviceName name;

        for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++)
                g_assert_cmpint(device_name_parse_shared(hostile[i], &domid), ==, -EINVAL);
        g_assert_cmpuint(domid, ==, 77); /* untouched */
        for (uint16_t i = 0; i < DOMID_RESERVED; i++) {
                device_name_shared(i, text);
                g_assert_cmpint(device_name_parse_shared(text, &domid), ==, 0);
                g_assert_cmpuint(domid, ==, i);
                g_assert_cmpint(device_name_parse(text, &name), ==, -EINVAL);
        }
        device_name_shared_unit(5, text);
        g_assert_cmpstr(text, ==, "xen-virtio-frontend@5-shared.service");
        device_name_shared_slice(5, text);
        g_assert_cmpstr(text, ==, "xen-virtio-5-shared.slice");
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/device-name/names", test_names);
        g_test_add_func("/device-name/compare", test_compare);
        g_test_add_func("/device-name/longest", test_longest);
        g_test_add_func("/device-name/round-trip", test_round_trip);
        g_test_add_func("/device-name/hostile", test_hostile);
        g_test_add_func("/device-name/shared", test_shared);
        return g_test_run();
}
