/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "common/device-name.h"

static const Launch example = {
        .uuid = "01234567-89ab-cdef-0123-456789ABCDEF",
        .server = 3,
        .base = 0x2000200,
        .irq = 33,
        .device_id = 2,
        .memory_kib = 4 << 20,
        .grant_usage = true,
};

#define UUID_LINE "UUID=01234567-89ab-cdef-0123-456789abcdef\n"
#define GOOD_LINES                                                                                 \
        "VERSION=1\n" UUID_LINE "SERVER=3\nBASE=0x2000200\nIRQ=33\nDEVICE_ID=2\n"                  \
        "MEMORY_KIB=4194304\nGRANT_USAGE=1\n"

static void assert_launch_equal(const Launch *a, const Launch *b)
{
        g_assert_cmpstr(a->uuid, ==, b->uuid);
        g_assert_cmpuint(a->server, ==, b->server);
        g_assert_cmphex(a->base, ==, b->base);
        g_assert_cmpuint(a->irq, ==, b->irq);
        g_assert_cmpuint(a->device_id, ==, b->device_id);
        g_assert_cmpuint(a->memory_kib, ==, b->memory_kib);
        g_assert_cmpint(a->grant_usage, ==, b->grant_usage);
}

static void test_round_trip(void)
{
        Launch most = example, launches[2];

        most.server = UINT16_MAX;
        most.base = (UINT64_C(1) << 48) - VIRTIO_MMIO_RANGE_SIZE;
        most.irq = 1019;
        most.device_id = 63;
        most.memory_kib = UINT64_C(1019) << 20;
        most.grant_usage = false;
        launches[0] = example;
        launches[1] = most;

        for (size_t i = 0; i < G_N_ELEMENTS(launches); i++) {
                char text[LAUNCH_FILE_LIMIT];
                int length = launch_format(&launches[i], text, sizeof(text));
                Launch back;

                g_assert_cmpint(length, >, 0);
                g_assert_cmpint(launch_parse(text, (size_t)length, &back, NULL), ==, 0);
                assert_launch_equal(&back, &launches[i]);
                g_assert_cmpint(launch_format(&launches[i], text, (size_t)length), ==, -ENOSPC);
        }
}

static void test_accepts(void)
{
        static const char *const texts[] = {
                GOOD_LINES, "\n\n" GOOD_LINES "\n", /* empty lines */
                "GRANT_USAGE=0\nMEMORY_KIB=4\nDEVICE_ID=63\nIRQ=1019\nBASE=512\nSERVER=0\n"
                "UUID=FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF\nVERSION=1", /* any order, no last \n */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                Launch launch;

                g_test_message("%s", texts[i]);
                g_assert_cmpint(launch_parse(texts[i], strlen(texts[i]), &launch, NULL), ==, 0);
        }
}

/* The good text, with the line of a key replaced. */
static char *text_with(const char *key, const char *line)
{
        g_auto(GStrv) lines = g_strsplit(GOOD_LINES, "\n", -1);

        for (char **entry = lines; *entry; entry++) {
                if (g_str_has_prefix(*entry, key) && (*entry)[strlen(key)] == '=') {
                        g_free(*entry);
                        *entry = g_strdup(line);
                }
        }
        return g_strjoinv("\n", lines);
}

static void test_bad_values(void)
{
        static const struct {
                const char *key, *line;
                int result;
        } cases[] = {
                { "VERSION", "", -EINVAL },
                { "VERSION", "VERSION=0", -EPROTO },
                { "VERSION", "VERSION=2", -EPROTO },
                { "VERSION", "VERSION=", -EINVAL },
                { "VERSION", "VERSION=1.0", -EINVAL },
                { "VERSION", "VERSION=1\r", -EINVAL },
                { "VERSION", "VERSION=1\nVERSION=1", -EINVAL },
                { "UUID", "", -EINVAL },
                { "UUID", "UUID=", -EINVAL },
                { "UUID", "UUID=01234567-89ab-cdef-0123-456789abcde", -EINVAL },
                { "UUID", "UUID=01234567-89ab-cdef-0123-456789abcdef0", -EINVAL },
                { "UUID", "UUID=01234567089ab0cdef001230456789abcdef", -EINVAL },
                { "UUID", "UUID=0123456-789ab-cdef-0123-456789abcdef", -EINVAL },
                { "UUID", "UUID=0123456g-89ab-cdef-0123-456789abcdef", -EINVAL },
                { "UUID", "UUID=../../etc/passwd-0123-456789abcdef..", -EINVAL },
                { "SERVER", "", -EINVAL },
                { "SERVER", "SERVER=-1", -EINVAL },
                { "SERVER", "SERVER=65536", -ERANGE },
                { "SERVER", "SERVER= 3", -EINVAL },
                { "SERVER", "SERVER=3\nSERVER=4", -EINVAL },
                { "BASE", "BASE=0", -ERANGE },
                { "BASE", "BASE=0x2000201", -EINVAL },
                { "BASE", "BASE=0x1000000000000", -ERANGE },
                { "BASE", "BASE=0xffffffffffffffff", -ERANGE },
                { "BASE", "BASE=2000200h", -EINVAL },
                { "IRQ", "IRQ=31", -ERANGE },
                { "IRQ", "IRQ=1020", -ERANGE },
                { "IRQ", "IRQ=4294967329", -ERANGE }, /* 33, if it were cut to 32 bits */
                { "DEVICE_ID", "DEVICE_ID=0", -ERANGE },
                { "DEVICE_ID", "DEVICE_ID=64", -ERANGE },
                { "MEMORY_KIB", "MEMORY_KIB=0", -ERANGE },
                { "MEMORY_KIB", "MEMORY_KIB=5", -EINVAL },
                { "MEMORY_KIB", "MEMORY_KIB=1068498948", -ERANGE },
                { "MEMORY_KIB", "MEMORY_KIB=18446744073709551616", -ERANGE },
                { "GRANT_USAGE", "GRANT_USAGE=2", -ERANGE },
                { "GRANT_USAGE", "GRANT_USAGE=yes", -EINVAL },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *text = text_with(cases[i].key, cases[i].line);
                Launch launch = example;
                const char *key = NULL;

                g_test_message("%s: \"%s\"", cases[i].key, cases[i].line);
                g_assert_cmpint(launch_parse(text, strlen(text), &launch, &key), ==,
                                cases[i].result);
                g_assert_cmpstr(key, ==, cases[i].key);
                assert_launch_equal(&launch, &example); /* untouched */
        }
}

static void test_bad_texts(void)
{
        static const char *const texts[] = {
                "",
                "\n",
                "=",
                "=1\n",
                "VERSION\n" GOOD_LINES,
                " " GOOD_LINES,
                GOOD_LINES "EXTRA=1\n",
                GOOD_LINES "irq=33\n",
                GOOD_LINES "IRQ =33\n",
                GOOD_LINES "# comment\n",
                GOOD_LINES "[section]\n",
                "\xef\xbb\xbf" GOOD_LINES, /* a byte order mark */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                const char *key = NULL;
                Launch launch;

                g_test_message("%s", texts[i]);
                g_assert_cmpint(launch_parse(texts[i], strlen(texts[i]), &launch, &key), ==,
                                -EINVAL);
                g_assert_nonnull(key);
        }
}

static void test_bad_sizes(void)
{
        g_autofree char *long_text = g_strnfill(LAUNCH_FILE_LIMIT + 1, '\n');
        char with_nul[] = GOOD_LINES;
        Launch launch;

        /* Every shorter text lacks a key or ends within one; only the last newline is optional. */
        for (size_t size = 0; size < strlen(GOOD_LINES) - 1; size++)
                g_assert_cmpint(launch_parse(GOOD_LINES, size, &launch, NULL), <, 0);

        memcpy(long_text, GOOD_LINES, strlen(GOOD_LINES));
        g_assert_cmpint(launch_parse(long_text, LAUNCH_FILE_LIMIT, &launch, NULL), ==, 0);
        g_assert_cmpint(launch_parse(long_text, LAUNCH_FILE_LIMIT + 1, &launch, NULL), ==, -EINVAL);

        with_nul[sizeof(with_nul) - 2] = '\0';
        g_assert_cmpint(launch_parse(with_nul, sizeof(with_nul) - 1, &launch, NULL), ==, -EINVAL);
}

/* Random bytes put into a good text: the result may be anything, but an accepted one is in range.
 */
static void test_mutations(void)
{
        static const char bytes[] = "\n\r\0=+- 0123456789abxX/%\xff";

        for (unsigned int i = 0; i < 200000; i++) {
                char text[] = GOOD_LINES;
                Launch launch;

                for (int n = g_test_rand_int_range(1, 4); n > 0; n--)
                        text[g_test_rand_int_range(0, sizeof(text) - 1)] =
                                bytes[g_test_rand_int_range(0, sizeof(bytes) - 1)];
                if (launch_parse(text, sizeof(text) - 1, &launch, NULL) < 0)
                        continue;
                g_assert_cmpuint(launch.base % VIRTIO_MMIO_RANGE_SIZE, ==, 0);
                g_assert_cmpuint(launch.irq, >=, 32);
                g_assert_cmpuint(launch.irq, <=, 1019);
                g_assert_cmpuint(launch.device_id - 1, <, 63);
                g_assert_cmpuint(launch.memory_kib - 4, <=, UINT64_C(1019) << 20);
        }
}

static void test_file(void)
{
        g_autofree char *folder = g_dir_make_tmp("test-launch-XXXXXX", NULL);
        g_autofree char *path = g_build_filename(folder, LAUNCH_FILE, NULL);
        g_autofree char *large = g_strnfill(LAUNCH_FILE_LIMIT + 1, '\n');
        _cleanup_fd_ int dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const char *key;
        Launch back;

        g_assert_cmpint(launch_read(dirfd, &back, &key), ==, -ENOENT);
        g_assert_cmpint(launch_write(dirfd, &example), ==, 0);
        g_assert_cmpint(launch_write(dirfd, &example), ==, 0);
        g_assert_cmpint(launch_read(dirfd, &back, &key), ==, 0);
        assert_launch_equal(&back, &example);

        g_assert_true(g_file_set_contents(path, large, LAUNCH_FILE_LIMIT + 1, NULL));
        g_assert_cmpint(launch_read(dirfd, &back, &key), ==, -EFBIG);

        g_assert_cmpint(g_remove(path), ==, 0);
        g_assert_cmpint(symlink("/dev/zero", path), ==, 0);
        g_assert_cmpint(launch_read(dirfd, &back, &key), ==, -ELOOP);

        g_assert_cmpint(g_remove(path), ==, 0);
        g_assert_cmpint(g_rmdir(folder), ==, 0); /* nothing else was left in it */
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/launch/round-trip", test_round_trip);
        g_test_add_func("/launch/accepts", test_accepts);
        g_test_add_func("/launch/bad-values", test_bad_values);
        g_test_add_func("/launch/bad-texts", test_bad_texts);
        g_test_add_func("/launch/bad-sizes", test_bad_sizes);
        g_test_add_func("/launch/mutations", test_mutations);
        g_test_add_func("/launch/file", test_file);
        return g_test_run();
}
