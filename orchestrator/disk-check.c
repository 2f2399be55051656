/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/disk-check.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

bool disk_mode_permits(const struct stat *st, bool writing)
{
        static const mode_t readers = S_IRUSR | S_IRGRP | S_IROTH;
        static const mode_t writers = S_IWUSR | S_IWGRP | S_IWOTH;

        return (st->st_mode & readers) != 0 && (!writing || (st->st_mode & writers) != 0);
}

int disk_check(const char *path, bool readonly, const char **ret_driver, char **ret_message)
{
        struct stat st;

        if (stat(path, &st) < 0) {
                int error = errno;

                *ret_message = g_strdup_printf("%s: %s", path, strerror(error));
                return -error;
        }
        if (S_ISDIR(st.st_mode)) {
                *ret_message = g_strdup_printf("%s: is a directory", path);
                return -EISDIR;
        }
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
                *ret_message =
                        g_strdup_printf("%s: is neither a regular file nor a block device", path);
                return -ENOTBLK;
        }
        if (!disk_mode_permits(&st, !readonly)) {
                *ret_message =
                        g_strdup_printf("%s: is not %s for anybody (mode %04o)", path,
                                        readonly ? "readable" : "writable", st.st_mode & 07777);
                return -EACCES;
        }

        *ret_driver = S_ISBLK(st.st_mode) ? "host_device" : "file";
        return 0;
}

int program_check(const char *path, char **ret_message)
{
        struct stat st;
        int error = 0;

        if (stat(path, &st) < 0)
                error = errno;
        else if (S_ISDIR(st.st_mode))
                error = EISDIR;
        else if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
                error = EACCES;
        if (error == 0)
                return 0;

        *ret_message = g_strdup_printf("%s: %s (backend program)", path, strerror(error));
        return -error;
}
