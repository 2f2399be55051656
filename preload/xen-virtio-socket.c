/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The other half of libxen-virtio-mmap.so: lets the frontend connect to the backend's socket.
 *
 * Frontend and backend are two users, and nobody else gets into the folder that the socket is in. A
 * backend that takes care itself that nobody connects, as virtiofsd does by its umask, would keep
 * out the frontend, too. So the socket is opened to all as soon as it is there.
 */

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/device-name.h"

int preload_bind(int fd, const struct sockaddr *address, socklen_t length) __asm__("bind")
        __attribute__((visibility("default")));

typedef int (*BindFunction)(int, const struct sockaddr *, socklen_t);

static bool is_backend_socket(const struct sockaddr *address, socklen_t length)
{
        const char *path = getenv(BACKEND_SOCKET_ENV);
        const size_t path_at = offsetof(struct sockaddr_un, sun_path);
        const char *bound = (const char *)address + path_at;

        /* A path that fills the address has no end of its own. */
        return path && length > path_at && address->sa_family == AF_UNIX &&
               strnlen(bound, length - path_at) == strlen(path) &&
               memcmp(bound, path, strlen(path)) == 0;
}

int preload_bind(int fd, const struct sockaddr *address, socklen_t length)
{
        static BindFunction next;
        int r;

        if (!next)
                *(void **)&next = dlsym(RTLD_NEXT, "bind");
        r = next(fd, address, length);
        /* If this fails the frontend cannot connect, and says so. */
        if (r == 0 && is_backend_socket(address, length)) {
                const int error = errno;

                if (chmod(getenv(BACKEND_SOCKET_ENV), 0666) < 0)
                        errno = error;
        }
        return r;
}
