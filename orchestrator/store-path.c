/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/store-path.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/parse.h"

void store_path_kind(DeviceKind kind, char ret_path[STORE_PATH_MAX])
{
        snprintf(ret_path, STORE_PATH_MAX, "backend/%s", device_kind_node(kind));
}

void store_path_guest(DeviceKind kind, uint16_t domid, char ret_path[STORE_PATH_MAX])
{
        snprintf(ret_path, STORE_PATH_MAX, "backend/%s/%" PRIu16, device_kind_node(kind), domid);
}

void store_path_device(const DeviceName *name, const char *node, char ret_path[STORE_PATH_MAX])
{
        snprintf(ret_path, STORE_PATH_MAX, "backend/%s/%" PRIu16 "/%" PRIu32 "/%s",
                 device_kind_node(name->kind), name->domid, name->devid, node);
}

void store_path_node(const DeviceName *name, Node node, char ret_path[STORE_PATH_MAX])
{
        if (node_is_domain(node))
                snprintf(ret_path, STORE_PATH_MAX, "/local/domain/%" PRIu16 "/%s", name->domid,
                         node_name(node));
        else
                store_path_device(name, node_name(node), ret_path);
}

/* Takes the number behind a slash off the path. Returns false if there is none. */
static bool take_number(const char **path, uint64_t max, uint64_t *ret_number)
{
        char digits[16];
        size_t length;

        if (**path != '/')
                return false;
        length = strcspn(*path + 1, "/");
        if (length >= sizeof(digits))
                return false;
        memcpy(digits, *path + 1, length);
        digits[length] = '\0';
        if (parse_unsigned(digits, max, ret_number) < 0)
                return false;
        *path += 1 + length;
        return true;
}

StorePath store_path_parse(const char *path, DeviceKind kind, DeviceName *ret_name)
{
        char prefix[STORE_PATH_MAX];
        uint64_t domid, devid;

        store_path_kind(kind, prefix);
        if (strncmp(path, prefix, strlen(prefix)) != 0)
                return STORE_PATH_OTHER;
        path += strlen(prefix);
        if (!take_number(&path, DOMID_RESERVED - 1, &domid))
                return STORE_PATH_OTHER;
        *ret_name = (DeviceName){ .domid = (uint16_t)domid, .kind = kind };
        if (*path == '\0')
                return STORE_PATH_GUEST;
        if (!take_number(&path, UINT32_MAX, &devid))
                return STORE_PATH_OTHER;
        ret_name->devid = (uint32_t)devid;
        return STORE_PATH_DEVICE;
}
