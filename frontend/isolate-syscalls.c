/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* include/uapi/xen/privcmd.h and evtchn.h of Linux. */
#define IOCTL_PRIVCMD_MAP_BATCH 0x00205004U
#define IOCTL_PRIVCMD_DM_OP     0x00105005U
#define IOCTL_PRIVCMD_IRQFD     0x40185008U
#define IOCTL_PRIVCMD_IOEVENTFD 0x40305009U
#define IOCTL_EVTCHN_NOTIFY     0x00044504U

static const struct {
        uint32_t request;
        bool maps_memory; /* only of who maps the guest's memory */
} allowed_ioctls[] = {
        { IOCTL_PRIVCMD_DM_OP, false },     { IOCTL_PRIVCMD_IRQFD, false },
        { IOCTL_PRIVCMD_IOEVENTFD, false }, { IOCTL_EVTCHN_NOTIFY, false },
        { IOCTL_PRIVCMD_MAP_BATCH, true },
};

/* Whatever their arguments. */
static const int allowed[] = {
        /* The loop. The C library's poll() is the one or the other, as the machine has it. */
        SCMP_SYS(poll),
        SCMP_SYS(ppoll),
        SCMP_SYS(clock_gettime),
        /* Events, kicks, calls, the backend. */
        SCMP_SYS(read),
        SCMP_SYS(write),
        SCMP_SYS(eventfd2),
        SCMP_SYS(recvmsg),
        SCMP_SYS(sendmsg),
        SCMP_SYS(fchdir), /* to the folder of a backend's socket */
        SCMP_SYS(connect),
        SCMP_SYS(pidfd_open),
        SCMP_SYS(shutdown),
        SCMP_SYS(close),
        /* The area for requests: looked at, and copied into our own file. */
        SCMP_SYS(fstat),
        SCMP_SYS(newfstatat),
        SCMP_SYS(fstatfs),
        SCMP_SYS(ftruncate),
        SCMP_SYS(fallocate),
        SCMP_SYS(pread64),
        SCMP_SYS(pwrite64),
        /* The journal and sd_notify(): a socket each, its buffer, and who we are. */
        SCMP_SYS(getsockopt),
        SCMP_SYS(setsockopt),
        SCMP_SYS(getpid),
        SCMP_SYS(getuid),
        SCMP_SYS(getgid),
        SCMP_SYS(geteuid),
        SCMP_SYS(getegid),
        /* The C library. */
        SCMP_SYS(brk),
        SCMP_SYS(munmap),
        SCMP_SYS(mremap),
        SCMP_SYS(madvise),
        SCMP_SYS(futex),
        SCMP_SYS(getrandom),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(exit_group),
};

static void filter_release(scmp_filter_ctx *filter)
{
        if (*filter)
                seccomp_release(*filter);
}

static int rules_add(scmp_filter_ctx filter, bool maps_memory)
{
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(allowed) && r == 0; i++)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
        for (size_t i = 0; i < ARRAY_SIZE(allowed_ioctls) && r == 0; i++) {
                if (maps_memory || !allowed_ioctls[i].maps_memory)
                        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                             SCMP_A1_32(SCMP_CMP_EQ, allowed_ioctls[i].request));
        }
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                     SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
                                     SCMP_A0_32(SCMP_CMP_EQ, AF_UNIX));
        /* Marks on descriptors of guest memory. */
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                                     SCMP_A1_32(SCMP_CMP_EQ, F_SETSIG));
        /*
         * The journal's client, when the kernel has no memory for its message: it names a memfd
         * after the process and passes that instead. It can do without, if the answer is not
         * ENOSYS, on which it opens a file.
         */
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(memfd_create), 0);
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
                                     SCMP_A0_32(SCMP_CMP_EQ, PR_GET_NAME));
        /* Memory for the allocator, never code. */
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                                     SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        return r;
}

int isolate_syscalls(bool maps_memory)
{
        _cleanup_(filter_release) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        int r;

        if (!filter)
                return -ENOMEM;
        r = rules_add(filter, maps_memory);
        if (r < 0)
                return r;
        return seccomp_load(filter);
}
