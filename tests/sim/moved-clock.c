/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Preloaded into a program: its monotonic clocks go as the kernel's, but ahead of them by so many
 * microseconds as the file holds that XEN_VIRTIO_SIM_CLOCK names. A test moves them while the
 * program runs, as if it had slept; timers that were set before are late then.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define EXPORT    __attribute__((visibility("default")))
#define USEC      1000000
#define NSEC_USEC 1000

static const volatile int64_t *ahead_usec;
/* The C library's, which makes no system call: the frontend's filter knows none for it. */
static int (*real_gettime)(clockid_t clock, struct timespec *ret_time);

__attribute__((constructor)) static void clock_open(void)
{
        const char *path = getenv("XEN_VIRTIO_SIM_CLOCK");
        const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *mapped;

        if (fd < 0)
                abort();
        mapped = mmap(NULL, sizeof(*ahead_usec), PROT_READ, MAP_SHARED, fd, 0);
        if (mapped == MAP_FAILED)
                abort();
        close(fd);
        ahead_usec = mapped;
        *(void **)&real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
}

static struct timespec moved(struct timespec time, int64_t usec)
{
        const int64_t sum = time.tv_sec * (int64_t)USEC + time.tv_nsec / NSEC_USEC + usec;

        return (struct timespec){ .tv_sec = sum / USEC, .tv_nsec = sum % USEC * NSEC_USEC };
}

EXPORT int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
        const int r = real_gettime(clock, ret_time);

        if (r == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE))
                *ret_time = moved(*ret_time, *ahead_usec);
        return r;
}
