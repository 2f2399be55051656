/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A guest's pages through privcmd and gntdev, by the bare ioctls of Linux' uapi/xen/privcmd.h and
 * uapi/xen/gntdev.h, so that nothing but libc has to be there.
 */

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "tests/backend/memory.h"

#define PAGE_SIZE UINT64_C(4096)

struct privcmd_mmapbatch_v2 {
        uint32_t num;
        uint16_t dom;
        uint64_t address;
        const uint64_t *gfns;
        int *errors;
};
#define IOCTL_PRIVCMD_MMAPBATCH_V2 _IOC(_IOC_NONE, 'P', 4, sizeof(struct privcmd_mmapbatch_v2))

struct gntdev_grant_ref {
        uint32_t domid;
        uint32_t ref;
};
struct gntdev_map {
        uint32_t count;
        uint32_t padding;
        uint64_t index;
        struct gntdev_grant_ref refs[];
};
#define IOCTL_GNTDEV_MAP_GRANT_REF                                                                 \
        _IOC(_IOC_NONE, 'G', 0, sizeof(struct gntdev_map) + sizeof(struct gntdev_grant_ref))

struct gntdev_unmap {
        uint64_t index;
        uint32_t count;
        uint32_t padding;
};
#define IOCTL_GNTDEV_UNMAP_GRANT_REF _IOC(_IOC_NONE, 'G', 1, sizeof(struct gntdev_unmap))

_Static_assert(IOCTL_PRIVCMD_MMAPBATCH_V2 == 0x00205004, "as the kernel has it");
_Static_assert(IOCTL_GNTDEV_MAP_GRANT_REF == 0x00184700, "as the kernel has it");
_Static_assert(IOCTL_GNTDEV_UNMAP_GRANT_REF == 0x00104701, "as the kernel has it");

/*
 * The ioctl that fills an area has to fill all of it, and the kernel allocates 8 bytes a page for
 * that in one piece: 2 GiB are too much. So a region is many areas, one beside the other.
 */
#define FOREIGN_PIECE (UINT64_C(64) << 20)
#define FOREIGN_PAGES (FOREIGN_PIECE / PAGE_SIZE)
/* gntdev's own limit is 65536 pages a call. */
#define GRANT_PIECE (UINT64_C(16) << 20)
#define GRANT_PAGES (GRANT_PIECE / PAGE_SIZE)
#define GRANT_BIT   BIT(63)

static size_t piece_size(size_t size, size_t start, size_t piece)
{
        return size - start < piece ? size - start : piece;
}

static int area_reserve(size_t size, XenMapping *mapping)
{
        void *area =
                mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (area == MAP_FAILED)
                return -errno;
        mapping->area = area;
        mapping->size = size;
        return 0;
}

/* Returns how many pages are there, or a negative errno. */
static int foreign_piece_map(int fd, uint16_t domid, uint64_t gfn, void *area, size_t size)
{
        const uint32_t n = (uint32_t)(size / PAGE_SIZE);
        uint64_t gfns[FOREIGN_PAGES];
        int errors[FOREIGN_PAGES] = { 0 };
        const struct privcmd_mmapbatch_v2 batch = {
                .num = n,
                .dom = domid,
                .address = (uintptr_t)area,
                .gfns = gfns,
                .errors = errors,
        };
        int n_mapped = 0;

        if (mmap(area, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
                return -errno;
        for (uint32_t i = 0; i < n; i++)
                gfns[i] = gfn + i;
        /* ENOENT stands for pages that are swapped out, which errors[] tells page by page. */
        if (ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch) < 0 && errno != ENOENT)
                return -errno;
        for (uint32_t i = 0; i < n; i++)
                n_mapped += errors[i] == 0;
        return n_mapped;
}

int xen_foreign_map(int fd, uint16_t domid, uint64_t guest_address, size_t size,
                    XenMapping *ret_mapping)
{
        XenMapping mapping = { .fd = fd };
        size_t n_mapped = 0;
        int r = area_reserve(size, &mapping);

        for (size_t start = 0; r >= 0 && start < size; start += FOREIGN_PIECE) {
                r = foreign_piece_map(fd, domid, (guest_address + start) / PAGE_SIZE,
                                      (uint8_t *)mapping.area + start,
                                      piece_size(size, start, FOREIGN_PIECE));
                n_mapped += r > 0 ? (size_t)r : 0;
        }
        if (r >= 0 && n_mapped == 0)
                r = -EFAULT;
        if (r < 0) {
                xen_unmap(&mapping);
                return r;
        }
        *ret_mapping = mapping;
        return 0;
}

static int grant_piece_map(int fd, uint16_t domid, uint64_t reference, bool writable, void *area,
                           size_t size, uint64_t *ret_index)
{
        const uint32_t n = (uint32_t)(size / PAGE_SIZE);
        union {
                struct gntdev_map map;
                uint8_t space[sizeof(struct gntdev_map) +
                              GRANT_PAGES * sizeof(struct gntdev_grant_ref)];
        } request = { .map = { .count = n } };

        for (uint32_t i = 0; i < n; i++)
                request.map.refs[i] =
                        (struct gntdev_grant_ref){ .domid = domid, .ref = (uint32_t)reference + i };
        if (ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &request) < 0)
                return -errno;
        *ret_index = request.map.index;
        /* Only a mapping that asks for no writing may be of pages that are granted for reading. */
        if (mmap(area, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED | MAP_FIXED, fd,
                 (off_t)request.map.index) == MAP_FAILED)
                return -errno;
        return 0;
}

static void grant_piece_forget(int fd, uint64_t index, size_t size)
{
        struct gntdev_unmap request = { .index = index, .count = (uint32_t)(size / PAGE_SIZE) };

        ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &request);
}

int xen_grant_map(int fd, uint16_t domid, uint64_t guest_address, size_t size, bool writable,
                  XenMapping *ret_mapping)
{
        const uint64_t reference = (guest_address & ~GRANT_BIT) / PAGE_SIZE;
        const size_t n_pieces = (size + GRANT_PIECE - 1) / GRANT_PIECE;
        XenMapping mapping = { .fd = fd, .indexes = calloc(n_pieces, sizeof(uint64_t)) };
        int r = mapping.indexes ? area_reserve(size, &mapping) : -ENOMEM;

        for (size_t i = 0; r == 0 && i < n_pieces; i++) {
                const size_t start = i * GRANT_PIECE;

                /* Counted first: a piece that cannot be mapped may have its name already. */
                mapping.indexes[i] = UINT64_MAX;
                mapping.n_indexes++;
                r = grant_piece_map(fd, domid, reference + start / PAGE_SIZE, writable,
                                    (uint8_t *)mapping.area + start,
                                    piece_size(size, start, GRANT_PIECE), &mapping.indexes[i]);
        }
        if (r < 0) {
                xen_unmap(&mapping);
                return r;
        }
        *ret_mapping = mapping;
        return 0;
}

void xen_unmap(XenMapping *mapping)
{
        if (mapping->area)
                munmap(mapping->area, mapping->size);
        for (size_t i = 0; i < mapping->n_indexes; i++) {
                if (mapping->indexes[i] != UINT64_MAX)
                        grant_piece_forget(mapping->fd, mapping->indexes[i],
                                           piece_size(mapping->size, i * GRANT_PIECE, GRANT_PIECE));
        }
        free(mapping->indexes);
        *mapping = (XenMapping){ 0 };
}
