/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <string.h>

#include "orchestrator/discovery.h"
#include "orchestrator/profile-list.h"
#include "tests/unit/orchestrator/folder.h"

static const char *const none[] = { NULL };

static void ignore(void *userdata G_GNUC_UNUSED, const char *problem)
{
        g_test_message("%s", problem);
}

static Profile *parse(const char *text)
{
        return discovery_parse("/d/50-x.json", text, strlen(text));
}

static void test_good(void)
{
        g_autoptr(Profile) profile =
                parse("{\n  \"description\": \"a \\\"type\\\": \\\"net\\\" thing\",\n"
                      "  \"tags\": [ \"type\", \"a=b\" ],\n  \"x\": { \"type\": 3 },\n"
                      "  \"type\": \"fs\",\n"
                      "  \"features\": [ \"migrate-precopy\" ],\n"
                      "  \"binary\": \"/opt/100%/virtiofsd\"\n}\n");

        g_assert_cmpstr(profile->problem, ==, NULL);
        g_assert_cmpstr(profile->name, ==, "50-x");
        g_assert_cmpuint(profile->device_id, ==, 26);
        g_assert_cmpuint(g_strv_length(profile->command), ==, 2);
        g_assert_cmpstr(profile->command[0], ==, "/opt/100%%/virtiofsd");
        g_assert_cmpstr(profile->command[1], ==, "--socket-path=%{socket}");
        g_assert_cmpuint(profile->command_at.line, ==, 7);
        g_assert_cmpuint(profile->command_at.column, ==, 3);
        g_assert_null(parse(""));
}

/* All the types of QEMU's list. */
static void test_types(void)
{
        static const struct {
                const char *type;
                uint32_t id;
        } types[] = {
                { "9p", 9 },      { "balloon", 5 }, { "block", 2 }, { "caif", 12 },
                { "console", 3 }, { "crypto", 20 }, { "gpu", 16 },  { "input", 18 },
                { "net", 1 },     { "rng", 4 },     { "rpmsg", 7 }, { "rproc-serial", 11 },
                { "scsi", 8 },    { "vsock", 19 },  { "fs", 26 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
                g_autofree char *text =
                        g_strdup_printf("{\"type\": \"%s\", \"binary\": \"/b\"}", types[i].type);
                g_autoptr(Profile) profile = parse(text);

                g_assert_cmpstr(profile->problem, ==, NULL);
                g_assert_cmpuint(profile->device_id, ==, types[i].id);
        }
}

static void test_block(void)
{
        g_autoptr(Profile) profile = parse("{\"type\": \"block\", \"binary\": \"/b\"}");

        g_assert_cmpstr(profile->command[2], ==, "--blk-file=%{disk.path}");
        g_assert_null(profile->command[3]);
        g_assert_cmpstr(profile->read_write_paths[0], ==, "%{disk.path}");
}

/* Each costs one message that begins like this. */
static const struct {
        const char *text;
        const char *problem;
} bad[] = {
        { " ", "1:1: this is no object" },
        { "[]", "1:1: this is no object" },
        { "\"fs\"", "1:1: this is no object" },
        { "{", "1:" },
        { "{\n  \"type\": \"fs\",\n  \"binary\" \"/b\" }", "3:" },
        { "{\n  \"type\": \"fs\",\n  \"binary\": /b }", "3:" },
        { "{ \"type\": \"fs\", \"binary\": \"/b\" ", "1:" },
        { "{ \"type\": \"fs\", \"binary\": \"/\xff\" }", "1:" },
        { "{ \"binary\": \"/b\" }", "1:1: type: the member is missing, or no string" },
        { "{\n  \"type\": 26, \"binary\": \"/b\" }",
          "2:3: type: the member is missing, or no string" },
        { "{ \"type\": \"floppy\", \"binary\": \"/b\" }",
          "1:3: type: \"floppy\" is no virtio device type" },
        { "{ \"type\": \"\", \"binary\": \"/b\" }", "1:3: type: \"\" is no virtio device type" },
        { "{ \"type\": \"26\", \"binary\": \"/b\" }",
          "1:3: type: \"26\" is no virtio device type" },
        { "{ \"type\": \"fs\" }", "1:1: binary: the member is missing, or no string" },
        { "{ \"type\": \"fs\",\n\"binary\": [ ] }",
          "2:1: binary: the member is missing, or no string" },
        { "{ \"type\": \"fs\",\n\"binary\": null }",
          "2:1: binary: the member is missing, or no string" },
        { "{ \"type\": \"fs\",\n\"binary\": \"virtiofsd\" }",
          "2:1: binary: \"virtiofsd\" is not an absolute path" },
        { "{ \"type\": \"fs\",\n\"binary\": \"/a\\nb\" }",
          "2:1: binary: \"/a?b\" is not an absolute path" },
        { "[[[[[[[[[[[[[[[[[[[[", "1:1: nested more than 16 times" },
};

static void test_bad(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *expected = g_strconcat("/d/50-x.json:", bad[i].problem, NULL);
                g_autoptr(Profile) profile = parse(bad[i].text);

                g_test_message("%s", profile->problem);
                g_assert_nonnull(profile->problem);
                g_assert_cmpint(strncmp(profile->problem, expected, strlen(expected)), ==, 0);
                g_assert_false(profile->problem[strlen(profile->problem) - 1] == '\n');
        }
}

#define GPU(binary) "{\"description\": \"d\", \"type\": \"gpu\", \"binary\": \"" binary "\"}"

/* The names of the profiles, in their order. */
static char *names(const char *const *folders)
{
        g_autoptr(Profiles) profiles = profiles_load(none, folders, ignore, NULL);
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned int i = 0; i < profiles_count(profiles); i++)
                g_string_append_printf(text, "%s%s", i == 0 ? "" : " ",
                                       profiles_get(profiles, i)->command[0]);
        return g_string_free(g_steal_pointer(&text), FALSE);
}

/*
 * The rules of docs/interop/vhost-user.json, as libvirt tests them: sorted by name over all
 * folders, a file of the same name in a more specific folder takes effect, an empty one hides.
 */
static void test_precedence(void)
{
        g_autofree char *home = folder_make(), *etc = folder_make(), *usr = folder_make();
        const char *const folders[] = { home, etc, usr, NULL };
        g_autofree char *found = NULL;

        folder_put(usr, "30-gpu.json", GPU("/usr/30"));
        folder_put(usr, "50-gpu.json", GPU("/usr/50"));
        folder_put(usr, "60-gpu.json", GPU("/usr/60"));
        folder_put(etc, "40-gpu.json", GPU("/etc/40"));
        folder_put(etc, "50-gpu.json", GPU("/etc/50"));
        folder_put(home, "50-gpu.json", "");
        folder_put(usr, ".40-hidden.json", GPU("/usr/hidden"));
        folder_put(usr, "70-other-suffix", GPU("/usr/70"));
        found = names(folders);
        g_assert_cmpstr(found, ==, "/usr/30 /etc/40 /usr/60 /usr/70");

        /* The specification's own examples. */
        folder_put(etc, "30-gpu.json", "");
        folder_put(etc, "99-gpu.json", GPU("/etc/99"));
        folder_put(etc, "10-gpu.json", GPU("/etc/10"));
        folder_put(etc, "60-gpu.json", GPU("/etc/60"));
        g_free(found);
        found = names(folders);
        g_assert_cmpstr(found, ==, "/etc/10 /etc/40 /etc/60 /usr/70 /etc/99");

        folder_remove(home);
        folder_remove(etc);
        folder_remove(usr);
}

/* Only types without a profile are looked for here; by name all are to be had. */
static void test_behind_profiles(void)
{
        g_autofree char *own = folder_make(), *qemu = folder_make();
        const char *const own_folders[] = { own, NULL }, *const qemu_folders[] = { qemu, NULL };
        g_autoptr(Profiles) profiles = NULL;

        folder_put(own, "z.conf", "[Backend]\nType=gpu\nExecStart=/own\n");
        folder_put(qemu, "10-gpu.json", GPU("/gpu"));
        folder_put(qemu, "50-fs.json", "{\"type\": \"fs\", \"binary\": \"/fs\"}");
        folder_put(qemu, "40-broken.json", "{");
        profiles = profiles_load(own_folders, qemu_folders, ignore, NULL);
        g_assert_cmpstr(profiles_find(profiles, 16)->command[0], ==, "/own");
        g_assert_cmpstr(profiles_find(profiles, 26)->command[0], ==, "/fs");
        g_assert_cmpstr(profiles_find_name(profiles, "10-gpu")->command[0], ==, "/gpu");
        folder_remove(own);
        folder_remove(qemu);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/discovery/good", test_good);
        g_test_add_func("/discovery/types", test_types);
        g_test_add_func("/discovery/block", test_block);
        g_test_add_func("/discovery/bad", test_bad);
        g_test_add_func("/discovery/precedence", test_precedence);
        g_test_add_func("/discovery/behind-profiles", test_behind_profiles);
        return g_test_run();
}
