/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <string.h>

#include "orchestrator/file-view.h"

#define SEE_ALL                                                                                    \
        "TemporaryFileSystem=|TemporaryFileSystem=/run:ro,mode=0755|ProtectHome=read-only|"        \
        "PrivateDevices=no"
#define CAN_WRITE                                                                                  \
        "CapabilityBoundingSet=\"CAP_DAC_OVERRIDE\"|AmbientCapabilities=\"CAP_DAC_OVERRIDE\"|"
#define CAN_READ                                                                                   \
        "CapabilityBoundingSet=\"CAP_DAC_READ_SEARCH\"|"                                           \
        "AmbientCapabilities=\"CAP_DAC_READ_SEARCH\"|"

#define HIDDEN                                                                                     \
        "TemporaryFileSystem=\"/data:ro,mode=0755\"|TemporaryFileSystem=\"/srv:ro,mode=0755\""

static const char *const folders[] = { "/bin", "/data", "/dev", "/o:dd", "/proc",
                                       "/run", "/srv",  "/usr", NULL };

/* Paths, divided by spaces, and the lines that they make, divided by bars. */
static const struct {
        const char *write, *read;
        const char *lines;
} views[] = {
        { "", "", HIDDEN },
        { "/data/a.img", "", CAN_WRITE HIDDEN "|BindPaths=\"/data/a.img\"" },
        { "", "/data/a.img", CAN_READ HIDDEN "|BindReadOnlyPaths=\"/data/a.img\"" },
        { "/data/a /srv", "/file /usr/share/x",
          CAN_WRITE HIDDEN "|BindPaths=\"/data/a\"|BindPaths=\"/srv\"|"
                           "BindReadOnlyPaths=\"/file\"|BindReadOnlyPaths=\"/usr/share/x\"" },
        { "/data/50%,a", "", CAN_WRITE HIDDEN "|BindPaths=\"/data/50%%,a\"" },
        /* What systemd cannot bind. */
        { "/dev/disk/by-path/pci-0000:00", "", CAN_WRITE SEE_ALL },
        { "/data/a", "/data/\"", CAN_WRITE SEE_ALL },
        { "", "/data/'", CAN_READ SEE_ALL },
        { "", "/data/\\", CAN_READ SEE_ALL },
        { "", "/", CAN_READ SEE_ALL },
        { "", "-/data/a", CAN_READ SEE_ALL },
        { "", "/data/../etc", CAN_READ SEE_ALL },
        { "", "/data/..", CAN_READ SEE_ALL },
};

static void add_words(Dropin *dropin, DropinKey key, const char *text)
{
        g_auto(GStrv) words = g_strsplit(text, " ", -1);

        for (char **word = words; *text != '\0' && *word; word++)
                dropin_add(dropin, key, g_strdup(*word));
}

static void test_views(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(views); i++) {
                g_autofree char *text = NULL;
                Dropin dropin;

                dropin_init(&dropin);
                add_words(&dropin, DROPIN_READ_WRITE_PATH, views[i].write);
                add_words(&dropin, DROPIN_READ_ONLY_PATH, views[i].read);
                file_view_add(&dropin, folders);
                g_ptr_array_add(dropin.words[DROPIN_LINE], NULL);
                text = g_strjoinv("|", (char **)dropin.words[DROPIN_LINE]->pdata);
                g_assert_cmpstr(text, ==, views[i].lines);
                dropin_clear(&dropin);
        }
}

static void test_programs(void)
{
        g_assert_true(file_view_has("/usr/bin/x"));
        g_assert_true(file_view_has("/bin/x"));
        g_assert_true(file_view_has("/lib"));
        g_assert_false(file_view_has("/opt/x"));
        g_assert_false(file_view_has("/usrx/x"));
}

static void test_folders(void)
{
        g_auto(GStrv) found = file_view_folders();

        g_assert_true(g_strv_contains((const char *const *)found, "/usr"));
        g_assert_true(g_strv_contains((const char *const *)found, "/proc"));
        for (char **folder = found; *folder; folder++) {
                g_assert_true(g_file_test(*folder, G_FILE_TEST_IS_DIR));
                g_assert_false(g_file_test(*folder, G_FILE_TEST_IS_SYMLINK));
                g_assert_true(folder == found || strcmp(folder[-1], *folder) < 0);
        }
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/file-view/views", test_views);
        g_test_add_func("/file-view/programs", test_programs);
        g_test_add_func("/file-view/folders", test_folders);
        return g_test_run();
}
