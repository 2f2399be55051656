/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a process could do to domains that are none of its business: descriptors PID DOMID
 *
 * Takes each descriptor of the process that leads to Xen, and tries with it what it must not be
 * able to do to the domain: any hypercall, a device model's operation, an event channel. Prints a
 * line for each descriptor of the process: its number, what it is, and "restricted" or what it was
 * allowed to do ("-" for what does not lead to Xen).
 *
 * Numbers and structures are those of include/uapi/xen/privcmd.h and evtchn.h of Linux.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct privcmd_hypercall {
        uint64_t op, arg[5];
};

struct privcmd_dm_op {
        uint16_t dom, num;
        void *buffers;
};

struct evtchn_bind_interdomain {
        unsigned int remote_domain, remote_port;
};

#define PRIVCMD_HYPERCALL       _IOC(_IOC_NONE, 'P', 0, sizeof(struct privcmd_hypercall))
#define PRIVCMD_DM_OP           _IOC(_IOC_NONE, 'P', 5, sizeof(struct privcmd_dm_op))
#define EVTCHN_BIND_INTERDOMAIN _IOC(_IOC_NONE, 'E', 1, sizeof(struct evtchn_bind_interdomain))

/* xen_version(XENVER_version): harmless, and granted to anybody who may make hypercalls. */
#define HYPERCALL_XEN_VERSION 17

static const char *privcmd_try(int fd, unsigned int domid)
{
        struct privcmd_hypercall version = { .op = HYPERCALL_XEN_VERSION };
        struct privcmd_dm_op operation = { .dom = (uint16_t)domid };

        if (ioctl(fd, PRIVCMD_HYPERCALL, &version) >= 0 || errno != EPERM)
                return "hypercalls";
        if (ioctl(fd, PRIVCMD_DM_OP, &operation) >= 0 || errno != EPERM)
                return "device model operations";
        return "restricted";
}

static const char *evtchn_try(int fd, unsigned int domid)
{
        struct evtchn_bind_interdomain bind = { .remote_domain = domid, .remote_port = 1 };

        if (ioctl(fd, EVTCHN_BIND_INTERDOMAIN, &bind) >= 0 || errno != EACCES)
                return "event channels";
        return "restricted";
}

static const char *descriptor_try(int pidfd, int number, const char *name, unsigned int domid)
{
        const char *verdict = "any domain";
        int fd;

        if (strncmp(name, "/dev/xen/", 9) != 0)
                return "-";
        fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
        if (fd < 0)
                err(EXIT_FAILURE, "descriptor %d", number);
        if (strcmp(name, "/dev/xen/privcmd") == 0)
                verdict = privcmd_try(fd, domid);
        else if (strcmp(name, "/dev/xen/evtchn") == 0)
                verdict = evtchn_try(fd, domid);
        close(fd);
        return verdict;
}

int main(int argc, char **argv)
{
        char folder[64];
        struct dirent *entry;
        DIR *directory;
        int pidfd;

        if (argc != 3)
                errx(EXIT_FAILURE, "usage: %s PID DOMID", argv[0]);
        snprintf(folder, sizeof(folder), "/proc/%s/fd", argv[1]);
        pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[1]), 0);
        directory = opendir(folder);
        if (pidfd < 0 || !directory)
                err(EXIT_FAILURE, "process %s", argv[1]);
        while ((entry = readdir(directory))) {
                char name[PATH_MAX] = "";

                if (entry->d_name[0] == '.' ||
                    readlinkat(dirfd(directory), entry->d_name, name, sizeof(name) - 1) < 0)
                        continue;
                printf("%s %s %s\n", entry->d_name, name,
                       descriptor_try(pidfd, atoi(entry->d_name), name,
                                      (unsigned int)atoi(argv[2])));
        }
        return EXIT_SUCCESS;
}
