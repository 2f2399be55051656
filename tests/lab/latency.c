/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How long a virtio device's register takes to be read, as a guest's program feels it: "latency
 * FILE COUNT PAUSE" reads an attribute of sysfs that stands for one, again and again, with a pause
 * of so many microseconds. After each COUNT reads it says how many nanoseconds half of them took at
 * most, 99 of 100, and all.
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
        COUNT_MAX = 10000
};

static uint64_t now(void)
{
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
        const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

/* The time that so many of 100 do not exceed. */
static unsigned long percentile(const uint64_t *times, size_t count, size_t percent)
{
        return times[(count * percent + 99) / 100 - 1];
}

int main(int argc, char **argv)
{
        static uint64_t times[COUNT_MAX];
        const size_t count = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
        const int fd = argc == 4 ? open(argv[1], O_RDONLY) : -1;
        char text[64];

        if (fd < 0 || count == 0 || count > COUNT_MAX)
                return EXIT_FAILURE;
        for (;;) {
                for (size_t i = 0; i < count; i++) {
                        uint64_t before;

                        usleep((useconds_t)atoi(argv[3]));
                        before = now();
                        if (pread(fd, text, sizeof(text), 0) <= 0)
                                return EXIT_FAILURE;
                        times[i] = now() - before;
                }
                qsort(times, count, sizeof(*times), compare);
                printf("guest: reads %lu %lu %lu\n", percentile(times, count, 50),
                       percentile(times, count, 99), percentile(times, count, 100));
                fflush(stdout);
        }
}
