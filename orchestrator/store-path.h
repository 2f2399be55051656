/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The paths of devices in xenstore, relative to the folder of the domain that serves them. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "common/device-name.h"
#include "orchestrator/node-set.h"

#define STORE_PATH_MAX 128

/* "backend/KIND" */
void store_path_kind(DeviceKind kind, char ret_path[STORE_PATH_MAX]);

/* "backend/KIND/DOMID" */
void store_path_guest(DeviceKind kind, uint16_t domid, char ret_path[STORE_PATH_MAX]);

/* "backend/KIND/DOMID/DEVID/NODE"; node is short. */
void store_path_device(const DeviceName *name, const char *node, char ret_path[STORE_PATH_MAX]);

/* The path of a node that belongs to the device's NodeSet, wherever it lies. */
void store_path_node(const DeviceName *name, Node node, char ret_path[STORE_PATH_MAX]);

typedef enum StorePath {
        STORE_PATH_OTHER,
        STORE_PATH_GUEST,  /* that of store_path_guest() itself */
        STORE_PATH_DEVICE, /* a device's folder, or something in it */
} StorePath;

/* What a changed path is about. ret_name has as much of the name as the path says. */
StorePath store_path_parse(const char *path, DeviceKind kind, DeviceName *ret_name);
