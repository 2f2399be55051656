/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/small-file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define SIZE 100

typedef struct Fixture {
        char *folder;
        int dirfd;
} Fixture;

static void fixture_init(Fixture *fixture, gconstpointer data _unused_)
{
        fixture->folder = g_dir_make_tmp("test-small-file-XXXXXX", NULL);
        fixture->dirfd = open(fixture->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(fixture->dirfd, >=, 0);
}

static void fixture_clear(Fixture *fixture, gconstpointer data _unused_)
{
        unlinkat(fixture->dirfd, "file", 0);
        close(fixture->dirfd);
        g_assert_cmpint(g_rmdir(fixture->folder), ==, 0); /* nothing else was left in it */
        g_free(fixture->folder);
}

static void test_sizes(Fixture *fixture, gconstpointer data _unused_)
{
        g_autofree char *text = g_strnfill(SIZE + 1, 'x');

        for (size_t size = 0; size <= SIZE + 1; size++) {
                char back[SIZE];

                g_assert_cmpint(small_file_replace(fixture->dirfd, "file", text, size), ==, 0);
                g_assert_cmpint(small_file_read_at(fixture->dirfd, "file", back, SIZE), ==,
                                size <= SIZE ? (ssize_t)size : -EFBIG);
                g_assert_true(size > SIZE || memcmp(text, back, size) == 0);
        }
}

static void test_offset(Fixture *fixture, gconstpointer data _unused_)
{
        _cleanup_fd_ int fd = -1;
        char back[SIZE];

        g_assert_cmpint(small_file_replace(fixture->dirfd, "file", "text", 4), ==, 0);
        fd = openat(fixture->dirfd, "file", O_RDONLY | O_CLOEXEC);
        for (int i = 0; i < 3; i++) {
                g_assert_cmpint(small_file_read(fd, back, SIZE), ==, 4);
                g_assert_true(memcmp(back, "text", 4) == 0);
                g_assert_cmpint(lseek(fd, i, SEEK_SET), ==, i);
        }
}

/* Who has the file open goes on reading what was there. */
static void test_replaces(Fixture *fixture, gconstpointer data _unused_)
{
        _cleanup_fd_ int fd = -1;
        char back[SIZE];

        g_assert_cmpint(small_file_replace(fixture->dirfd, "file", "old", 3), ==, 0);
        fd = openat(fixture->dirfd, "file", O_RDONLY | O_CLOEXEC);
        g_assert_cmpint(small_file_replace(fixture->dirfd, "file", "young", 5), ==, 0);
        g_assert_cmpint(small_file_read(fd, back, SIZE), ==, 3);
        g_assert_cmpint(small_file_read_at(fixture->dirfd, "file", back, SIZE), ==, 5);
}

static void test_mode(Fixture *fixture, gconstpointer data _unused_)
{
        const mode_t mask = umask(0077);
        struct stat status;

        g_assert_cmpint(small_file_replace(fixture->dirfd, "file", "text", 4), ==, 0);
        g_assert_cmpint(fstatat(fixture->dirfd, "file", &status, AT_SYMLINK_NOFOLLOW), ==, 0);
        g_assert_cmpuint(status.st_mode & 07777, ==, 0644);
        umask(mask);
}

/* With what is left of a replacement that was cut short. */
static void test_remove(Fixture *fixture, gconstpointer data _unused_)
{
        g_assert_cmpint(small_file_remove(fixture->dirfd, "file"), ==, 0);
        g_assert_cmpint(small_file_replace(fixture->dirfd, "file", "text", 4), ==, 0);
        g_assert_cmpint(symlinkat("nowhere", fixture->dirfd, ".file.new"), ==, 0);
        g_assert_cmpint(small_file_remove(fixture->dirfd, "file"), ==, 0);
        for (int i = 0; i < 2; i++)
                g_assert_cmpint(unlinkat(fixture->dirfd, i == 0 ? "file" : ".file.new", 0), <, 0);
}

static void test_refuses(Fixture *fixture, gconstpointer data _unused_)
{
        g_autofree char *longest = g_strnfill(SMALL_FILE_NAME_MAX, 'n');
        g_autofree char *longer = g_strnfill(SMALL_FILE_NAME_MAX + 1, 'n');
        char back[SIZE];

        g_assert_cmpint(small_file_read_at(fixture->dirfd, "file", back, SIZE), ==, -ENOENT);
        g_assert_cmpint(symlinkat("/dev/zero", fixture->dirfd, "file"), ==, 0);
        g_assert_cmpint(small_file_read_at(fixture->dirfd, "file", back, SIZE), ==, -ELOOP);
        g_assert_cmpint(small_file_replace(fixture->dirfd, longer, "", 0), ==, -ENAMETOOLONG);
        g_assert_cmpint(small_file_replace(fixture->dirfd, longest, "", 0), ==, 0);
        g_assert_cmpint(unlinkat(fixture->dirfd, longest, 0), ==, 0);
}

#define add(name, function) g_test_add(name, Fixture, NULL, fixture_init, function, fixture_clear)

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        add("/small-file/sizes", test_sizes);
        add("/small-file/offset", test_offset);
        add("/small-file/replaces", test_replaces);
        add("/small-file/mode", test_mode);
        add("/small-file/remove", test_remove);
        add("/small-file/refuses", test_refuses);
        return g_test_run();
}
