/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/vhost-inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "frontend/vhost-peer.h"

/* A descriptor takes 16 bytes in a split queue's area, 32 in a packed one's; a head goes before. */
#define DESCRIPTOR_SIZE_MIN 16
#define DESCRIPTOR_SIZE_MAX 64
#define QUEUE_HEAD_MAX      4096

#define COPY_SIZE 4096

static bool size_is_possible(uint64_t size, uint16_t n_queues, uint16_t queue_size)
{
        const uint64_t least = (uint64_t)n_queues * queue_size * DESCRIPTOR_SIZE_MIN;
        const uint64_t most =
                n_queues * (QUEUE_HEAD_MAX + (uint64_t)queue_size * DESCRIPTOR_SIZE_MAX);

        return n_queues > 0 && queue_size > 0 && size >= least && size <= most;
}

static bool file_has(int file, uint64_t size)
{
        struct stat status;

        return fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
               (uint64_t)status.st_size >= size;
}

/* Reading a file system that somebody serves could block, or never end. Shared memory cannot. */
static bool is_shared_memory(int descriptor)
{
        struct statfs system;

        return fstatfs(descriptor, &system) == 0 && system.f_type == TMPFS_MAGIC;
}

static int file_copy(int to, int from, uint64_t start, uint64_t size)
{
        char bytes[COPY_SIZE];

        /* Allocated, not sparse: who writes to it must not die of a full file system. */
        if (ftruncate(to, 0) < 0 || fallocate(to, 0, 0, (off_t)size) < 0)
                return -errno;
        for (uint64_t done = 0; done < size;) {
                const uint64_t left = size - done;
                const ssize_t n = pread(from, bytes, left < sizeof(bytes) ? left : sizeof(bytes),
                                        (off_t)(start + done));

                if (n <= 0)
                        return -EBADF;
                if (pwrite(to, bytes, (size_t)n, (off_t)done) != n)
                        return -EIO;
                done += (uint64_t)n;
        }
        return 0;
}

int vhost_inflight_adopt(VhostProgress *progress, int file, const VhostUserInflight *area,
                         int descriptor, uint16_t n_queues, uint16_t queue_size)
{
        int r;

        if (!size_is_possible(area->mmap_size, n_queues, queue_size) ||
            area->mmap_offset > INT64_MAX - area->mmap_size)
                return -EINVAL;
        if (!is_shared_memory(descriptor) ||
            !file_has(descriptor, area->mmap_offset + area->mmap_size))
                return -EBADF;
        r = file_copy(file, descriptor, area->mmap_offset, area->mmap_size);
        if (r < 0)
                return r;
        progress->area_queues = n_queues;
        progress->area_queue_size = queue_size;
        progress->area_size = area->mmap_size;
        return 0;
}

void vhost_inflight_drop(VhostProgress *progress)
{
        progress->area_size = 0;
        progress->area_queues = progress->area_queue_size = 0;
}

VhostUserInflight vhost_inflight_describe(const VhostProgress *progress)
{
        return (VhostUserInflight){
                .mmap_size = progress->area_size,
                .n_queues = progress->area_queues,
                .queue_size = progress->area_queue_size,
        };
}

/*
 * Reads the head of a queue's part of the area. Returns where that part begins, or -1: there is
 * none, or the backend has cut the file.
 */
static off_t part_find(const VhostProgress *progress, int file, uint16_t queue,
                       VhostUserInflightSplit *ret_head)
{
        off_t start;

        if (progress->area_size == 0 || queue >= progress->area_queues)
                return -1;
        start = (off_t)(progress->area_size / progress->area_queues * queue);
        return pread(file, ret_head, sizeof(*ret_head), start) == sizeof(*ret_head) ? start : -1;
}

uint16_t vhost_inflight_used_index(const VhostProgress *progress, int file, uint16_t queue)
{
        VhostUserInflightSplit head;

        if (part_find(progress, file, queue, &head) < 0 || head.version == 0)
                return 0;
        return head.used_index;
}

void vhost_inflight_clear(const VhostProgress *progress, int file, uint16_t queue)
{
        static const char zero[COPY_SIZE];
        VhostUserInflightSplit head;
        const off_t start = part_find(progress, file, queue, &head);
        uint64_t left;

        if (start < 0)
                return;
        left = progress->area_size / progress->area_queues - sizeof(head);
        for (off_t place = start + (off_t)sizeof(head); left > 0;) {
                const ssize_t n =
                        pwrite(file, zero, left < sizeof(zero) ? left : sizeof(zero), place);

                if (n <= 0)
                        return;
                place += n;
                left -= (uint64_t)n;
        }
        /* Last: a backend that finds no version takes the rest for empty, as it is then. */
        head.version = head.last_batch_head = head.used_index = 0;
        if (pwrite(file, &head, sizeof(head), start) < 0)
                return;
}

bool vhost_inflight_is_consistent(const VhostProgress *progress, int file)
{
        static const uint8_t zero[sizeof(progress->reserved)];

        if (progress->begun > 1 || progress->handed_over > 1 ||
            progress->holder < VHOST_PEER_UNKNOWN ||
            memcmp(progress->reserved, zero, sizeof(zero)) != 0)
                return false;
        if (progress->area_size == 0)
                return true;
        return progress->area_queues <= VIRTIO_QUEUES_MAX &&
               size_is_possible(progress->area_size, progress->area_queues,
                                progress->area_queue_size) &&
               file_has(file, progress->area_size);
}
