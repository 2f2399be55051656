/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Makes one call of our own code to another's fail. The linker (--wrap) leads every such call
 * through a function of this file, which knows the call by its return address: an offset into the
 * program, as "objdump -d" shows it. Calls within libraries are none of ours, and go by.
 *
 * XEN_VIRTIO_FAULT_TRACE names a file to which a line is added for each call: its offset, and the
 * function. XEN_VIRTIO_FAULT is "OFFSET:N": the Nth call there fails; its line ends with "!" and
 * the process.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <systemd/sd-event.h>
#include <unistd.h>

/* Far from those that are looked at. */
#define TRACE_FD 900

extern const char __executable_start[]; /* the linker's */

static struct {
        bool traces;
        unsigned long site;
        unsigned long left; /* calls there, until one fails */
} plan;

__attribute__((constructor)) static void plan_read(void)
{
        const char *trace = getenv("XEN_VIRTIO_FAULT_TRACE"), *fault = getenv("XEN_VIRTIO_FAULT");
        long fd;

        if (trace) {
                fd = syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_APPEND | O_CREAT, 0600);
                plan.traces = fd >= 0 && syscall(SYS_dup3, fd, TRACE_FD, O_CLOEXEC) >= 0;
                if (!plan.traces)
                        abort();
                close((int)fd);
        }
        if (fault && sscanf(fault, "%lx:%lu", &plan.site, &plan.left) != 2)
                abort();
}

static bool is_due(const char *name, const void *return_address)
{
        const unsigned long site =
                (unsigned long)return_address - (unsigned long)__executable_start;
        const bool due = site == plan.site && plan.left > 0 && --plan.left == 0;
        const int saved_errno = errno;
        char line[80];

        if (plan.traces) {
                int length = snprintf(line, sizeof(line), "%lx %s\n", site, name);

                if (due)
                        length = snprintf(line, sizeof(line), "%lx %s !%d\n", site, name, getpid());
                if (syscall(SYS_write, TRACE_FD, line, length) != length)
                        abort();
        }
        errno = saved_errno;
        return due;
}

/*
 * As many arguments as any of the functions has, all of the kind that goes in general registers and
 * on the stack. One that has fewer does not look at the rest, whatever it is.
 */
#define PARAMETERS                                                                                 \
        long a, long b, long c, long d, long e, long f, long g, long h, long i, long j, long k,    \
                long l, long m, long n, long o, long p, long q, long r, long s, long t
#define ARGUMENTS a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t

#define FAULT(name, condition, number, result)                                                     \
        long __real_##name(PARAMETERS);                                                            \
        long __wrap_##name(PARAMETERS);                                                            \
        long __wrap_##name(PARAMETERS)                                                             \
        {                                                                                          \
                if ((condition) && is_due(#name, __builtin_return_address(0))) {                   \
                        errno = number;                                                            \
                        return result;                                                             \
                }                                                                                  \
                return __real_##name(ARGUMENTS);                                                   \
        }

#define FAULT_ERRNO(name, number)    FAULT(name, true, number, -1)
#define FAULT_NULL(name, number)     FAULT(name, true, number, 0)
#define FAULT_NEGATIVE(name, number) FAULT(name, true, number, -(number))

#include "tests/faults/faults.def"
/* The program's own. */
#include FAULTS_FILE
