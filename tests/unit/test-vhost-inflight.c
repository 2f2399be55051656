/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* frontend/vhost-inflight.h, with memory files in the place of the backend's. */

#include "frontend/vhost-inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define QUEUES 2
#define SIZE   64
#define STRIDE 1088 /* of libvhost-user, for 64 descriptors */
#define AREA   (QUEUES * STRIDE)

typedef struct Fixture {
        int file, area;
        VhostProgress progress;
} Fixture;

static int memory_make(size_t size)
{
        int fd = memfd_create("test", MFD_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
        return fd;
}

static void fixture_init(Fixture *fixture, gconstpointer data _unused_)
{
        fixture->file = memory_make(0);
        fixture->area = memory_make(3 * 4096 + AREA);
}

static void fixture_clear(Fixture *fixture, gconstpointer data _unused_)
{
        close(fixture->file);
        close(fixture->area);
}

static int adopt(Fixture *fixture, uint64_t size, uint64_t offset)
{
        const VhostUserInflight area = { .mmap_size = size, .mmap_offset = offset };

        return vhost_inflight_adopt(&fixture->progress, fixture->file, &area, fixture->area, QUEUES,
                                    SIZE);
}

static void test_adopt(Fixture *fixture, gconstpointer data _unused_)
{
        VhostUserInflight described;
        struct stat status;
        char bytes[4];

        g_assert_cmpint(pwrite(fixture->area, "last", 4, 4096 + AREA - 4), ==, 4);
        g_assert_cmpint(adopt(fixture, AREA, 4096), ==, 0);
        described = vhost_inflight_describe(&fixture->progress);
        g_assert_cmpuint(described.mmap_size, ==, AREA);
        g_assert_cmpuint(described.mmap_offset, ==, 0);
        g_assert_cmpuint(described.n_queues, ==, QUEUES);
        g_assert_cmpuint(described.queue_size, ==, SIZE);
        g_assert_cmpint(pread(fixture->file, bytes, 4, AREA - 4), ==, 4);
        g_assert_cmpmem(bytes, 4, "last", 4);
        g_assert_cmpint(fstat(fixture->file, &status), ==, 0);
        g_assert_cmpint(status.st_size, ==, AREA);
        g_assert_true(vhost_inflight_is_consistent(&fixture->progress, fixture->file));

        /* A smaller one in its place leaves nothing of it. */
        g_assert_cmpint(adopt(fixture, QUEUES * SIZE * 16, 0), ==, 0);
        g_assert_cmpint(fstat(fixture->file, &status), ==, 0);
        g_assert_cmpint(status.st_size, ==, QUEUES * SIZE * 16);
}

static void test_sizes(Fixture *fixture, gconstpointer data _unused_)
{
        static const struct {
                uint64_t size, offset;
                int result;
        } cases[] = {
                { 0, 0, -EINVAL },
                { QUEUES * SIZE * 16 - 1, 0, -EINVAL },
                { QUEUES * SIZE * 16, 0, 0 },
                { QUEUES * (SIZE * 64 + 4096), 0, 0 },
                { QUEUES * (SIZE * 64 + 4096) + 1, 0, -EINVAL },
                { UINT64_MAX, 0, -EINVAL },
                { UINT64_MAX - 4095, 4096, -EINVAL },
                { AREA, 3 * 4096, 0 },
                { AREA, 3 * 4096 + 1, -EBADF },
                { AREA, INT64_MAX - AREA, -EBADF },
                { AREA, INT64_MAX - AREA + 1, -EINVAL },
                { AREA, UINT64_MAX, -EINVAL },
        };

        g_assert_cmpint(ftruncate(fixture->area, 3 * 4096 + AREA), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                fixture->progress = (VhostProgress){ 0 };
                /* The largest that is possible is more than most cases want. */
                if (cases[i].size == QUEUES * (SIZE * 64 + 4096))
                        g_assert_cmpint(ftruncate(fixture->area, (off_t)cases[i].size), ==, 0);
                else
                        g_assert_cmpint(ftruncate(fixture->area, 3 * 4096 + AREA), ==, 0);
                g_assert_cmpint(adopt(fixture, cases[i].size, cases[i].offset), ==,
                                cases[i].result);
                g_assert_cmpuint(fixture->progress.area_size, ==,
                                 cases[i].result == 0 ? cases[i].size : 0);
        }
}

/* Only shared memory is read: anything else may block for ever. */
static void test_descriptors(Fixture *fixture, gconstpointer data _unused_)
{
        const VhostUserInflight area = { .mmap_size = AREA };
        int pipes[2];
        const int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
        const int proc = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

        g_assert_cmpint(pipe(pipes), ==, 0);
        for (int i = 0; i < 4; i++) {
                const int fds[] = { zero, proc, pipes[0], -1 };

                g_assert_cmpint(vhost_inflight_adopt(&fixture->progress, fixture->file, &area,
                                                     fds[i], QUEUES, SIZE),
                                ==, -EBADF);
        }
        close(zero);
        close(proc);
        close(pipes[0]);
        close(pipes[1]);
}

static void test_used_index(Fixture *fixture, gconstpointer data _unused_)
{
        const VhostUserInflightSplit used = { .version = 1, .used_index = 0xfff0 };

        g_assert_cmpuint(vhost_inflight_used_index(&fixture->progress, fixture->file, 0), ==, 0);
        g_assert_cmpint(adopt(fixture, AREA, 0), ==, 0);
        g_assert_cmpuint(vhost_inflight_used_index(&fixture->progress, fixture->file, 1), ==, 0);
        g_assert_cmpint(pwrite(fixture->file, &used, sizeof(used), STRIDE), ==, sizeof(used));
        g_assert_cmpuint(vhost_inflight_used_index(&fixture->progress, fixture->file, 0), ==, 0);
        g_assert_cmpuint(vhost_inflight_used_index(&fixture->progress, fixture->file, 1), ==,
                         0xfff0);
        g_assert_cmpuint(vhost_inflight_used_index(&fixture->progress, fixture->file, 2), ==, 0);
        g_assert_cmpint(ftruncate(fixture->file, STRIDE + 1), ==, 0);
        g_assert_cmpuint(vhost_inflight_used_index(&fixture->progress, fixture->file, 1), ==, 0);
}

static void test_clear(Fixture *fixture, gconstpointer data _unused_)
{
        const VhostUserInflightSplit used = { 5, 1, SIZE, 9, 77 }, unused = { 5, 0, SIZE, 0, 0 };
        char before[AREA], after[AREA];
        struct stat status;

        vhost_inflight_clear(&fixture->progress, fixture->file, 0);
        g_assert_cmpint(adopt(fixture, AREA, 0), ==, 0);
        memset(before, 1, sizeof(before));
        memcpy(before + STRIDE, &used, sizeof(used));
        g_assert_cmpint(pwrite(fixture->file, before, AREA, 0), ==, AREA);
        vhost_inflight_clear(&fixture->progress, fixture->file, QUEUES);
        g_assert_cmpint(pread(fixture->file, after, AREA, 0), ==, AREA);
        g_assert_cmpmem(after, AREA, before, AREA);

        vhost_inflight_clear(&fixture->progress, fixture->file, 1);
        memset(before + STRIDE, 0, STRIDE);
        memcpy(before + STRIDE, &unused, sizeof(unused));
        g_assert_cmpint(pread(fixture->file, after, AREA, 0), ==, AREA);
        g_assert_cmpmem(after, AREA, before, AREA);

        /* A backend has cut the file. */
        g_assert_cmpint(ftruncate(fixture->file, STRIDE + 1), ==, 0);
        vhost_inflight_clear(&fixture->progress, fixture->file, 1);
        g_assert_cmpint(fstat(fixture->file, &status), ==, 0);
        g_assert_cmpint(status.st_size, ==, STRIDE + 1);
}

static void test_consistent(Fixture *fixture, gconstpointer data _unused_)
{
        VhostProgress good;

        g_assert_true(vhost_inflight_is_consistent(&fixture->progress, fixture->file));
        g_assert_cmpint(adopt(fixture, AREA, 0), ==, 0);
        fixture->progress.begun = 1;
        fixture->progress.holder = -1;
        good = fixture->progress;
        g_assert_true(vhost_inflight_is_consistent(&good, fixture->file));

#define assert_bad(field, value)                                                                   \
        ({                                                                                         \
                VhostProgress bad = good;                                                          \
                bad.field = (value);                                                               \
                g_assert_false(vhost_inflight_is_consistent(&bad, fixture->file));                 \
        })
        assert_bad(begun, 2);
        assert_bad(reserved[5], 1);
        assert_bad(handed_over, 2);
        assert_bad(holder, -2);
        assert_bad(area_size, AREA + 1);
        assert_bad(area_size, UINT64_MAX);
        assert_bad(area_queues, 0);
        assert_bad(area_queues, UINT16_MAX);
        assert_bad(area_queue_size, 0);
        assert_bad(area_queue_size, UINT16_MAX);
        g_assert_cmpint(ftruncate(fixture->file, AREA - 1), ==, 0);
        g_assert_false(vhost_inflight_is_consistent(&good, fixture->file));
}

#define add(name, function) g_test_add(name, Fixture, NULL, fixture_init, function, fixture_clear)

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        add("/vhost-inflight/adopt", test_adopt);
        add("/vhost-inflight/sizes", test_sizes);
        add("/vhost-inflight/descriptors", test_descriptors);
        add("/vhost-inflight/used-index", test_used_index);
        add("/vhost-inflight/clear", test_clear);
        add("/vhost-inflight/consistent", test_consistent);
        return g_test_run();
}
