/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/vdev.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/parse.h"

typedef struct Prefix {
        const char *word;
        uint32_t disks, partitions; /* how many, with 0, which is the disk itself */
} Prefix;

static const Prefix prefixes[] = {
        { "xvd", 1 << 20, 256 },
        { "sd", 16, 16 },
        { "hd", 4, 64 },
};

/* The letters count in base 26, but without a zero: z is followed by aa. */
static int parse_letters(const char **name, uint32_t disks, uint32_t *ret_disk)
{
        uint32_t n = 0;

        for (; **name >= 'a' && **name <= 'z' && n <= disks; (*name)++)
                n = n * 26 + (uint32_t)(**name - 'a') + 1;
        if (n == 0 || n > disks)
                return -EINVAL;
        *ret_disk = n - 1;
        return 0;
}

/* A partition has no leading zeros. */
static int parse_partition(const char *text, uint32_t partitions, uint32_t *ret_partition)
{
        uint64_t number;

        if (*text == '\0') {
                *ret_partition = 0;
                return 0;
        }
        if (*text == '0' || parse_unsigned(text, partitions - 1, &number) < 0)
                return -EINVAL;
        *ret_partition = (uint32_t)number;
        return 0;
}

static uint32_t encode(char kind, uint32_t disk, uint32_t partition)
{
        if (kind == 's')
                return 8U << 8 | disk << 4 | partition;
        if (kind == 'h')
                return (disk < 2 ? 3U : 22U) << 8 | (disk & 1) << 6 | partition;
        if (disk < 16 && partition < 16)
                return 202U << 8 | disk << 4 | partition;
        return 1U << 28 | disk << 8 | partition;
}

int vdev_parse(const char *name, uint32_t *ret_devid)
{
        uint32_t disk, partition;
        uint64_t number;
        int length = -1;

        if (parse_unsigned(name, INT32_MAX, &number) == 0) {
                *ret_devid = (uint32_t)number;
                return 0;
        }
        if (sscanf(name, "d%7up%3u%n", &disk, &partition, &length) == 2 && name[length] == '\0' &&
            disk < 1 << 20 && partition < 256) {
                *ret_devid = encode('x', disk, partition);
                return 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
                const char *rest = name + strlen(prefixes[i].word);

                if (strncmp(name, prefixes[i].word, strlen(prefixes[i].word)) != 0)
                        continue;
                if (parse_letters(&rest, prefixes[i].disks, &disk) < 0 ||
                    parse_partition(rest, prefixes[i].partitions, &partition) < 0)
                        return -EINVAL;
                *ret_devid = encode(*name, disk, partition);
                return 0;
        }
        return -EINVAL;
}
