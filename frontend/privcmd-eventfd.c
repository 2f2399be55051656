/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/privcmd-eventfd.h"

#include <errno.h>
#include <sys/ioctl.h>

#define IOCTL_PRIVCMD_IRQFD     _IOW('P', 8, PrivcmdIrqfd)
#define IOCTL_PRIVCMD_IOEVENTFD _IOW('P', 9, PrivcmdIoeventfd)

_Static_assert(IOCTL_PRIVCMD_IRQFD == 0x40185008, "the kernel's number");
_Static_assert(IOCTL_PRIVCMD_IOEVENTFD == 0x40305009, "the kernel's number");

int privcmd_irqfd(int privcmd, const PrivcmdIrqfd *irqfd)
{
        return ioctl(privcmd, IOCTL_PRIVCMD_IRQFD, irqfd) < 0 ? -errno : 0;
}

int privcmd_ioeventfd(int privcmd, const PrivcmdIoeventfd *ioeventfd)
{
        return ioctl(privcmd, IOCTL_PRIVCMD_IOEVENTFD, ioeventfd) < 0 ? -errno : 0;
}
