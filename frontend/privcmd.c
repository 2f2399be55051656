/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/privcmd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define DEVICE    "/dev/xen/privcmd"
#define PAGE_SIZE 4096

typedef struct MapBatch {
        uint32_t n_frames;
        uint16_t domid;
        uint64_t address;
        const uint64_t *frames;
        int *errors; /* of each frame */
} MapBatch;

typedef struct DmOpBuffer {
        void *address;
        size_t size;
} DmOpBuffer;

typedef struct DmOp {
        uint16_t domid;
        uint16_t n_buffers;
        const DmOpBuffer *buffers;
} DmOp;

typedef struct MapResource {
        uint16_t domid;
        uint32_t resource;
        uint32_t id;
        uint32_t frame; /* the first one */
        uint64_t n_frames;
        uint64_t address;
} MapResource;

#define IOCTL_PRIVCMD_MAP_BATCH    _IOC(_IOC_NONE, 'P', 4, sizeof(MapBatch))
#define IOCTL_PRIVCMD_DM_OP        _IOC(_IOC_NONE, 'P', 5, sizeof(DmOp))
#define IOCTL_PRIVCMD_RESTRICT     _IOC(_IOC_NONE, 'P', 6, sizeof(uint16_t))
#define IOCTL_PRIVCMD_MAP_RESOURCE _IOC(_IOC_NONE, 'P', 7, sizeof(MapResource))
#define IOCTL_PRIVCMD_IRQFD        _IOW('P', 8, PrivcmdIrqfd)
#define IOCTL_PRIVCMD_IOEVENTFD    _IOW('P', 9, PrivcmdIoeventfd)

_Static_assert(IOCTL_PRIVCMD_MAP_BATCH == 0x00205004, "the kernel's number");
_Static_assert(IOCTL_PRIVCMD_DM_OP == 0x00105005, "the kernel's number");
_Static_assert(IOCTL_PRIVCMD_RESTRICT == 0x00025006, "the kernel's number");
_Static_assert(IOCTL_PRIVCMD_MAP_RESOURCE == 0x00205007, "the kernel's number");
_Static_assert(IOCTL_PRIVCMD_IRQFD == 0x40185008, "the kernel's number");
_Static_assert(IOCTL_PRIVCMD_IOEVENTFD == 0x40305009, "the kernel's number");

int privcmd_open(uint16_t domid, int *ret_fd)
{
        _cleanup_fd_ int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

        if (fd < 0 || ioctl(fd, IOCTL_PRIVCMD_RESTRICT, &domid) < 0)
                return -errno;
        *ret_fd = steal_fd(&fd);
        return 0;
}

int privcmd_map_frame(int privcmd, uint16_t domid, uint32_t resource, uint32_t id, uint32_t frame,
                      void **ret_page)
{
        void *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, privcmd, 0);
        const MapResource map = {
                .domid = domid,
                .resource = resource,
                .id = id,
                .frame = frame,
                .n_frames = 1,
                .address = (uintptr_t)page,
        };
        int r;

        if (page == MAP_FAILED)
                return -errno;
        if (ioctl(privcmd, IOCTL_PRIVCMD_MAP_RESOURCE, &map) < 0) {
                r = -errno;
                munmap(page, PAGE_SIZE);
                return r;
        }
        *ret_page = page;
        return 0;
}

int privcmd_map_page(int privcmd, uint16_t domid, uint64_t frame, void **ret_page)
{
        void *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, privcmd, 0);
        int error = 0, r = 0;
        const MapBatch map = {
                .n_frames = 1,
                .domid = domid,
                .address = (uintptr_t)page,
                .frames = &frame,
                .errors = &error,
        };

        if (page == MAP_FAILED)
                return -errno;
        /* The ioctl itself fails only for what is wrong with all frames, or is swapped out. */
        if (ioctl(privcmd, IOCTL_PRIVCMD_MAP_BATCH, &map) < 0)
                r = errno == ENOENT ? -EFAULT : -errno;
        else if (error != 0)
                r = -EFAULT;
        if (r < 0) {
                munmap(page, PAGE_SIZE);
                return r;
        }
        *ret_page = page;
        return 0;
}

int privcmd_dm_op(int privcmd, uint16_t domid, void *operation, size_t size)
{
        const DmOpBuffer buffer = { .address = operation, .size = size };
        const DmOp op = { .domid = domid, .n_buffers = 1, .buffers = &buffer };

        return ioctl(privcmd, IOCTL_PRIVCMD_DM_OP, &op) < 0 ? -errno : 0;
}

int privcmd_irqfd(int privcmd, const PrivcmdIrqfd *irqfd)
{
        return ioctl(privcmd, IOCTL_PRIVCMD_IRQFD, irqfd) < 0 ? -errno : 0;
}

int privcmd_ioeventfd(int privcmd, const PrivcmdIoeventfd *ioeventfd)
{
        return ioctl(privcmd, IOCTL_PRIVCMD_IOEVENTFD, ioeventfd) < 0 ? -errno : 0;
}
