/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/run-state.h"

#define NAME  "5-disk-51712"
#define LATER "7-virtio-0"
static const Launch launch = {
        .uuid = "8a5d2f0e-7d11-4f6e-9a55-0123456789ab",
        .server = 3,
        .base = 0x2000000,
        .irq = 33,
        .device_id = 2,
        .memory_kib = 196608,
};

typedef struct Fixture {
        char *folder;
        int rundir;
        const char *expected;
        unsigned int n_found, n_unreadable;
} Fixture;

static void fixture_set_up(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        fixture->folder = g_dir_make_tmp("test-run-state-XXXXXX", NULL);
        fixture->rundir = open(fixture->folder, O_RDONLY | O_DIRECTORY);
        g_assert_cmpint(fixture->rundir, >=, 0);
        fixture->expected = NAME;
}

static void fixture_tear_down(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        close(fixture->rundir);
        /* Fails if a test leaves anything behind. */
        g_assert_cmpint(g_rmdir(fixture->folder), ==, 0);
        g_free(fixture->folder);
}

static void on_found(void *userdata, const char *found, const Launch *found_launch)
{
        Fixture *fixture = userdata;

        if (!found_launch) {
                fixture->n_unreadable++;
                return;
        }
        fixture->n_found++;
        g_assert_cmpstr(found, ==, fixture->expected);
        g_assert_cmpuint(found_launch->server, ==, 3);
        g_assert_cmpstr(found_launch->uuid, ==, launch.uuid);
}

static void test_life(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        struct stat st;
        mode_t mask;

        g_assert_cmpint(run_state_list(fixture->rundir, on_found, fixture), ==, 0);
        g_assert_cmpuint(fixture->n_found, ==, 0);
        g_assert_cmpint(run_state_is_claimed(fixture->rundir, NAME), ==, 0);
        /* That it cannot be told is not that there is none. */
        g_assert_cmpint(run_state_is_claimed(-1, NAME), ==, -EBADF);

        mask = umask(0077);
        g_assert_cmpint(run_state_create(fixture->rundir, NAME, &launch), ==, 0);
        umask(mask);
        g_assert_cmpint(fstatat(fixture->rundir, "5-disk-51712", &st, 0), ==, 0);
        g_assert_cmphex(st.st_mode & 07777, ==, 01733);
        g_assert_cmpint(fstatat(fixture->rundir, "5-disk-51712/frontend", &st, 0), ==, 0);
        g_assert_cmphex(st.st_mode & 07777, ==, 0700);

        g_assert_cmpint(run_state_is_claimed(fixture->rundir, NAME), ==, 1);
        /* Twice is once, and a listing can be had twice. */
        g_assert_cmpint(run_state_create(fixture->rundir, NAME, &launch), ==, 0);
        g_assert_cmpint(run_state_list(fixture->rundir, on_found, fixture), ==, 0);
        g_assert_cmpint(run_state_list(fixture->rundir, on_found, fixture), ==, 0);
        g_assert_cmpuint(fixture->n_found, ==, 2);

        g_assert_cmpint(run_state_remove(fixture->rundir, NAME), ==, 0);
        g_assert_cmpint(run_state_remove(fixture->rundir, NAME), ==, 0);
}

/* The folder of a frontend that several devices share is found as theirs are. */
static void test_shared(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        fixture->expected = "5-shared";
        g_assert_cmpint(run_state_create(fixture->rundir, "5-shared", &launch), ==, 0);
        g_assert_cmpint(mkdirat(fixture->rundir, "6-shared", 0700), ==, 0);
        g_assert_cmpint(run_state_list(fixture->rundir, on_found, fixture), ==, 0);
        g_assert_cmpuint(fixture->n_found, ==, 1);
        g_assert_cmpint(run_state_remove(fixture->rundir, "5-shared"), ==, 0);
}

static void file_make(int dirfd, const char *path, const char *text)
{
        int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(write(fd, text, strlen(text)), ==, (gssize)strlen(text));
        close(fd);
}

static void test_sockets_and_leftovers(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        struct stat st;

        g_assert_cmpint(run_state_create(fixture->rundir, NAME, &launch), ==, 0);
        file_make(fixture->rundir, "5-disk-51712/backend.sock0", "");
        run_state_remove_socket(fixture->rundir, NAME);
        run_state_remove_socket(fixture->rundir, NAME);
        g_assert_cmpint(fstatat(fixture->rundir, "5-disk-51712/backend.sock0", &st, 0), <, 0);

        file_make(fixture->rundir, "5-disk-51712/backend.pid", "1");
        file_make(fixture->rundir, "5-disk-51712/.launch.new", "1");
        file_make(fixture->rundir, "5-disk-51712/frontend/state", "1");
        g_assert_cmpint(run_state_remove(fixture->rundir, NAME), ==, 0);
}

/* Names of others are left alone; a folder without a launch file is nobody's. */
static void test_strange_entries(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        static const char *const others[] = { "5-disk-051712", "lost+found", "5-disk", "5-share",
                                              "0x5-disk-1" };
        struct stat st;

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                g_assert_cmpint(mkdirat(fixture->rundir, others[i], 0700), ==, 0);
        g_assert_cmpint(mkdirat(fixture->rundir, "6-disk-1", 0700), ==, 0);
        file_make(fixture->rundir, "8-disk-1", "a file");
        g_assert_cmpint(symlinkat("/etc", fixture->rundir, "9-disk-1"), ==, 0);

        g_assert_cmpint(run_state_list(fixture->rundir, on_found, fixture), ==, 0);
        g_assert_cmpuint(fixture->n_found, ==, 0);
        g_assert_cmpint(fstatat(fixture->rundir, "6-disk-1", &st, 0), <, 0);

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                g_assert_cmpint(unlinkat(fixture->rundir, others[i], AT_REMOVEDIR), ==, 0);
        g_assert_cmpint(unlinkat(fixture->rundir, "8-disk-1", 0), ==, 0);
        g_assert_cmpint(unlinkat(fixture->rundir, "9-disk-1", 0), ==, 0);
}

/* The device of a launch file that cannot be read may run: only without the file it cannot. */
static void test_unreadable(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        struct rlimit limit, none;
        struct stat st;

        g_assert_cmpint(run_state_create(fixture->rundir, NAME, &launch), ==, 0);
        g_assert_cmpint(mkdirat(fixture->rundir, "7-virtio-0", 0700), ==, 0);
        file_make(fixture->rundir, "7-virtio-0/launch", "VERSION=2\n");
        g_assert_cmpint(run_state_list(fixture->rundir, on_found, fixture), ==, 0);
        g_assert_cmpuint(fixture->n_found, ==, 1);
        g_assert_cmpuint(fixture->n_unreadable, ==, 1);
        g_assert_cmpint(fstatat(fixture->rundir, "7-virtio-0/launch", &st, 0), ==, 0);
        g_assert_true(run_state_is_claimed(fixture->rundir, LATER));

        /* Room for the folders' descriptors, but not for the file's. */
        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        none = (struct rlimit){ (rlim_t)fixture->rundir + 3, limit.rlim_max };
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
        g_assert_cmpint(run_state_list(fixture->rundir, on_found, fixture), ==, 0);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        g_assert_cmpuint(fixture->n_found, ==, 1);
        g_assert_cmpuint(fixture->n_unreadable, ==, 3);
        g_assert_cmpint(fstatat(fixture->rundir, "5-disk-51712/launch", &st, 0), ==, 0);

        g_assert_cmpint(run_state_remove(fixture->rundir, NAME), ==, 0);
        g_assert_cmpint(run_state_remove(fixture->rundir, LATER), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add("/run-state/life", Fixture, NULL, fixture_set_up, test_life, fixture_tear_down);
        g_test_add("/run-state/shared", Fixture, NULL, fixture_set_up, test_shared,
                   fixture_tear_down);
        g_test_add("/run-state/sockets-and-leftovers", Fixture, NULL, fixture_set_up,
                   test_sockets_and_leftovers, fixture_tear_down);
        g_test_add("/run-state/strange-entries", Fixture, NULL, fixture_set_up,
                   test_strange_entries, fixture_tear_down);
        g_test_add("/run-state/unreadable", Fixture, NULL, fixture_set_up, test_unreadable,
                   fixture_tear_down);
        return g_test_run();
}
