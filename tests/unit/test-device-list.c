/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/device-list.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>

#define DOMID 5

static int list_parse(const char *text, DeviceList *ret_list, const char **ret_problem)
{
        return device_list_parse(text, strlen(text), DOMID, ret_list, ret_problem);
}

static DeviceList list_new(unsigned int n)
{
        DeviceList list = { .n = n };

        for (unsigned int i = 0; i < n; i++)
                list.names[i] = (DeviceName){ DOMID, DEVICE_KIND_DISK, UINT32_MAX - i };
        return list;
}

static void assert_list_equal(const DeviceList *list, const DeviceList *expected)
{
        g_assert_cmpuint(list->n, ==, expected->n);
        for (unsigned int i = 0; i < list->n; i++)
                g_assert_true(device_list_has(expected, &list->names[i]));
}

static void test_round_trip(void)
{
        char text[DEVICE_LIST_LIMIT];

        for (unsigned int n = 0; n <= DEVICE_LIST_MAX; n++) {
                const DeviceList list = list_new(n);
                int length = device_list_format(&list, text, sizeof(text));
                DeviceList back;

                g_assert_cmpint(length, >=, 0);
                g_assert_cmpint(device_list_parse(text, (size_t)length, DOMID, &back, NULL), ==, 0);
                assert_list_equal(&back, &list);
                if (length > 0)
                        g_assert_cmpint(device_list_format(&list, text, (size_t)length), ==,
                                        -ENOSPC);
        }
}

static void test_accepts(void)
{
        DeviceList list;

        g_assert_cmpint(list_parse("5-virtio-0\n5-disk-0\n5-disk-51712\n", &list, NULL), ==, 0);
        g_assert_cmpuint(list.n, ==, 3);
        g_assert_true(device_list_has(&list, &(DeviceName){ 5, DEVICE_KIND_DISK, 51712 }));
        g_assert_true(device_list_has(&list, &(DeviceName){ 5, DEVICE_KIND_VIRTIO, 0 }));
        g_assert_false(device_list_has(&list, &(DeviceName){ 5, DEVICE_KIND_VIRTIO, 1 }));
        g_assert_false(device_list_has(&list, &(DeviceName){ 6, DEVICE_KIND_VIRTIO, 0 }));
}

static void test_refuses(void)
{
        static const struct {
                const char *text, *problem;
        } cases[] = {
                { "\n", "a line is no device's name" },
                { "5-disk-1\n\n", "a line is no device's name" },
                { "5-disk-1\n 5-disk-2\n", "a line is no device's name" },
                { "5-disk-1\r\n", "a line is no device's name" },
                { "5-disk-1\n5-shared\n", "a line is no device's name" },
                { "../5-disk-1\n", "a line is no device's name" },
                { "5-disk-1\n5-disk-11111111111111111111111111111111111\n",
                  "a line is no device's name" },
                { "5-disk-1\n6-disk-2\n", "a device is another guest's" },
                { "5-disk-1\n5-virtio-1\n5-disk-1\n", "a device stands in it twice" },
                { "5-disk-1", "the last line has no end" },
                { "5-disk-1\n5-disk-5171", "the last line has no end" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                DeviceList list = { .n = 77 };
                const char *problem = NULL;

                g_test_message("\"%s\"", cases[i].text);
                g_assert_cmpint(list_parse(cases[i].text, &list, &problem), ==, -EINVAL);
                g_assert_cmpstr(problem, ==, cases[i].problem);
                g_assert_cmpuint(list.n, ==, 77); /* untouched */
        }
        g_assert_cmpint(device_list_parse("5-disk-1\0\n", 10, DOMID, &(DeviceList){ 0 }, NULL), ==,
                        -EINVAL);
}

static void test_too_many(void)
{
        g_autoptr(GString) text = g_string_new(NULL);
        const char *problem = NULL;
        DeviceList list;

        for (unsigned int i = 0; i < DEVICE_LIST_MAX; i++)
                g_string_append_printf(text, "%u-disk-%u\n", DOMID, i);
        g_assert_cmpint(list_parse(text->str, &list, NULL), ==, 0);
        g_string_append_printf(text, "%u-virtio-0\n", DOMID);
        g_assert_cmpint(list_parse(text->str, &list, &problem), ==, -EINVAL);
        g_assert_cmpstr(problem, ==, "there are too many devices");
}

static void test_file(void)
{
        g_autofree char *folder = g_dir_make_tmp("test-device-list-XXXXXX", NULL);
        g_autofree char *path = g_build_filename(folder, DEVICE_LIST_FILE, NULL);
        g_autofree char *large = g_strnfill(DEVICE_LIST_LIMIT + 1, '\n');
        _cleanup_fd_ int dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const DeviceList list = list_new(DEVICE_LIST_MAX);
        const char *problem;
        DeviceList back;

        g_assert_cmpint(device_list_read(dirfd, DOMID, &back, &problem), ==, -ENOENT);
        g_assert_cmpstr(problem, ==, "");
        for (int i = 0; i < 2; i++) {
                g_assert_cmpint(device_list_write(dirfd, &list), ==, 0);
                g_assert_cmpint(device_list_read(dirfd, DOMID, &back, &problem), ==, 0);
                assert_list_equal(&back, &list);
        }
        g_assert_true(g_file_set_contents(path, large, DEVICE_LIST_LIMIT, NULL));
        g_assert_cmpint(device_list_read(dirfd, DOMID, &back, &problem), ==, -EINVAL);
        g_assert_true(g_file_set_contents(path, large, DEVICE_LIST_LIMIT + 1, NULL));
        g_assert_cmpint(device_list_read(dirfd, DOMID, &back, &problem), ==, -EFBIG);

        g_assert_cmpint(g_remove(path), ==, 0);
        g_assert_cmpint(g_rmdir(folder), ==, 0); /* nothing else was left in it */
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/device-list/round-trip", test_round_trip);
        g_test_add_func("/device-list/accepts", test_accepts);
        g_test_add_func("/device-list/refuses", test_refuses);
        g_test_add_func("/device-list/too-many", test_too_many);
        g_test_add_func("/device-list/file", test_file);
        return g_test_run();
}
