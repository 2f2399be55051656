/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/device-variables.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
        VARIABLE_INSTANCE,
        VARIABLE_DOMID,
        VARIABLE_DEVID,
        VARIABLE_DOMAIN,
        VARIABLE_UUID,
        VARIABLE_SOCKET,
        VARIABLE_SOCKET_STEM,
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
        [VARIABLE_SOCKET_STEM] = "socket.stem",
        [VARIABLE_DISK_PATH] = "disk.path",
        [VARIABLE_DISK_DEV] = "disk.dev",
        [VARIABLE_DISK_DRIVER] = "disk.driver",
        [VARIABLE_DISK_READONLY] = "disk.readonly",
        [VARIABLE_DISK_WRITABLE] = "disk.writable",
};
_Static_assert(ARRAY_SIZE(variable_names) == DEVICE_VARIABLES_COMMON,
               "one place for each variable");

static void list_add(DeviceVariables *variables, const char *name, const char *value)
{
        variables->list[variables->n++] = (Variable){ name, value };
}

/* The names that every device has, yet without values. */
static void list_begin(DeviceVariables *variables)
{
        *variables = (DeviceVariables){ 0 };
        for (unsigned int i = 0; i < _VARIABLE_MAX; i++)
                list_add(variables, variable_names[i], NULL);
}

static void fill_common(const DeviceSpec *spec, const char *disk_driver, DeviceVariables *variables)
{
        Variable *list = variables->list;

        device_name_instance(&spec->name, variables->instance);
        device_name_path(&spec->name, BACKEND_SOCKET, variables->socket);
        /* What some programs put a number behind, by themselves: that of the first device. */
        device_name_path(&spec->name, BACKEND_SOCKET, variables->socket_stem);
        variables->socket_stem[strlen(variables->socket_stem) - 1] = '\0';
        snprintf(variables->domid, sizeof(variables->domid), "%" PRIu16, spec->name.domid);
        snprintf(variables->devid, sizeof(variables->devid), "%" PRIu32, spec->name.devid);

        list[VARIABLE_INSTANCE].value = variables->instance;
        list[VARIABLE_DOMID].value = variables->domid;
        list[VARIABLE_DEVID].value = variables->devid;
        list[VARIABLE_DOMAIN].value = spec->domain;
        list[VARIABLE_UUID].value = spec->uuid;
        list[VARIABLE_SOCKET].value = variables->socket;
        list[VARIABLE_SOCKET_STEM].value = variables->socket_stem;
        if (!spec->disk_path)
                return;
        list[VARIABLE_DISK_PATH].value = spec->disk_path;
        list[VARIABLE_DISK_DEV].value = spec->disk_dev;
        list[VARIABLE_DISK_DRIVER].value = disk_driver;
        list[VARIABLE_DISK_READONLY].value = spec->disk_readonly ? "on" : "off";
        list[VARIABLE_DISK_WRITABLE].value = spec->disk_readonly ? "off" : "on";
}

int device_variables_fill(const DeviceSpec *spec, const DeviceChoice *choice,
                          const char *disk_driver, DeviceVariables *ret_variables,
                          char **ret_message)
{
        const Profile *profile = choice->profile;
        unsigned int n_known;
        int r;

        list_begin(ret_variables);
        fill_common(spec, disk_driver, ret_variables);
        for (unsigned int i = 0; i < _DEVICE_OPTION_MAX; i++)
                list_add(ret_variables, device_option_variable(i), choice->options.values[i]);

        n_known = ret_variables->n;
        for (unsigned int i = 0; i < profile->n_options; i++) {
                const char *value = choice->values[i];

                if (!value) {
                        r = expand(profile->options[i].standard, ret_variables->list, n_known,
                                   &ret_variables->defaults[i], ret_message);
                        if (r < 0)
                                return r;
                        value = ret_variables->defaults[i];
                }
                list_add(ret_variables, profile->options[i].key, value);
        }
        return 0;
}

void device_variables_clear(DeviceVariables *variables)
{
        for (unsigned int i = 0; i < PROFILE_OPTIONS_MAX; i++)
                g_free(variables->defaults[i]);
        *variables = (DeviceVariables){ 0 };
}

int device_variables_check(const char *word, const Profile *profile, char **ret_message)
{
        g_autofree char *expanded = NULL;
        DeviceVariables variables;

        list_begin(&variables);
        for (unsigned int i = 0; i < _DEVICE_OPTION_MAX; i++)
                list_add(&variables, device_option_variable(i), NULL);
        for (unsigned int i = 0; profile && i < profile->n_options; i++)
                list_add(&variables, profile->options[i].key, NULL);
        for (unsigned int i = 0; i < variables.n; i++)
                variables.list[i].value = "";
        return expand(word, variables.list, variables.n, &expanded, ret_message);
}

bool device_variables_has(const char *name)
{
        for (unsigned int i = 0; i < _VARIABLE_MAX; i++) {
                if (strcmp(variable_names[i], name) == 0)
                        return true;
        }
        return false;
}
