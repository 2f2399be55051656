/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/counters.h"
#include "common/device-name.h"

typedef struct Fixture {
        char *path;
        int device, frontend; /* the folders */
} Fixture;

static void fixture_set_up(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        fixture->path = g_dir_make_tmp("test-counters-XXXXXX", NULL);
        fixture->device = open(fixture->path, O_RDONLY | O_DIRECTORY);
        g_assert_cmpint(mkdirat(fixture->device, FRONTEND_FOLDER, 0700), ==, 0);
        fixture->frontend = openat(fixture->device, FRONTEND_FOLDER, O_RDONLY | O_DIRECTORY);
        g_assert_cmpint(fixture->frontend, >=, 0);
}

static void fixture_tear_down(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        unlinkat(fixture->frontend, COUNTERS_FILE, 0);
        unlinkat(fixture->device, FRONTEND_FOLDER, AT_REMOVEDIR);
        close(fixture->frontend);
        close(fixture->device);
        g_rmdir(fixture->path);
        g_free(fixture->path);
}

/* As a frontend does it. */
static int map(const Fixture *fixture, CountersFile **ret_file)
{
        int fd = openat(fixture->frontend, COUNTERS_FILE, O_RDWR | O_CREAT, 0600), r;

        g_assert_cmpint(fd, >=, 0);
        r = counters_map(fd, ret_file);
        close(fd);
        return r;
}

static void write_file(const Fixture *fixture, const void *data, size_t size)
{
        int fd = openat(fixture->frontend, COUNTERS_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        g_assert_cmpint(write(fd, data, size), ==, size);
        close(fd);
}

/* One that takes over goes on counting where the former one was. */
static void test_counting(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        CountersFile *file;
        Counters counters;

        g_assert_cmpint(counters_read(fixture->device, &counters), ==, -ENOENT);
        g_assert_cmpint(map(fixture, &file), ==, 0);
        file->counters.requests = 7;
        file->counters.dropped_lines = 9;
        counters_unmap(file);

        g_assert_cmpint(map(fixture, &file), ==, 0);
        file->counters.requests++;
        g_assert_cmpint(counters_read(fixture->device, &counters), ==, 0);
        g_assert_cmpuint(counters.requests, ==, 8);
        g_assert_cmpuint(counters.kicks, ==, 0);
        g_assert_cmpuint(counters.dropped_lines, ==, 9);
        counters_unmap(file);
}

static void test_latencies(void)
{
        static const struct {
                uint64_t usec;
                unsigned int bucket;
        } cases[] = {
                { 0, 0 },
                { 1, 0 },
                { 2, 1 },
                { 3, 2 },
                { 4, 2 },
                { 5, 3 },
                { 1024, 10 },
                { 1025, 11 },
                { UINT64_C(1) << 19, 19 },
                { (UINT64_C(1) << 19) + 1, 20 },
                { UINT64_MAX, 20 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                Counters counters = { 0 };

                counters_add_latency(&counters, cases[i].usec);
                g_assert_cmpuint(counters.latencies[cases[i].bucket], ==, 1);
                g_assert_cmpuint(counters.latency_usec, ==, cases[i].usec);
        }
}

static void test_no_name(void)
{
        int fd = memfd_create(COUNTERS_FILE, 0);
        CountersFile *file;

        g_assert_cmpint(counters_map(fd, &file), ==, 0);
        close(fd);
        g_assert_cmpuint(file->counters.requests, ==, 0);
        file->counters.requests++;
        counters_unmap(file);
        counters_unmap(NULL);
}

/* What is not ours is not read, and is begun anew by the next frontend. */
static void test_strangers(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        const CountersFile good = { COUNTERS_VERSION, sizeof(good), { .requests = 5 } };
        Counters counters = { .requests = 1 };
        struct {
                CountersFile file;
                char more[8];
        } longer = { .file = good };
        CountersFile other = good, *file;

        write_file(fixture, &good, sizeof(good) - 1);
        g_assert_cmpint(counters_read(fixture->device, &counters), ==, -EPROTO);
        write_file(fixture, &longer, sizeof(longer));
        g_assert_cmpint(counters_read(fixture->device, &counters), ==, -EPROTO);
        other.version++;
        write_file(fixture, &other, sizeof(other));
        g_assert_cmpint(counters_read(fixture->device, &counters), ==, -EPROTO);
        other = good;
        other.size--;
        write_file(fixture, &other, sizeof(other));
        g_assert_cmpint(counters_read(fixture->device, &counters), ==, -EPROTO);
        g_assert_cmpuint(counters.requests, ==, 1);

        g_assert_cmpint(map(fixture, &file), ==, 0);
        g_assert_cmpuint(file->counters.requests, ==, 0);
        counters_unmap(file);
        g_assert_cmpint(counters_read(fixture->device, &counters), ==, 0);
}

/* What its owner may put there instead, to hold the reader or to lead it elsewhere. */
static void test_no_file(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        Counters counters;

        g_assert_cmpint(mkfifoat(fixture->frontend, COUNTERS_FILE, 0600), ==, 0);
        g_assert_cmpint(counters_read(fixture->device, &counters), ==, -EPROTO);
        g_assert_cmpint(unlinkat(fixture->frontend, COUNTERS_FILE, 0), ==, 0);
        g_assert_cmpint(symlinkat("/etc/passwd", fixture->frontend, COUNTERS_FILE), ==, 0);
        g_assert_cmpint(counters_read(fixture->device, &counters), ==, -ELOOP);
        g_assert_cmpint(unlinkat(fixture->frontend, COUNTERS_FILE, 0), ==, 0);
        g_assert_cmpint(mkdirat(fixture->frontend, COUNTERS_FILE, 0700), ==, 0);
        g_assert_cmpint(counters_read(fixture->device, &counters), ==, -EPROTO);
        g_assert_cmpint(unlinkat(fixture->frontend, COUNTERS_FILE, AT_REMOVEDIR), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
        g_test_add("/counters/" name, Fixture, NULL, fixture_set_up, function, fixture_tear_down)
        ADD("counting", test_counting);
        ADD("strangers", test_strangers);
        ADD("no-file", test_no_file);
        g_test_add_func("/counters/no-name", test_no_name);
        g_test_add_func("/counters/latencies", test_latencies);
        return g_test_run();
}
