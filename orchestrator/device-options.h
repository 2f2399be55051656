/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What every device of a type has, whoever its backend is: the MAC address of a network card, the
 * tag of a file system, the CID of a socket. A guest file may set it by the name behind the dot
 * ("mac" in a section of a network card); some have a default. Pure.
 */

#include "orchestrator/spec.h"

typedef enum DeviceOption {
        OPTION_NET_MAC,
        OPTION_NET_MTU,
        OPTION_NET_QUEUE_PAIRS,
        OPTION_FS_TAG,
        OPTION_FS_REQUEST_QUEUES,
        OPTION_VSOCK_CID,
        _DEVICE_OPTION_MAX,
} DeviceOption;

/* As text that device_option_check() accepts; NULL: not set, or not an option of the type. */
typedef struct DeviceOptions {
        char *values[_DEVICE_OPTION_MAX];
} DeviceOptions;

/* The name of its variable: "net.mac". */
const char *device_option_variable(DeviceOption option);

/* The option that a guest file's key means for the type; a negative value if there is none. */
int device_option_find(uint32_t device_id, const char *key);

/* Returns 0, or -EINVAL with a reason in *ret_reason that is no whole sentence. */
int device_option_check(DeviceOption option, const char *value, char **ret_reason) _warn_unused_;

/*
 * Sets what is not set and has a default: the MAC address (locally administered, a function of the
 * domain's UUID and the devid, so that it stays the same whenever the guest is started), the tag
 * (fsDEVID), and the CID (the domid plus 3: three CIDs are reserved).
 */
void device_options_complete(const DeviceSpec *spec, DeviceOptions *options);

/* What the frontend is told of it. */
void device_options_hand_over(const DeviceOptions *options, LaunchConfig *ret_config);

void device_options_clear(DeviceOptions *options);
