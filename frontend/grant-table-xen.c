/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/grant-table.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <xenforeignmemory.h>

#include <xen/grant_table.h>
#include <xen/memory.h>

#define FRAME_SIZE 4096 /* whatever the size of our pages */

/* include/uapi/xen/gntdev.h of Linux. */
#define GNTDEV_DEVICE "/dev/xen/gntdev"
typedef struct GntdevMap {
        uint32_t count;
        uint32_t padding;
        uint64_t index; /* set by Linux: the offset for mmap() */
        struct {
                uint32_t domid, reference;
        } grants[];
} GntdevMap;
#define IOCTL_GNTDEV_MAP _IOC(_IOC_NONE, 'G', 0, sizeof(GntdevMap) + 8)

_Static_assert(sizeof(grant_entry_v1_t) == sizeof(uint64_t), "an entry is one word");

struct GrantTable {
        domid_t domid;
        xenforeignmemory_handle *foreign_memory;
        xenforeignmemory_resource_handle *frames;
};

static xenforeignmemory_resource_handle *resource_map(GrantTable *table, unsigned int id,
                                                      uint32_t first, uint32_t n, void **ret_place)
{
        *ret_place = NULL;
        return xenforeignmemory_map_resource(table->foreign_memory, table->domid,
                                             XENMEM_resource_grant_table, id, first, n, ret_place,
                                             PROT_READ | PROT_WRITE, 0);
}

/* Only tables of version 2 have status frames. */
static int version_check(GrantTable *table)
{
        xenforeignmemory_resource_handle *status;
        void *place;

        status = resource_map(table, XENMEM_resource_grant_table_id_status, 0, 1, &place);
        if (!status)
                return errno == EINVAL ? 0 : -errno;
        xenforeignmemory_unmap_resource(table->foreign_memory, status);
        return -EOPNOTSUPP;
}

int grant_table_open(uint16_t domid, GrantTable **ret_table)
{
        _cleanup_(grant_table_closep) GrantTable *table = calloc(1, sizeof(*table));
        int r;

        if (!table)
                return -ENOMEM;
        table->domid = domid;
        table->foreign_memory = xenforeignmemory_open(/* logger= */ NULL, 0);
        if (!table->foreign_memory)
                return -errno;
        r = version_check(table);
        if (r < 0)
                return r;
        *ret_table = steal_pointer(table);
        return 0;
}

GrantTable *grant_table_close(GrantTable *table)
{
        if (!table)
                return NULL;
        if (table->frames)
                xenforeignmemory_unmap_resource(table->foreign_memory, table->frames);
        if (table->foreign_memory)
                xenforeignmemory_close(table->foreign_memory);
        free(table);
        return NULL;
}

int grant_table_frames(GrantTable *table, uint32_t *ret_frames)
{
        size_t size;

        if (xenforeignmemory_resource_size(table->foreign_memory, table->domid,
                                           XENMEM_resource_grant_table,
                                           XENMEM_resource_grant_table_id_shared, &size) < 0)
                return -errno;
        *ret_frames = (uint32_t)(size / FRAME_SIZE);
        return 0;
}

int grant_table_map(GrantTable *table, uint32_t first, uint32_t n, uint64_t **ret_entries)
{
        void *place;

        table->frames =
                resource_map(table, XENMEM_resource_grant_table_id_shared, first, n, &place);
        if (!table->frames)
                return -errno;
        *ret_entries = place;
        return 0;
}

int grant_table_pages_open(uint16_t domid, uint32_t first, uint32_t n_pages, int *ret_fd)
{
        _cleanup_fd_ int fd = open(GNTDEV_DEVICE, O_RDWR | O_CLOEXEC);
        _cleanup_free_ GntdevMap *map = NULL;

        if (fd < 0)
                return -errno;
        map = calloc(1, sizeof(*map) + n_pages * sizeof(map->grants[0]));
        if (!map)
                return -ENOMEM;
        map->count = n_pages;
        for (uint32_t i = 0; i < n_pages; i++) {
                map->grants[i].domid = domid;
                map->grants[i].reference = first + i;
        }
        /* The limit on the number of pages is all that it can find invalid. */
        if (ioctl(fd, IOCTL_GNTDEV_MAP, map) < 0)
                return errno == EINVAL ? -E2BIG : -errno;
        if (map->index != 0) /* the first mapping of a new file */
                return -EPROTO;
        *ret_fd = steal_fd(&fd);
        return 0;
}
