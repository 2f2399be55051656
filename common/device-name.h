/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Every name of a device is a pure function of (domid, kind, devid), made here and nowhere else:
 * its systemd units, its folder and its socket. "5-disk-51712" is the *instance*, the part between
 * "@" and ".service".
 */

#include <stdint.h>

#include "common/macros.h"

/* The folder of all run-time state, and the names of the files in a device's folder. */
#define RUN_DIRECTORY   "/run/xen-virtio"
#define LAUNCH_FILE     "launch"
#define BACKEND_SOCKET  "backend.sock0"
#define FRONTEND_FOLDER "frontend" /* a folder for the frontend's own files */
#define STATUS_FILE     "status"   /* in it, see launch.h */

/* Tells the preload library the path of BACKEND_SOCKET. */
#define BACKEND_SOCKET_ENV "XEN_VIRTIO_SOCKET"

/* Domids from here on are Xen's reserved ones (DOMID_FIRST_RESERVED in xen/public/xen.h). */
#define DOMID_RESERVED 0x7ff0U

/* The two kinds of xenstore nodes that libxl writes for virtio devices. */
typedef enum DeviceKind {
        DEVICE_KIND_VIRTIO, /* virtio = [...]: backend/virtio */
        DEVICE_KIND_DISK,   /* disk = [...,specification=virtio]: backend/virtio_disk */
        _DEVICE_KIND_MAX,
} DeviceKind;

typedef struct DeviceName {
        uint16_t domid;
        DeviceKind kind;
        uint32_t devid;
} DeviceName;

/* Long enough for any instance ("32751-virtio-4294967295") and any unit name made from it. */
#define DEVICE_INSTANCE_MAX 32
#define DEVICE_UNIT_MAX     96
#define DEVICE_PATH_MAX     (sizeof(RUN_DIRECTORY) + 1 + DEVICE_INSTANCE_MAX + 32)

bool device_name_equal(const DeviceName *one, const DeviceName *other);

/* "virtio" or "disk": the word for the kind in our own names. */
const char *device_kind_name(DeviceKind kind);

/* "virtio" or "virtio_disk": libxl's word for the kind in xenstore paths. */
const char *device_kind_node(DeviceKind kind);

/* Orders by domid, then kind, then devid, as strcmp() does: libxl numbers devices as they come. */
int device_name_compare(const DeviceName *a, const DeviceName *b);

/* Writes "DOMID-KIND-DEVID", for example "5-disk-51712". */
void device_name_instance(const DeviceName *name, char ret_instance[DEVICE_INSTANCE_MAX]);

/*
 * Reads an instance back. Only what device_name_instance() writes is accepted: -EINVAL for anything
 * else (leading zeros, unknown kinds, reserved domids).
 */
int device_name_parse(const char *instance, DeviceName *ret_name) _warn_unused_;

/*
 * The instance of the frontend that serves several devices of a guest (device-list.h): writes
 * "DOMID-shared", or reads it back as device_name_parse() does.
 */
void device_name_shared(uint16_t domid, char ret_instance[DEVICE_INSTANCE_MAX]);
int device_name_parse_shared(const char *instance, uint16_t *ret_domid) _warn_unused_;

/* "xen-virtio-frontend@INSTANCE.service" and "xen-virtio-backend@INSTANCE.service". */
void device_name_frontend_unit(const DeviceName *name, char ret_unit[DEVICE_UNIT_MAX]);
void device_name_backend_unit(const DeviceName *name, char ret_unit[DEVICE_UNIT_MAX]);
void device_name_shared_unit(uint16_t domid, char ret_unit[DEVICE_UNIT_MAX]);

/*
 * The device's slice, "xen-virtio-INSTANCE.slice". Dashes nest slices in systemd, so it lies within
 * the guest's own slice, "xen-virtio-DOMID.slice", which lies within xen-virtio.slice.
 */
void device_name_slice(const DeviceName *name, char ret_unit[DEVICE_UNIT_MAX]);
void device_name_shared_slice(uint16_t domid, char ret_unit[DEVICE_UNIT_MAX]);
void device_name_guest_slice(uint16_t domid, char ret_unit[DEVICE_UNIT_MAX]);

/* RUN_DIRECTORY/INSTANCE, or RUN_DIRECTORY/INSTANCE/FILE when file is not NULL. */
void device_name_path(const DeviceName *name, const char *file, char ret_path[DEVICE_PATH_MAX]);
