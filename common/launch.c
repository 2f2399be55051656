/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/device-name.h"
#include "common/parse.h"

enum {
        KEY_VERSION,
        KEY_UUID,
        KEY_SERVER,
        KEY_BASE,
        KEY_IRQ,
        KEY_DEVICE_ID,
        KEY_MEMORY_KIB,
        KEY_GRANT_USAGE,
        _KEY_MAX,
};

static const struct {
        const char *name;
        uint64_t min, max; /* both 0: not a number */
} keys[_KEY_MAX] = {
        [KEY_VERSION] = { "VERSION", 0, UINT64_MAX },
        [KEY_UUID] = { "UUID", 0, 0 },
        [KEY_SERVER] = { "SERVER", 0, UINT16_MAX },
        [KEY_BASE] = { "BASE", VIRTIO_MMIO_RANGE_SIZE, (UINT64_C(1) << 48) - 1 },
        [KEY_IRQ] = { "IRQ", 32, 1019 },
        [KEY_DEVICE_ID] = { "DEVICE_ID", 1, 63 },
        /* Arm guests have at most 3 GiB + 1016 GiB of RAM (GUEST_RAM*_SIZE, public/arch-arm.h). */
        [KEY_MEMORY_KIB] = { "MEMORY_KIB", 4, UINT64_C(1019) << 20 },
        [KEY_GRANT_USAGE] = { "GRANT_USAGE", 0, 1 },
};

/* 8-4-4-4-12 hexadecimal digits. */
static bool uuid_is_valid(const char *uuid)
{
        if (strlen(uuid) != LAUNCH_UUID_SIZE - 1)
                return false;
        for (size_t i = 0; i < LAUNCH_UUID_SIZE - 1; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;

                if (dash ? uuid[i] != '-' : !strchr("0123456789abcdefABCDEF", uuid[i]))
                        return false;
        }
        return true;
}

static int value_parse(unsigned int key, const char *value, uint64_t *ret_number)
{
        int r;

        if (key == KEY_UUID)
                return uuid_is_valid(value) ? 0 : -EINVAL;

        r = parse_unsigned(value, keys[key].max, ret_number);
        if (r < 0)
                return r;
        if (*ret_number < keys[key].min)
                return -ERANGE;
        if (key == KEY_VERSION && *ret_number != LAUNCH_VERSION)
                return -EPROTO;
        if (key == KEY_BASE && *ret_number % VIRTIO_MMIO_RANGE_SIZE != 0)
                return -EINVAL;
        if (key == KEY_MEMORY_KIB && *ret_number % 4 != 0)
                return -EINVAL;
        return 0;
}

/* Which key the line "KEY=VALUE" sets; _KEY_MAX if none. The value starts behind the "=". */
static unsigned int line_key(char *line, char **ret_value)
{
        char *equals = strchr(line, '=');
        unsigned int key = 0;

        if (!equals)
                return _KEY_MAX;
        *equals = '\0';
        *ret_value = equals + 1;
        while (key < _KEY_MAX && strcmp(line, keys[key].name) != 0)
                key++;
        return key;
}

static int lines_parse(char *text, Launch *launch, const char **ret_key)
{
        uint64_t numbers[_KEY_MAX] = { 0 };
        bool seen[_KEY_MAX] = { false };
        char *rest = text, *line;

        while ((line = strsep(&rest, "\n"))) {
                unsigned int key;
                char *value;
                int r;

                if (*line == '\0')
                        continue;
                key = line_key(line, &value);
                if (key == _KEY_MAX)
                        return -EINVAL;
                *ret_key = keys[key].name;
                if (seen[key])
                        return -EINVAL;
                seen[key] = true;
                r = value_parse(key, value, &numbers[key]);
                if (r < 0)
                        return r;
                if (key == KEY_UUID)
                        memcpy(launch->uuid, value, LAUNCH_UUID_SIZE);
        }
        for (unsigned int key = 0; key < _KEY_MAX; key++) {
                *ret_key = keys[key].name;
                if (!seen[key])
                        return -EINVAL;
        }

        launch->server = (uint16_t)numbers[KEY_SERVER];
        launch->base = numbers[KEY_BASE];
        launch->irq = (uint32_t)numbers[KEY_IRQ];
        launch->device_id = (uint32_t)numbers[KEY_DEVICE_ID];
        launch->memory_kib = numbers[KEY_MEMORY_KIB];
        launch->grant_usage = numbers[KEY_GRANT_USAGE] != 0;
        return 0;
}

int launch_parse(const char *text, size_t size, Launch *ret_launch, const char **ret_key)
{
        char copy[LAUNCH_FILE_LIMIT + 1];
        Launch launch = { 0 };
        const char *key = "";
        int r = -EINVAL;

        if (size < sizeof(copy) && !memchr(text, '\0', size)) {
                memcpy(copy, text, size);
                copy[size] = '\0';
                r = lines_parse(copy, &launch, &key);
        }
        if (r < 0) {
                if (ret_key)
                        *ret_key = key;
                return r;
        }

        *ret_launch = launch;
        return 0;
}

int launch_format(const Launch *launch, char *text, size_t size)
{
        int length =
                snprintf(text, size,
                         "VERSION=%d\n"
                         "UUID=%s\n"
                         "SERVER=%" PRIu16 "\n"
                         "BASE=%#" PRIx64 "\n"
                         "IRQ=%" PRIu32 "\n"
                         "DEVICE_ID=%" PRIu32 "\n"
                         "MEMORY_KIB=%" PRIu64 "\n"
                         "GRANT_USAGE=%d\n",
                         LAUNCH_VERSION, launch->uuid, launch->server, launch->base, launch->irq,
                         launch->device_id, launch->memory_kib, launch->grant_usage);

        return (size_t)length < size ? length : -ENOSPC;
}

int launch_read(int dirfd, Launch *ret_launch, const char **ret_key)
{
        char text[LAUNCH_FILE_LIMIT + 1];
        _cleanup_fd_ int fd = -1;
        size_t size = 0;

        if (ret_key)
                *ret_key = "";
        fd = openat(dirfd, LAUNCH_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;

        while (size < sizeof(text)) {
                ssize_t n = read(fd, text + size, sizeof(text) - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return launch_parse(text, size, ret_launch, ret_key);
                size += (size_t)n;
        }
        return -EFBIG;
}

int launch_write(int dirfd, const Launch *launch)
{
        static const char temporary[] = "." LAUNCH_FILE ".new";
        char text[LAUNCH_FILE_LIMIT];
        _cleanup_fd_ int fd = -1;
        ssize_t written;
        int length;

        length = launch_format(launch, text, sizeof(text));
        if (length < 0)
                return length;

        fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return -errno;
        written = write(fd, text, (size_t)length);
        if (written < 0)
                return -errno;
        if (written != length)
                return -ENOSPC;
        if (renameat(dirfd, temporary, dirfd, LAUNCH_FILE) < 0)
                return -errno;
        return 0;
}
