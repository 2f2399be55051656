/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/device-list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/small-file.h"

_Static_assert(DEVICE_LIST_LIMIT >= DEVICE_LIST_MAX * DEVICE_INSTANCE_MAX, "a full list fits");

bool device_list_has(const DeviceList *list, const DeviceName *name)
{
        for (unsigned int i = 0; i < list->n; i++) {
                if (device_name_equal(&list->names[i], name))
                        return true;
        }
        return false;
}

/* Adds a line to the list. Returns NULL, or what is wrong with it. */
static const char *line_add(DeviceList *list, const char *line, size_t length, uint16_t domid)
{
        char instance[DEVICE_INSTANCE_MAX];
        DeviceName name;

        snprintf(instance, sizeof(instance), "%.*s", (int)length, line);
        if (strlen(instance) != length || device_name_parse(instance, &name) < 0)
                return "a line is no device's name";
        if (name.domid != domid)
                return "a device is another guest's";
        if (device_list_has(list, &name))
                return "a device stands in it twice";
        if (list->n == DEVICE_LIST_MAX)
                return "there are too many devices";
        list->names[list->n++] = name;
        return NULL;
}

int device_list_parse(const char *text, size_t size, uint16_t domid, DeviceList *ret_list,
                      const char **ret_problem)
{
        const char *problem = NULL;
        DeviceList list = { 0 };

        while (size > 0 && !problem) {
                const char *end = memchr(text, '\n', size);
                const size_t length = end ? (size_t)(end - text) : 0;

                /* The beginning of a name may be another device's name. */
                problem = end ? line_add(&list, text, length, domid) : "the last line has no end";
                text += length + 1;
                size -= end ? length + 1 : 0;
        }
        if (problem) {
                if (ret_problem)
                        *ret_problem = problem;
                return -EINVAL;
        }
        *ret_list = list;
        return 0;
}

int device_list_format(const DeviceList *list, char *text, size_t size)
{
        size_t length = 0;

        if (size > 0)
                *text = '\0';
        for (unsigned int i = 0; i < list->n; i++) {
                char instance[DEVICE_INSTANCE_MAX];

                device_name_instance(&list->names[i], instance);
                length += (size_t)snprintf(text + length, size - length, "%s\n", instance);
                if (length >= size)
                        return -ENOSPC;
        }
        return (int)length;
}

int device_list_read(int dirfd, uint16_t domid, DeviceList *ret_list, const char **ret_problem)
{
        char text[DEVICE_LIST_LIMIT];
        ssize_t size = small_file_read_at(dirfd, DEVICE_LIST_FILE, text, sizeof(text));

        if (size >= 0)
                return device_list_parse(text, (size_t)size, domid, ret_list, ret_problem);
        if (ret_problem)
                *ret_problem = "";
        return (int)size;
}

int device_list_write(int dirfd, const DeviceList *list)
{
        char text[DEVICE_LIST_LIMIT];
        int length = device_list_format(list, text, sizeof(text));

        if (length < 0)
                return length;
        return small_file_replace(dirfd, DEVICE_LIST_FILE, text, (size_t)length);
}
