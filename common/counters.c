/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/device-name.h"

_Static_assert(sizeof(CountersFile) == 8 + (7 + LATENCY_BUCKETS + 2) * 8,
               "the layout belongs to the version");

static bool file_is_ours(const CountersFile *file)
{
        return file->version == COUNTERS_VERSION && file->size == sizeof(*file);
}

void counters_add_latency(Counters *counters, uint64_t usec)
{
        unsigned int bucket = usec <= 1 ? 0 : 64 - (unsigned int)__builtin_clzll(usec - 1);

        if (bucket > LATENCY_BUCKETS)
                bucket = LATENCY_BUCKETS;
        counters->latencies[bucket]++;
        counters->latency_usec += usec;
}

int counters_read(int dirfd, Counters *ret_counters)
{
        _cleanup_fd_ int folder = -1, fd = -1;
        struct stat status;
        CountersFile file;
        ssize_t n;

        folder = openat(dirfd, FRONTEND_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (folder < 0)
                return -errno;
        /* Its owner may have put anything there: a pipe that nobody writes to must not hold us. */
        fd = openat(folder, COUNTERS_FILE, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &status) < 0)
                return -errno;
        if (!S_ISREG(status.st_mode) || status.st_size != sizeof(file))
                return -EPROTO;
        n = pread(fd, &file, sizeof(file), 0);
        if (n < 0)
                return -errno;
        if (n != sizeof(file) || !file_is_ours(&file))
                return -EPROTO;
        *ret_counters = file.counters;
        return 0;
}

int counters_map(int fd, CountersFile **ret_file)
{
        CountersFile *file;

        /* Allocated at once: a full file system shows now, and not as a signal later. */
        if (ftruncate(fd, sizeof(*file)) < 0 || fallocate(fd, 0, 0, sizeof(*file)) < 0)
                return -errno;
        file = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (file == MAP_FAILED)
                return -errno;
        if (!file_is_ours(file))
                *file = (CountersFile){ .version = COUNTERS_VERSION, .size = sizeof(*file) };
        *ret_file = file;
        return 0;
}

void counters_unmap(CountersFile *file)
{
        if (file)
                munmap(file, sizeof(*file));
}
