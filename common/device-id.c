/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/device-id.h"

#include <string.h>

#include "common/macros.h"
#include "common/parse.h"

static const struct {
        uint32_t id;
        const char *name;
        const char *qemu_name; /* NULL: the same */
} names[] = {
        { 1, "net", NULL },    { 2, "blk", "block" },  { 3, "console", NULL },
        { 4, "rng", NULL },    { 5, "balloon", NULL }, { 7, "rpmsg", NULL },
        { 8, "scsi", NULL },   { 9, "9p", NULL },      { 11, "rproc-serial", NULL },
        { 12, "caif", NULL },  { 16, "gpu", NULL },    { 18, "input", NULL },
        { 19, "vsock", NULL }, { 20, "crypto", NULL }, { 24, "mem", NULL },
        { 25, "sound", NULL }, { 26, "fs", NULL },     { 27, "pmem", NULL },
        { 32, "scmi", NULL },  { 34, "i2c", NULL },    { 36, "can", NULL },
        { 41, "gpio", NULL },
};

const char *device_id_name(uint32_t id)
{
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                if (names[i].id == id)
                        return names[i].name;
        }
        return NULL;
}

uint32_t device_id_find(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                if (strcmp(names[i].name, name) == 0)
                        return names[i].id;
                if (names[i].qemu_name && strcmp(names[i].qemu_name, name) == 0)
                        return names[i].id;
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
