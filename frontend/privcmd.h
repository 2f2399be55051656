/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Linux's /dev/xen/privcmd, as far as a frontend needs it (include/uapi/xen/privcmd.h). A handle of
 * Xen's libraries opens one of these for each purpose, and more beside it; here one descriptor,
 * which is good for one guest alone from the beginning, serves all of them. Layouts and numbers are
 * the kernel's, and the same on all 64-bit machines. Each function returns 0 or the negative errno
 * of the ioctl, which is -EPERM if privcmd is restricted to another domain.
 */

#include <stdint.h>

#include "common/macros.h"

/* Opens it, and restricts it to the domain, for ever. The caller owns the descriptor. */
int privcmd_open(uint16_t domid, int *ret_fd) _warn_unused_;

/*
 * Maps a frame, a page of 4 KiB, of a resource that Xen has for the domain (XENMEM_resource_*), for
 * reading and writing. The caller unmaps it; it outlasts the descriptor.
 */
int privcmd_map_frame(int privcmd, uint16_t domid, uint32_t resource, uint32_t id, uint32_t frame,
                      void **ret_page) _warn_unused_;

/*
 * Maps a frame of the domain's own memory likewise. Also fails with -EFAULT, if there is none.
 */
int privcmd_map_page(int privcmd, uint16_t domid, uint64_t frame, void **ret_page) _warn_unused_;

/*
 * A device model operation on the domain: a struct xen_dm_op of size bytes, which may be answered
 * in place. Also fails with what Xen says.
 */
int privcmd_dm_op(int privcmd, uint16_t domid, void *operation, size_t size) _warn_unused_;

/*
 * The following two tie an eventfd to a guest. -ENOTTY or -EOPNOTSUPP: the kernel does not have
 * them (CONFIG_XEN_PRIVCMD_EVENTFD).
 */
enum {
        PRIVCMD_ASSIGN = 0,
        PRIVCMD_DEASSIGN = 1,
        PRIVCMD_PROBE = ~1, /* no flags at all: -EINVAL says that the ioctl exists */
};

/* Each count on event_fd runs a device model operation on the domain, which is copied. */
typedef struct PrivcmdIrqfd {
        uint64_t dm_op; /* address of a struct xen_dm_op */
        uint32_t size;  /* of it */
        uint32_t event_fd;
        uint32_t flags;
        uint16_t domid;
        uint8_t pad[2];
} PrivcmdIrqfd;

int privcmd_irqfd(int privcmd, const PrivcmdIrqfd *irqfd) _warn_unused_;

/*
 * The kernel answers the guest's writes of a queue's number to the register QUEUE_NOTIFY of the
 * device at address, and counts each on event_fd.
 */
typedef struct PrivcmdIoeventfd {
        uint64_t ioreq; /* where the page shared with Xen is mapped */
        uint64_t ports; /* address of the bound ports, 32 bits each */
        uint64_t address;
        uint32_t length; /* of a write, in bytes */
        uint32_t event_fd;
        uint32_t n_vcpus;
        uint32_t queue;
        uint32_t flags;
        uint16_t domid;
        uint8_t pad[2];
} PrivcmdIoeventfd;

int privcmd_ioeventfd(int privcmd, const PrivcmdIoeventfd *ioeventfd) _warn_unused_;
