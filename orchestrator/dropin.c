/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/dropin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/device-name.h"
#include "common/macros.h"
#include "common/small-file.h"

#define FILE_NAME "50-device.conf"

void dropin_append_quoted(GString *out, const char *word)
{
        g_string_append_c(out, '"');
        for (; *word != '\0'; word++) {
                if (*word == '"' || *word == '\\')
                        g_string_append_c(out, '\\');
                if (*word == '%')
                        g_string_append_c(out, '%');
                g_string_append_c(out, *word);
        }
        g_string_append_c(out, '"');
}

/* The keys that take one word a line. */
static const struct {
        const char *key;
        const char *suffix;
} lines[_DROPIN_KEY_MAX] = {
        [DROPIN_ENVIRONMENT] = { "Environment", "" },
        [DROPIN_READ_WRITE_PATH] = { "ReadWritePaths", "" },
        [DROPIN_READ_ONLY_PATH] = { "ReadOnlyPaths", "" },
        [DROPIN_READ_WRITE_DEVICE] = { "DeviceAllow", " rw" },
        [DROPIN_READ_ONLY_DEVICE] = { "DeviceAllow", " r" },
};

void dropin_init(Dropin *dropin)
{
        for (unsigned int key = 0; key < _DROPIN_KEY_MAX; key++)
                dropin->words[key] = g_ptr_array_new_with_free_func(g_free);
}

void dropin_clear(Dropin *dropin)
{
        for (unsigned int key = 0; key < _DROPIN_KEY_MAX; key++)
                g_ptr_array_unref(dropin->words[key]);
}

void dropin_add(Dropin *dropin, DropinKey key, char *word)
{
        g_ptr_array_add(dropin->words[key], word);
}

char *dropin_format(const Dropin *dropin)
{
        const GPtrArray *command = dropin->words[DROPIN_COMMAND];
        const GPtrArray *own = dropin->words[DROPIN_LINE];
        GString *out = g_string_new("# Made by xen-virtiod for this device; gone when it is.\n"
                                    "[Service]\nExecStart=");

        /* The colon: dollar signs are not variables. */
        for (unsigned int i = 0; i < command->len; i++) {
                g_string_append_c(out, i == 0 ? ':' : ' ');
                dropin_append_quoted(out, command->pdata[i]);
        }
        for (unsigned int key = DROPIN_COMMAND + 1; key < DROPIN_LINE; key++) {
                const GPtrArray *words = dropin->words[key];

                for (unsigned int i = 0; i < words->len; i++) {
                        g_string_append_printf(out, "\n%s=", lines[key].key);
                        dropin_append_quoted(out, words->pdata[i]);
                        g_string_append(out, lines[key].suffix);
                }
        }
        for (unsigned int i = 0; i < own->len; i++)
                g_string_append_printf(out, "\n%s", (const char *)own->pdata[i]);
        g_string_append_c(out, '\n');
        return g_string_free(out, FALSE);
}

/* Whether the file is there with exactly this text. */
static bool file_has(int dirfd, const char *text)
{
        size_t length = strlen(text);
        g_autofree char *found = g_malloc(length + 1);
        _cleanup_fd_ int fd = openat(dirfd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        return fd >= 0 && read(fd, found, length + 1) == (ssize_t)length &&
               memcmp(found, text, length) == 0;
}

/* Makes systemd look at the unit folder again; see the head of dropin.h. */
static int folder_touch(int dirfd)
{
        struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };

        clock_gettime(CLOCK_REALTIME, &times[1]);
        return futimens(dirfd, times) < 0 ? -errno : 0;
}

int dropin_write(int dirfd, const char *unit, const char *text)
{
        char folder[DEVICE_UNIT_MAX + 2];
        _cleanup_fd_ int fd = -1;
        int r;

        snprintf(folder, sizeof(folder), "%s.d", unit);
        if (mkdirat(dirfd, folder, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        if (fchmod(fd, 0755) < 0)
                return -errno;
        if (file_has(fd, text))
                return 0;
        r = small_file_replace(fd, FILE_NAME, text, strlen(text));
        if (r < 0)
                return r;
        return folder_touch(dirfd);
}

bool dropin_has(int dirfd, const char *unit, const char *text)
{
        char folder[DEVICE_UNIT_MAX + 2];
        _cleanup_fd_ int fd = -1;

        snprintf(folder, sizeof(folder), "%s.d", unit);
        fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return fd >= 0 && file_has(fd, text);
}

int dropin_remove(int dirfd, const char *unit)
{
        char folder[DEVICE_UNIT_MAX + 2];
        _cleanup_fd_ int fd = -1;
        int r;

        snprintf(folder, sizeof(folder), "%s.d", unit);
        fd = openat(dirfd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        r = small_file_remove(fd, FILE_NAME);
        if (r < 0)
                return r;
        if (unlinkat(dirfd, folder, AT_REMOVEDIR) < 0)
                return -errno;
        return folder_touch(dirfd);
}
