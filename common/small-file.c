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

int small_file_replace(int dirfd, const char *name, const char *text, size_t length)
{
        char temporary[SMALL_FILE_NAME_MAX + sizeof("..new")];
        _cleanup_fd_ int fd = -1;
        ssize_t written;
        int r;

        r = snprintf(temporary, sizeof(temporary), ".%s.new", name);
        if ((size_t)r >= sizeof(temporary))
                return -ENAMETOOLONG;
        fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return -errno;
        written = write(fd, text, length);
        if (written < 0)
                return -errno;
        if ((size_t)written != length)
                return -ENOSPC;
        return renameat(dirfd, temporary, dirfd, name) < 0 ? -errno : 0;
}
