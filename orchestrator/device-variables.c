/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/device-variables.h"

#include <inttypes.h>
#include <stdio.h>

enum {
        VARIABLE_INSTANCE,
        VARIABLE_DOMID,
        VARIABLE_DEVID,
        VARIABLE_DOMAIN,
        VARIABLE_UUID,
        VARIABLE_SOCKET,
        VARIABLE_DISK_PATH,
        VARIABLE_DISK_DEV,
        VARIABLE_DISK_DRIVER,
        VARIABLE_DISK_READONLY,
        VARIABLE_DISK_WRITABLE,
        _VARIABLE_MAX,
};

static const char *const variable_names[] = {
        [VARIABLE_INSTANCE] = "instance",
        [VARIABLE_DOMID] = "domid",
        [VARIABLE_DEVID] = "devid",
        [VARIABLE_DOMAIN] = "domain",
        [VARIABLE_UUID] = "uuid",
        [VARIABLE_SOCKET] = "socket",
        [VARIABLE_DISK_PATH] = "disk.path",
        [VARIABLE_DISK_DEV] = "disk.dev",
        [VARIABLE_DISK_DRIVER] = "disk.driver",
        [VARIABLE_DISK_READONLY] = "disk.readonly",
        [VARIABLE_DISK_WRITABLE] = "disk.writable",
};
_Static_assert(ARRAY_SIZE(variable_names) == DEVICE_VARIABLES, "one place for each variable");

void device_variables_fill(const DeviceSpec *spec, const char *disk_driver,
                           DeviceVariables *ret_variables)
{
        Variable *list = ret_variables->list;

        for (unsigned int i = 0; i < _VARIABLE_MAX; i++)
                list[i] = (Variable){ .name = variable_names[i] };

        device_name_instance(&spec->name, ret_variables->instance);
        device_name_path(&spec->name, BACKEND_SOCKET, ret_variables->socket);
        snprintf(ret_variables->domid, sizeof(ret_variables->domid), "%" PRIu16, spec->name.domid);
        snprintf(ret_variables->devid, sizeof(ret_variables->devid), "%" PRIu32, spec->name.devid);

        list[VARIABLE_INSTANCE].value = ret_variables->instance;
        list[VARIABLE_DOMID].value = ret_variables->domid;
        list[VARIABLE_DEVID].value = ret_variables->devid;
        list[VARIABLE_DOMAIN].value = spec->domain;
        list[VARIABLE_UUID].value = spec->uuid;
        list[VARIABLE_SOCKET].value = ret_variables->socket;
        if (!spec->disk_path)
                return;
        list[VARIABLE_DISK_PATH].value = spec->disk_path;
        list[VARIABLE_DISK_DEV].value = spec->disk_dev;
        list[VARIABLE_DISK_DRIVER].value = disk_driver;
        list[VARIABLE_DISK_READONLY].value = spec->disk_readonly ? "on" : "off";
        list[VARIABLE_DISK_WRITABLE].value = spec->disk_readonly ? "off" : "on";
}

int device_variables_check(const char *word, char **ret_message)
{
        Variable list[_VARIABLE_MAX];
        g_autofree char *expanded = NULL;

        for (unsigned int i = 0; i < _VARIABLE_MAX; i++)
                list[i] = (Variable){ variable_names[i], "" };
        return expand(word, list, _VARIABLE_MAX, &expanded, ret_message);
}
