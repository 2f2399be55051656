/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Preloaded before libxen-virtio-mmap.so: any descriptor is privcmd's, and dom0 has no more room
 * for pages of guests. strerror() is what the library cannot call (glibc 2.41 allocates in it).
 */

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define EXPORTED     __attribute__((visibility("default")))
#define MMAPBATCH_V2 4

EXPORTED int ioctl(int fd, unsigned long request, ...)
{
        (void)fd;
        if (_IOC_TYPE(request) == 'P' && _IOC_NR(request) == MMAPBATCH_V2) {
                errno = ENOMEM;
                return -1;
        }
        return 0;
}

EXPORTED char *strerror(int error)
{
        static char text[] = "a translated text";

        (void)error;
        return text;
}
