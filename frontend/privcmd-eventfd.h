/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Two ioctls of Linux's /dev/xen/privcmd that tie an eventfd to a guest
 * (CONFIG_XEN_PRIVCMD_EVENTFD; include/uapi/xen/privcmd.h). Layouts and numbers are the kernel's,
 * and the same on all 64-bit machines. Each returns 0 or the negative errno of the ioctl: -ENOTTY
 * or -EOPNOTSUPP if the kernel does not have it, -EPERM if privcmd is restricted to another domain.
 */

#include <stdint.h>

#include "common/macros.h"

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
