/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/device-id.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/device-type.h"
#include "common/parse.h"

#define XL_PREFIX "virtio,device"

const char *device_id_name(uint32_t id)
{
        return device_type_find(id)->name;
}

uint32_t device_id_find(const char *name)
{
        for (uint32_t id = 1; id <= DEVICE_ID_MAX; id++) {
                const DeviceType *type = device_type_find(id);

                if (!type->name)
                        continue;
                if (strcmp(type->name, name) == 0 ||
                    (type->qemu_name && strcmp(type->qemu_name, name) == 0))
                        return id;
        }
        return 0;
}

uint32_t device_id_parse(const char *text)
{
        uint32_t id = device_id_find(text);
        uint64_t number;

        if (id > 0)
                return id;
        return parse_unsigned(text, DEVICE_ID_MAX, &number) < 0 ? 0 : (uint32_t)number;
}

int device_id_parse_xl(const char *text, uint32_t *ret_id)
{
        const size_t length = strlen(XL_PREFIX);
        char prefixed[24];
        uint64_t id;
        int n;

        if (strncmp(text, XL_PREFIX, length) != 0)
                return -EINVAL;
        text += length;
        if (*text == '\0') {
                *ret_id = 0;
                return 0;
        }
        n = snprintf(prefixed, sizeof(prefixed), "0x%s", text);
        if ((size_t)n >= sizeof(prefixed) || parse_unsigned(prefixed, DEVICE_ID_MAX, &id) < 0 ||
            id == 0)
                return -ERANGE;
        *ret_id = (uint32_t)id;
        return 0;
}
