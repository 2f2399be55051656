/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/small-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

ssize_t small_file_read(int fd, char *text, size_t size)
{
        size_t length = 0;
        char more;

        for (;;) {
                const bool full = length == size;
                ssize_t n = pread(fd, full ? &more : text + length, full ? 1 : size - length,
                                  (off_t)length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return (ssize_t)length;
                if (full)
                        return -EFBIG;
                length += (size_t)n;
        }
}

ssize_t small_file_read_at(int dirfd, const char *name, char *text, size_t size)
{
        _cleanup_fd_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -errno : small_file_read(fd, text, size);
}

#define TEMPORARY_MAX (SMALL_FILE_NAME_MAX + sizeof("..new"))

/* The name that a file has while it is written. Returns 0 or -ENAMETOOLONG. */
static int temporary_name(const char *name, char ret_temporary[TEMPORARY_MAX])
{
        const int length = snprintf(ret_temporary, TEMPORARY_MAX, ".%s.new", name);

        return (size_t)length < TEMPORARY_MAX ? 0 : -ENAMETOOLONG;
}

int small_file_replace(int dirfd, const char *name, const char *text, size_t length)
{
        char temporary[TEMPORARY_MAX];
        _cleanup_fd_ int fd = -1;
        ssize_t written;
        int r;

        r = temporary_name(name, temporary);
        if (r < 0)
                return r;
        fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        /* Whatever the umask is. */
        if (fd < 0 || fchmod(fd, 0644) < 0)
                return -errno;
        written = write(fd, text, length);
        if (written < 0)
                return -errno;
        if ((size_t)written != length)
                return -ENOSPC;
        return renameat(dirfd, temporary, dirfd, name) < 0 ? -errno : 0;
}

int small_file_remove(int dirfd, const char *name)
{
        char temporary[TEMPORARY_MAX];
        int r;

        r = temporary_name(name, temporary);
        if (r < 0)
                return r;
        if ((unlinkat(dirfd, temporary, 0) < 0 && errno != ENOENT) ||
            (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT))
                return -errno;
        return 0;
}
