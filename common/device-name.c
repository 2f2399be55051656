/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/device-name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/parse.h"

static const struct {
        const char *name;
        const char *node;
} device_kinds[_DEVICE_KIND_MAX] = {
        [DEVICE_KIND_VIRTIO] = { "virtio", "virtio" },
        [DEVICE_KIND_DISK] = { "disk", "virtio_disk" },
};

bool device_name_equal(const DeviceName *one, const DeviceName *other)
{
        return one->domid == other->domid && one->kind == other->kind && one->devid == other->devid;
}

const char *device_kind_name(DeviceKind kind)
{
        return device_kinds[kind].name;
}

const char *device_kind_node(DeviceKind kind)
{
        return device_kinds[kind].node;
}

int device_name_compare(const DeviceName *a, const DeviceName *b)
{
        if (a->domid != b->domid)
                return a->domid < b->domid ? -1 : 1;
        if (a->kind != b->kind)
                return a->kind < b->kind ? -1 : 1;
        return (a->devid > b->devid) - (a->devid < b->devid);
}

void device_name_instance(const DeviceName *name, char ret_instance[DEVICE_INSTANCE_MAX])
{
        snprintf(ret_instance, DEVICE_INSTANCE_MAX, "%" PRIu16 "-%s-%" PRIu32, name->domid,
                 device_kind_name(name->kind), name->devid);
}

int device_name_parse(const char *instance, DeviceName *ret_name)
{
        char domid[6], devid[11], canonical[DEVICE_INSTANCE_MAX], kind[8];
        uint64_t number;
        DeviceName name = { 0 };
        int r;

        if (sscanf(instance, "%5[0-9]-%7[a-z]-%10[0-9]", domid, kind, devid) != 3)
                return -EINVAL;

        r = parse_unsigned(domid, DOMID_RESERVED - 1, &number);
        if (r < 0)
                return -EINVAL;
        name.domid = (uint16_t)number;

        r = parse_unsigned(devid, UINT32_MAX, &number);
        if (r < 0)
                return -EINVAL;
        name.devid = (uint32_t)number;

        while (name.kind < _DEVICE_KIND_MAX && strcmp(kind, device_kind_name(name.kind)) != 0)
                name.kind++;
        if (name.kind == _DEVICE_KIND_MAX)
                return -EINVAL;

        /* One spelling for each device, or two folders could stand for the same one. */
        device_name_instance(&name, canonical);
        if (strcmp(canonical, instance) != 0)
                return -EINVAL;

        *ret_name = name;
        return 0;
}

void device_name_shared(uint16_t domid, char ret_instance[DEVICE_INSTANCE_MAX])
{
        snprintf(ret_instance, DEVICE_INSTANCE_MAX, "%" PRIu16 "-shared", domid);
}

int device_name_parse_shared(const char *instance, uint16_t *ret_domid)
{
        char text[6], canonical[DEVICE_INSTANCE_MAX];
        uint64_t domid;

        if (sscanf(instance, "%5[0-9]", text) != 1 ||
            parse_unsigned(text, DOMID_RESERVED - 1, &domid) < 0)
                return -EINVAL;
        device_name_shared((uint16_t)domid, canonical);
        if (strcmp(canonical, instance) != 0)
                return -EINVAL;
        *ret_domid = (uint16_t)domid;
        return 0;
}

static void unit_name(const DeviceName *name, const char *prefix, const char *suffix,
                      char ret_unit[DEVICE_UNIT_MAX])
{
        char instance[DEVICE_INSTANCE_MAX];

        device_name_instance(name, instance);
        snprintf(ret_unit, DEVICE_UNIT_MAX, "%s%s%s", prefix, instance, suffix);
}

void device_name_frontend_unit(const DeviceName *name, char ret_unit[DEVICE_UNIT_MAX])
{
        unit_name(name, "xen-virtio-frontend@", ".service", ret_unit);
}

void device_name_backend_unit(const DeviceName *name, char ret_unit[DEVICE_UNIT_MAX])
{
        unit_name(name, "xen-virtio-backend@", ".service", ret_unit);
}

void device_name_shared_unit(uint16_t domid, char ret_unit[DEVICE_UNIT_MAX])
{
        char instance[DEVICE_INSTANCE_MAX];

        device_name_shared(domid, instance);
        snprintf(ret_unit, DEVICE_UNIT_MAX, "xen-virtio-frontend@%s.service", instance);
}

void device_name_slice(const DeviceName *name, char ret_unit[DEVICE_UNIT_MAX])
{
        unit_name(name, "xen-virtio-", ".slice", ret_unit);
}

void device_name_shared_slice(uint16_t domid, char ret_unit[DEVICE_UNIT_MAX])
{
        char instance[DEVICE_INSTANCE_MAX];

        device_name_shared(domid, instance);
        snprintf(ret_unit, DEVICE_UNIT_MAX, "xen-virtio-%s.slice", instance);
}

void device_name_guest_slice(uint16_t domid, char ret_unit[DEVICE_UNIT_MAX])
{
        snprintf(ret_unit, DEVICE_UNIT_MAX, "xen-virtio-%" PRIu16 ".slice", domid);
}

void device_name_path(const DeviceName *name, const char *file, char ret_path[DEVICE_PATH_MAX])
{
        char instance[DEVICE_INSTANCE_MAX];

        device_name_instance(name, instance);
        snprintf(ret_path, DEVICE_PATH_MAX, "%s/%s%s%s", RUN_DIRECTORY, instance, file ? "/" : "",
                 file ? file : "");
}
