/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Preloaded into Debian's xenstored, so that it runs where there is no Xen: what it asks of the
 * hypervisor, in Xen 4.17 and later. A domain is there while its folder below XEN_VIRTIO_SIM_XEN
 * is; SIGUSR2 says that one has gone, as VIRQ_DOM_EXC does.
 */

/* Or open() would be open64() here, and both are wanted. */
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

#define PAGE_SIZE 4096

static int events = -1;
static int n_ports;
static char handle;

static int domain_lives(uint32_t domid)
{
        const char *folder = getenv("XEN_VIRTIO_SIM_XEN");
        char path[4096];

        snprintf(path, sizeof(path), "%s/%u", folder ? folder : "", domid);
        return domid == 0 || access(path, F_OK) == 0;
}

/* libxenctrl; the structures start with the number, and zero flags say that the domain is well. */

PUBLIC void *xc_interface_open(void *logger, void *progress, unsigned int flags);
void *xc_interface_open(void *logger, void *progress, unsigned int flags)
{
        (void)logger, (void)progress, (void)flags;
        return &handle;
}

PUBLIC int xc_interface_close(void *interface);
int xc_interface_close(void *interface)
{
        (void)interface;
        return 0;
}

/* Xen 4.17: xc_dominfo_t has a 32-bit number, another one, and then the flags. */
PUBLIC int xc_domain_getinfo(void *interface, uint32_t domid, unsigned int max, uint32_t *info);
int xc_domain_getinfo(void *interface, uint32_t domid, unsigned int max, uint32_t *info)
{
        (void)interface, (void)max;
        if (!domain_lives(domid))
                return 0;
        info[0] = domid;
        info[1] = info[2] = 0;
        return 1;
}

/* Later: xc_domaininfo_t has a 16-bit number, two bytes of nothing, and then the flags. */
PUBLIC int xc_domain_getinfo_single(void *interface, uint32_t domid, uint32_t *info);
int xc_domain_getinfo_single(void *interface, uint32_t domid, uint32_t *info)
{
        (void)interface;
        if (!domain_lives(domid)) {
                errno = ESRCH;
                return -1;
        }
        info[0] = domid & 0xffff;
        info[1] = 0;
        return 0;
}

PUBLIC void *xc_map_foreign_range(void *interface, uint32_t domid, int size, int protection,
                                  unsigned long frame);
void *xc_map_foreign_range(void *interface, uint32_t domid, int size, int protection,
                           unsigned long frame)
{
        void *area =
                mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        (void)interface, (void)domid, (void)protection, (void)frame;
        return area == MAP_FAILED ? NULL : area;
}

/* libxenevtchn */

static void on_signal(int number)
{
        static const uint64_t one = 1;
        int saved = errno;

        (void)number;
        if (events >= 0 && write(events, &one, sizeof(one)) < 0)
                abort();
        errno = saved;
}

PUBLIC void *xenevtchn_open(void *logger, unsigned int flags);
void *xenevtchn_open(void *logger, unsigned int flags)
{
        (void)logger, (void)flags;
        events = eventfd(0, EFD_CLOEXEC);
        signal(SIGUSR2, on_signal);
        return &handle;
}

PUBLIC void *xenevtchn_fdopen(void *logger, int fd, unsigned int flags);
void *xenevtchn_fdopen(void *logger, int fd, unsigned int flags)
{
        (void)fd;
        return xenevtchn_open(logger, flags);
}

PUBLIC int xenevtchn_close(void *channels);
int xenevtchn_close(void *channels)
{
        (void)channels;
        return 0;
}

PUBLIC int xenevtchn_fd(void *channels);
int xenevtchn_fd(void *channels)
{
        (void)channels;
        return events;
}

/* The only event there is. */
PUBLIC int xenevtchn_bind_virq(void *channels, unsigned int virq);
int xenevtchn_bind_virq(void *channels, unsigned int virq)
{
        (void)channels, (void)virq;
        return 1;
}

PUBLIC int xenevtchn_pending(void *channels);
int xenevtchn_pending(void *channels)
{
        uint64_t value;

        (void)channels;
        return read(events, &value, sizeof(value)) < 0 ? -1 : 1;
}

PUBLIC int xenevtchn_bind_interdomain(void *channels, uint32_t domid, uint32_t port);
int xenevtchn_bind_interdomain(void *channels, uint32_t domid, uint32_t port)
{
        (void)channels, (void)domid, (void)port;
        return 10 + n_ports++;
}

#define NOTHING(name)                                                                              \
        PUBLIC int name(void *channels, uint32_t port);                                            \
        int name(void *channels, uint32_t port)                                                    \
        {                                                                                          \
                (void)channels, (void)port;                                                        \
                return 0;                                                                          \
        }
NOTHING(xenevtchn_notify)
NOTHING(xenevtchn_unbind)
NOTHING(xenevtchn_unmask)

/* libxengnttab: a guest's ring, in which it never says anything. */

PUBLIC void *xengnttab_open(void *logger, unsigned int flags);
void *xengnttab_open(void *logger, unsigned int flags)
{
        (void)logger, (void)flags;
        return &handle;
}

PUBLIC int xengnttab_set_max_grants(void *grants, uint32_t count);
int xengnttab_set_max_grants(void *grants, uint32_t count)
{
        (void)grants, (void)count;
        return 0;
}

PUBLIC void *xengnttab_map_grant_ref(void *grants, uint32_t domid, uint32_t ref, int protection);
void *xengnttab_map_grant_ref(void *grants, uint32_t domid, uint32_t ref, int protection)
{
        (void)grants;
        return xc_map_foreign_range(NULL, domid, PAGE_SIZE, protection, ref);
}

PUBLIC int xengnttab_unmap(void *grants, void *area, uint32_t count);
int xengnttab_unmap(void *grants, void *area, uint32_t count)
{
        (void)grants;
        return munmap(area, (size_t)count * PAGE_SIZE);
}

/* What a kernel under Xen has, and a limit that only root of the whole machine may raise. */

static int open_xen_file(const char *path)
{
        int fd = -1;

        if (strcmp(path, "/proc/xen/xsd_port") == 0) {
                fd = memfd_create("port", MFD_CLOEXEC);
                if (fd >= 0 && (write(fd, "1", 1) != 1 || lseek(fd, 0, SEEK_SET) != 0))
                        abort();
        } else if (strcmp(path, "/proc/xen/xsd_kva") == 0) {
                fd = memfd_create("page", MFD_CLOEXEC);
                if (fd >= 0 && ftruncate(fd, PAGE_SIZE) < 0)
                        abort();
        }
        return fd;
}

typedef int OpenFunction(const char *path, int flags, ...);

#define OPEN(name)                                                                                 \
        PUBLIC int name(const char *path, int flags, ...)                                          \
        {                                                                                          \
                OpenFunction *next = (OpenFunction *)dlsym(RTLD_NEXT, #name);                      \
                int fd = open_xen_file(path);                                                      \
                va_list arguments;                                                                 \
                mode_t mode;                                                                       \
                                                                                                   \
                va_start(arguments, flags);                                                        \
                mode = va_arg(arguments, mode_t);                                                  \
                va_end(arguments);                                                                 \
                return fd >= 0 ? fd : next(path, flags, mode);                                     \
        }
OPEN(open)
OPEN(open64)

PUBLIC int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
        (void)resource, (void)limit;
        return 0;
}
