/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * frontend/grant-table.h without Xen: the test (tests/sim/xen.py) made the table, all frames of it
 * in a file. XEN_VIRTIO_SIM tells of it, as of all else (hypervisor-sim.c): "table:11" and
 * "ram0:9,ram1:10". XEN_VIRTIO_SIM_TABLE_VERSION is 2 for a guest that uses the other one, and
 * Linux maps no more than XEN_VIRTIO_SIM_GNTDEV_LIMIT pages at once, and Xen no more than
 * XEN_VIRTIO_SIM_MAPTRACK.
 */

#include "frontend/grant-table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/guest-memory.h"

#define FRAME_SIZE    4096
#define FRAME_ENTRIES 512

struct GrantTable {
        int file;
        void *frames;
        size_t size;
};

/* struct grant_entry_v1 of xen/public/grant_table.h, written down again: see hypervisor-sim.c. */
typedef struct Entry {
        uint16_t flags; /* 1: access is permitted; 8, 16: it is mapped */
        uint16_t domid;
        uint32_t frame;
} Entry;
_Static_assert(sizeof(Entry) == FRAME_SIZE / FRAME_ENTRIES, "a frame is a page");

/* What the test tells under this name, or -1. */
static int number_of(const char *name)
{
        const char *text = getenv("XEN_VIRTIO_SIM");
        const size_t length = strlen(name);

        for (; text; text = strchr(text, ',')) {
                text += *text == ',';
                if (strncmp(text, name, length) == 0 && text[length] == ':')
                        return atoi(text + length + 1);
        }
        return -1;
}

int grant_table_open(uint16_t domid _unused_, GrantTable **ret_table)
{
        GrantTable *table;

        if (number_of("table") < 0)
                return -ENODEV;
        if (getenv("XEN_VIRTIO_SIM_TABLE_VERSION"))
                return -EOPNOTSUPP;
        table = calloc(1, sizeof(*table));
        if (!table)
                return -ENOMEM;
        table->file = number_of("table");
        *ret_table = table;
        return 0;
}

GrantTable *grant_table_close(GrantTable *table)
{
        if (!table)
                return NULL;
        if (table->frames)
                munmap(table->frames, table->size);
        free(table);
        return NULL;
}

int grant_table_frames(GrantTable *table, uint32_t *ret_frames)
{
        struct stat st;

        if (fstat(table->file, &st) < 0)
                return -errno;
        *ret_frames = (uint32_t)(st.st_size / FRAME_SIZE);
        return 0;
}

int grant_table_map(GrantTable *table, uint32_t first, uint32_t n, uint64_t **ret_entries)
{
        void *frames = mmap(NULL, (size_t)n * FRAME_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                            table->file, (off_t)first * FRAME_SIZE);

        if (frames == MAP_FAILED)
                return -errno;
        table->frames = frames;
        table->size = (size_t)n * FRAME_SIZE;
        *ret_entries = frames;
        return 0;
}

/* The first page that these entries grant dom0, if they grant one after the other; else 0. */
static uint32_t pages_granted(const Entry *entries, uint32_t n_pages)
{
        for (uint32_t i = 0; i < n_pages; i++) {
                if ((entries[i].flags & 3) != 1 || entries[i].domid != 0 ||
                    entries[i].frame != entries[0].frame + i)
                        return 0;
        }
        return entries[0].frame;
}

/* The file of the bank that these references grant, or -1. */
static int bank_granted(uint32_t first, uint32_t n_pages)
{
        GrantTable table = { .file = number_of("table") };
        uint64_t *frames = NULL, base;
        uint32_t n_frames = 0;

        if (grant_table_frames(&table, &n_frames) < 0 ||
            grant_table_map(&table, 0, n_frames, &frames) < 0)
                return -1;
        base = pages_granted((const Entry *)frames + first, n_pages) * GUEST_PAGE_SIZE;
        munmap(table.frames, table.size);
        if (base == GUEST_BANK0_BASE)
                return number_of("ram0");
        return base == GUEST_BANK1_BASE ? number_of("ram1") : -1;
}

/* Whether there is such a limit, and so many pages are more. */
static bool is_beyond(const char *limit, uint32_t n_pages)
{
        const char *text = getenv(limit);

        return text && n_pages > (uint32_t)atoi(text);
}

/* What Xen would not map is a file that cannot be mapped. */
int grant_table_pages_open(uint16_t domid _unused_, uint32_t first, uint32_t n_pages, int *ret_fd)
{
        int bank, fd;

        if (is_beyond("XEN_VIRTIO_SIM_GNTDEV_LIMIT", n_pages))
                return -E2BIG;
        bank = is_beyond("XEN_VIRTIO_SIM_MAPTRACK", n_pages) ? -1 : bank_granted(first, n_pages);
        fd = bank < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : fcntl(bank, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}
