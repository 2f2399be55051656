/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/dropin.h"

#define UNIT        "xen-virtio-backend@5-disk-51712.service"
#define UNIT_FOLDER UNIT ".d"
#define UNIT_FILE   UNIT_FOLDER "/50-device.conf"

/* The text for a command of one argument, and that argument as systemd.syntax(7) writes it. */
static const struct {
        const char *word;
        const char *quoted;
} words[] = {
        { "plain", "\"plain\"" },
        { "", "\"\"" },
        { "two words", "\"two words\"" },
        { "50%", "\"50%%\"" },
        { "%i %% %n", "\"%%i %%%% %%n\"" },
        { "say \"x\"", "\"say \\\"x\\\"\"" },
        { "it's", "\"it's\"" },
        { "back\\slash", "\"back\\\\slash\"" },
        { "end\\", "\"end\\\\\"" },
        { "\\n", "\"\\\\n\"" },
        { "$HOME ${HOME}", "\"$HOME ${HOME}\"" },
        { ";", "\";\"" },
        { "#", "\"#\"" },
        { "-@:+!", "\"-@:+!\"" },
        { "a,b=c", "\"a,b=c\"" },
        { "\xc3\xa4", "\"\xc3\xa4\"" },
};

static void test_quoting(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
                g_autofree char *text = NULL, *expected = NULL;
                Dropin dropin;

                g_test_message("%s", words[i].word);
                dropin_init(&dropin);
                dropin_add(&dropin, DROPIN_COMMAND, g_strdup("/bin/p"));
                dropin_add(&dropin, DROPIN_COMMAND, g_strdup(words[i].word));
                dropin_add(&dropin, DROPIN_READ_WRITE_PATH, g_strdup(words[i].word));
                text = dropin_format(&dropin);
                expected = g_strdup_printf("[Service]\nExecStart=:\"/bin/p\" %s\n"
                                           "ReadWritePaths=%s\n",
                                           words[i].quoted, words[i].quoted);
                g_assert_true(g_str_has_suffix(text, expected));
                dropin_clear(&dropin);
        }
}

static void test_keys(void)
{
        g_autofree char *text = NULL;
        Dropin dropin;

        dropin_init(&dropin);
        dropin_add(&dropin, DROPIN_COMMAND, g_strdup("/bin/p"));
        dropin_add(&dropin, DROPIN_ENVIRONMENT, g_strdup("A=1 2"));
        dropin_add(&dropin, DROPIN_ENVIRONMENT, g_strdup("B="));
        dropin_add(&dropin, DROPIN_READ_ONLY_PATH, g_strdup("/r"));
        dropin_add(&dropin, DROPIN_READ_WRITE_DEVICE, g_strdup("/dev/w"));
        dropin_add(&dropin, DROPIN_READ_ONLY_DEVICE, g_strdup("/dev/r"));
        dropin_add(&dropin, DROPIN_LINE, g_strdup("A=%i \"b\""));
        text = dropin_format(&dropin);
        g_assert_cmpstr(strstr(text, "[Service]"), ==,
                        "[Service]\n"
                        "ExecStart=:\"/bin/p\"\n"
                        "Environment=\"A=1 2\"\n"
                        "Environment=\"B=\"\n"
                        "ReadOnlyPaths=\"/r\"\n"
                        "DeviceAllow=\"/dev/w\" rw\n"
                        "DeviceAllow=\"/dev/r\" r\n"
                        "A=%i \"b\"\n");
        dropin_clear(&dropin);
}

static uint64_t folder_time(int dirfd)
{
        struct stat st;

        g_assert_cmpint(fstat(dirfd, &st), ==, 0);
        return (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
}

static void test_files(void)
{
        g_autofree char *folder = g_dir_make_tmp("test-dropin-XXXXXX", NULL);
        g_autofree char *file = g_build_filename(folder, UNIT_FILE, NULL);
        g_autofree char *text = NULL, *later = NULL;
        int dirfd = open(folder, O_RDONLY | O_DIRECTORY);
        uint64_t before;

        g_assert_cmpint(dropin_remove(dirfd, UNIT), ==, 0);
        g_assert_cmpint(dropin_write(dirfd, UNIT, "[Service]\n"), ==, 0);
        g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "[Service]\n");

        /* The same again leaves everything as it is; something else replaces it. */
        before = folder_time(dirfd);
        g_assert_cmpint(dropin_write(dirfd, UNIT, "[Service]\n"), ==, 0);
        g_assert_cmpuint(folder_time(dirfd), ==, before);
        g_assert_cmpint(dropin_write(dirfd, UNIT, "[Service]\nA=b\n"), ==, 0);
        g_assert_true(g_file_get_contents(file, &later, NULL, NULL));
        g_assert_cmpstr(later, ==, "[Service]\nA=b\n");

        g_assert_cmpint(dropin_remove(dirfd, UNIT), ==, 0);
        g_assert_cmpint(dropin_remove(dirfd, UNIT), ==, 0);
        g_assert_false(g_file_test(file, G_FILE_TEST_EXISTS));
        close(dirfd);
        g_assert_cmpint(g_rmdir(folder), ==, 0);
}

/* systemd tells folders apart by their time to the microsecond: each drop-in has to change it. */
static void test_each_changes_the_time(void)
{
        g_autofree char *folder = g_dir_make_tmp("test-dropin-XXXXXX", NULL);
        int dirfd = open(folder, O_RDONLY | O_DIRECTORY);
        uint64_t before = folder_time(dirfd) / 1000;

        for (uint32_t devid = 0; devid < 50; devid++) {
                g_autofree char *unit = g_strdup_printf("backend@%u.service", devid);
                uint64_t after;

                g_assert_cmpint(dropin_write(dirfd, unit, "[Service]\n"), ==, 0);
                after = folder_time(dirfd) / 1000;
                g_assert_cmpuint(after, !=, before);
                before = after;
        }
        for (uint32_t devid = 0; devid < 50; devid++) {
                g_autofree char *unit = g_strdup_printf("backend@%u.service", devid);

                dropin_remove(dirfd, unit);
        }
        close(dirfd);
        g_assert_cmpint(g_rmdir(folder), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/dropin/quoting", test_quoting);
        g_test_add_func("/dropin/keys", test_keys);
        g_test_add_func("/dropin/files", test_files);
        g_test_add_func("/dropin/each-changes-the-time", test_each_changes_the_time);
        return g_test_run();
}
