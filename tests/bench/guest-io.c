/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads or writes a disk from within a guest, with direct I/O, and prints the nanoseconds that one
 * request took: guest-io DISK read|write SIZE DEPTH COUNT
 *
 * DEPTH requests are under way at any time, at places that look random and are the same each time,
 * so that no two of them can be merged. A quarter of COUNT comes first and does not count. One
 * request at a time is what pread() and pwrite() do, several are Linux's native asynchronous I/O.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
        ALIGNMENT = 4096,
        DEPTH_MAX = 64
};

struct job {
        int fd;
        bool write;
        size_t size;
        unsigned depth;
        uint64_t places;
        uint64_t random;
        char *buffers;
};

static uint64_t now(void)
{
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static off_t next_offset(struct job *job)
{
        /* Marsaglia's xorshift generator. */
        job->random ^= job->random << 13;
        job->random ^= job->random >> 7;
        job->random ^= job->random << 17;
        return (off_t)(job->random % job->places * job->size);
}

/* One request at a time. */
static void run_alone(struct job *job, unsigned count)
{
        for (unsigned i = 0; i < count; i++) {
                off_t offset = next_offset(job);
                ssize_t n = job->write ? pwrite(job->fd, job->buffers, job->size, offset)
                                       : pread(job->fd, job->buffers, job->size, offset);
                if (n != (ssize_t)job->size)
                        err(1, "request of %zu bytes at %jd", job->size, (intmax_t)offset);
        }
}

static void submit(struct job *job, aio_context_t context, struct iocb **requests, long count)
{
        for (long i = 0; i < count; i++)
                requests[i]->aio_offset = next_offset(job);
        for (long done = 0, n; done < count; done += n) {
                n = syscall(SYS_io_submit, context, count - done, requests + done);
                if (n <= 0)
                        err(1, "io_submit");
        }
}

/* Several at a time: whatever has ended makes room for as many. */
static void run_queued(struct job *job, aio_context_t context, unsigned count)
{
        struct iocb requests[DEPTH_MAX], *idle[DEPTH_MAX];
        struct io_event events[DEPTH_MAX];
        unsigned left = count - job->depth;

        for (unsigned i = 0; i < job->depth; i++) {
                requests[i] = (struct iocb){
                        .aio_lio_opcode = job->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
                        .aio_fildes = (uint32_t)job->fd,
                        .aio_buf = (uintptr_t)(job->buffers + i * job->size),
                        .aio_nbytes = job->size,
                };
                idle[i] = &requests[i];
        }
        submit(job, context, idle, job->depth);
        for (unsigned ended = 0; ended < count;) {
                long n = syscall(SYS_io_getevents, context, 1, DEPTH_MAX, events, NULL);
                if (n <= 0)
                        err(1, "io_getevents");
                for (long i = 0; i < n; i++) {
                        if (events[i].res != (int64_t)job->size)
                                errx(1, "a request ended with %jd", (intmax_t)events[i].res);
                        idle[i] = (struct iocb *)(uintptr_t)events[i].obj;
                }
                ended += (unsigned)n;
                unsigned again = (unsigned)n < left ? (unsigned)n : left;
                submit(job, context, idle, again);
                left -= again;
        }
}

static void run(struct job *job, aio_context_t context, unsigned count)
{
        if (job->depth == 1)
                run_alone(job, count);
        else
                run_queued(job, context, count);
}

static unsigned number(const char *text, unsigned min, unsigned max)
{
        char *end;
        unsigned long value = strtoul(text, &end, 10);

        if (*text == '\0' || *end != '\0' || value < min || value > max)
                errx(2, "%s: not a number from %u to %u", text, min, max);
        return (unsigned)value;
}

int main(int argc, char **argv)
{
        struct job job = { .random = 88172645463325252 };
        aio_context_t context = 0;

        if (argc != 6)
                errx(2, "usage: guest-io DISK read|write SIZE DEPTH COUNT");
        job.write = strcmp(argv[2], "write") == 0;
        job.size = number(argv[3], 1, 1 << 24) / ALIGNMENT * ALIGNMENT;
        job.depth = number(argv[4], 1, DEPTH_MAX);
        unsigned count = number(argv[5], 4 * job.depth, 1 << 24);

        job.fd = open(argv[1], O_RDWR | O_DIRECT);
        if (job.fd < 0)
                err(1, "%s", argv[1]);
        job.places = job.size ? (uint64_t)lseek(job.fd, 0, SEEK_END) / job.size : 0;
        if (job.places == 0)
                errx(2, "%s is smaller than a request, or a request than %d", argv[1], ALIGNMENT);
        job.buffers = aligned_alloc(ALIGNMENT, job.size * job.depth);
        if (!job.buffers)
                err(1, "buffers");
        /* Memory that nobody has written to is all one page of zeros. */
        memset(job.buffers, 0x5a, job.size * job.depth);
        if (syscall(SYS_io_setup, DEPTH_MAX, &context) < 0)
                err(1, "io_setup");

        run(&job, context, count / 4);
        uint64_t start = now();
        run(&job, context, count);
        printf("%ju\n", (uintmax_t)((now() - start) / count));
        return 0;
}
