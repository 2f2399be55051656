/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What %{…} means in a backend profile, for one device. */

#include "common/device-name.h"
#include "orchestrator/expand.h"
#include "orchestrator/spec.h"

#define DEVICE_VARIABLES 11

typedef struct DeviceVariables {
        Variable list[DEVICE_VARIABLES]; /* points into here and into the spec */
        char instance[DEVICE_INSTANCE_MAX];
        char socket[DEVICE_PATH_MAX];
        char domid[8];
        char devid[16];
} DeviceVariables;

/*
 * Fills in the values. disk_driver is QEMU's word for what the disk lies on, "file" or
 * "host_device", or NULL without a disk. What ret_variables then holds must not be moved, and lives
 * as long as the spec.
 */
void device_variables_fill(const DeviceSpec *spec, const char *disk_driver,
                           DeviceVariables *ret_variables);

/* Tries a word of a profile with any device: returns as expand() does, but for missing values. */
int device_variables_check(const char *word, char **ret_message) _warn_unused_;
