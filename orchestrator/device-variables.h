/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What %{…} means in a backend profile, for one device. */

#include "common/device-name.h"
#include "orchestrator/configuration.h"
#include "orchestrator/expand.h"

/* What every device has; then come the options of its type, and those of its profile. */
#define DEVICE_VARIABLES_COMMON 12
#define DEVICE_VARIABLES_MAX    (DEVICE_VARIABLES_COMMON + _DEVICE_OPTION_MAX + PROFILE_OPTIONS_MAX)

typedef struct DeviceVariables {
        Variable list[DEVICE_VARIABLES_MAX]; /* points into here, the spec and the choice */
        unsigned int n;
        char *defaults[PROFILE_OPTIONS_MAX]; /* of the profile's options, expanded */
        char instance[DEVICE_INSTANCE_MAX];
        char socket[DEVICE_PATH_MAX], socket_stem[DEVICE_PATH_MAX];
        char domid[8];
        char devid[16];
} DeviceVariables;

/*
 * Fills in the values. disk_driver is QEMU's word for what the disk lies on, "file" or
 * "host_device", or NULL without a disk. What ret_variables then holds must not be moved, and lives
 * as long as the spec and the choice.
 *
 * Returns as expand(): the default of an option may have a variable that the device has not.
 * *ret_variables is to be cleared in either case.
 */
int device_variables_fill(const DeviceSpec *spec, const DeviceChoice *choice,
                          const char *disk_driver, DeviceVariables *ret_variables,
                          char **ret_message) _warn_unused_;

void device_variables_clear(DeviceVariables *variables);

/*
 * Tries a word of a profile with any device: returns as expand() does, but for missing values. The
 * options of the profile are known, if it is not NULL.
 */
int device_variables_check(const char *word, const Profile *profile,
                           char **ret_message) _warn_unused_;

/* Whether devices of whatever profile have a variable of the name. */
bool device_variables_has(const char *name);
