/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "orchestrator/configuration.h"
#include "orchestrator/paths.h"
#include "tests/unit/orchestrator/folder.h"

static const struct {
        const char *text;
        unsigned int reserved;
        const char *problem; /* behind the path, or NULL */
} cases[] = {
        { "", 1, NULL },
        { "# nothing\n[Daemon]\n", 1, NULL },
        { "[Daemon]\nReservedServers=0\n", 0, NULL },
        { "[Daemon]\n ReservedServers = 7 \n", 7, NULL },
        { "[Daemon]\nReservedServers=8\n", 1,
          ":2:17: ReservedServers: \"8\" is no number from 0 to 7" },
        { "[Daemon]\nReservedServers=\n", 1,
          ":2:17: ReservedServers: \"\" is no number from 0 to 7" },
        { "[Daemon]\nReservedServers=two\n", 1,
          ":2:17: ReservedServers: \"two\" is no number from 0 to 7" },
        { "[Daemon]\nReservedServers=-1\n", 1,
          ":2:17: ReservedServers: \"-1\" is no number from 0 to 7" },
        { "[Daemon]\nReservedServers=2\nReserved=2\n", 1, ":3:1: Reserved: unknown key" },
        { "[Daemons]\nReservedServers=2\n", 1, ":1:2: Daemons: unknown section" },
        { "ReservedServers=2\n", 1, ":1:1: " },
        { "[Daemon]\nReaders=nobody-has-this-group\n", 1,
          ":2:9: Readers: \"nobody-has-this-group\" is neither" },
};

static void collect(void *userdata, const char *problem)
{
        g_ptr_array_add(userdata, g_strdup(problem));
}

/* A mistake is one message, and leaves what was there. */
static void test_texts(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
                g_autoptr(Configuration) configuration = NULL;
                g_autofree char *root = folder_make(), *expected = NULL;

                g_test_message("%s", cases[i].text);
                folder_put(root, SYSCONFDIR "/" SETTINGS_FILE, cases[i].text);
                configuration = configuration_load(root, collect, problems);
                g_assert_cmpuint(configuration->settings.reserved_servers, ==, cases[i].reserved);
                g_assert_cmpuint(problems->len, ==, cases[i].problem ? 1 : 0);
                if (cases[i].problem) {
                        expected = g_strconcat(root, SYSCONFDIR "/" SETTINGS_FILE, cases[i].problem,
                                               NULL);
                        g_assert_true(g_str_has_prefix(problems->pdata[0], expected));
                }
                folder_remove(root);
        }
}

/* A mistake anywhere lets nobody look: it may have been meant to. */
static void test_readers(void)
{
        static const struct {
                const char *text;
                ReadersKind kind;
        } readers[] = {
                { "", READERS_EVERYBODY },
                { "[Daemon]\nReservedServers=2\n", READERS_EVERYBODY },
                { "[Daemon]\nReaders=everybody\n", READERS_EVERYBODY },
                { "[Daemon]\nReaders=root\n", READERS_ROOT },
                { "[Daemon]\nReaders=daemon\n", READERS_GROUP },
                { "[Daemon]\nReaders=\n", READERS_ROOT },
                { "[Daemon]\nReaders=Everybody\n", READERS_ROOT },
                { "[Daemon]\nReservedServers=9\n", READERS_ROOT },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(readers); i++) {
                g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
                g_autoptr(Configuration) configuration = NULL;
                g_autofree char *root = folder_make();

                folder_put(root, SYSCONFDIR "/" SETTINGS_FILE, readers[i].text);
                configuration = configuration_load(root, collect, problems);
                g_assert_cmpint(configuration->settings.readers.kind, ==, readers[i].kind);
                folder_remove(root);
        }
}

/* The administrator's file counts instead of the distribution's. */
static void test_folders(void)
{
        g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(Configuration) none = NULL, one = NULL, both = NULL;
        g_autofree char *root = folder_make();

        none = configuration_load(root, collect, problems);
        g_assert_cmpuint(none->settings.reserved_servers, ==, 1);
        folder_put(root, DATADIR "/" SETTINGS_FILE, "[Daemon]\nReservedServers=3\n");
        one = configuration_load(root, collect, problems);
        g_assert_cmpuint(one->settings.reserved_servers, ==, 3);
        folder_put(root, SYSCONFDIR "/" SETTINGS_FILE, "[Daemon]\nReservedServers=5\n");
        both = configuration_load(root, collect, problems);
        g_assert_cmpuint(both->settings.reserved_servers, ==, 5);
        g_assert_cmpuint(problems->len, ==, 0);
        folder_remove(root);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/settings/texts", test_texts);
        g_test_add_func("/settings/readers", test_readers);
        g_test_add_func("/settings/folders", test_folders);
        return g_test_run();
}
