/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "orchestrator/profile-list.h"

#define HEAD "[Backend]\nType=blk\n"
#define GOOD HEAD "ExecStart=/bin/p\n"

static Profile *parse(const char *text)
{
        g_autofree char *message = NULL;
        Profile *profile = NULL;
        int r = profile_parse("x.conf", text, strlen(text), &profile, &message);

        g_test_message("%s", message ? message : "no message");
        g_assert_cmpint(r, ==, 0);
        return profile;
}

static void test_good(void)
{
        g_autoptr(Profile) profile = parse(
                "# comment\n" HEAD "ExecStart=/bin/p --path '%{disk.path:qemu}, x' \"a b\" 1\\ 2 "
                "$HOME `x` *\n"
                "Memory=auto\n"
                "ReadWritePaths=%{disk.path} /var/lib/x\n"
                "ReadOnlyPaths=\n"
                "Environment=A=1 'B=2 3'\n");

        g_assert_cmpuint(profile->device_id, ==, 2);
        g_assert_cmpstr(profile->file, ==, "x.conf");
        g_assert_cmpuint(g_strv_length(profile->command), ==, 8);
        g_assert_cmpstr(profile->command[0], ==, "/bin/p");
        g_assert_cmpstr(profile->command[2], ==, "%{disk.path:qemu}, x");
        g_assert_cmpstr(profile->command[3], ==, "a b");
        g_assert_cmpstr(profile->command[4], ==, "1 2");
        g_assert_cmpstr(profile->command[5], ==, "$HOME");
        g_assert_cmpstr(profile->command[7], ==, "*");
        g_assert_cmpuint(g_strv_length(profile->read_write_paths), ==, 2);
        g_assert_cmpuint(g_strv_length(profile->read_only_paths), ==, 0);
        g_assert_cmpstr(profile->environment[1], ==, "B=2 3");
}

static void test_memory(void)
{
        static const struct {
                const char *line;
                MemoryChoice memory;
        } lines[] = {
                { "", MEMORY_AUTO },
                { "Memory=auto\n", MEMORY_AUTO },
                { "Memory=xen-mmap\n", MEMORY_XEN_MMAP },
                { "Memory=seed\n", MEMORY_SEED },
                { "Memory=preload\n", MEMORY_PRELOAD },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_autofree char *text = g_strconcat(GOOD, lines[i].line, NULL);
                g_autoptr(Profile) profile = parse(text);

                g_assert_cmpint(profile->memory, ==, lines[i].memory);
        }
}

static void test_types(void)
{
        static const struct {
                const char *text;
                uint32_t id;
        } types[] = { { "blk", 2 }, { "2", 2 }, { "0x22", 34 }, { "63", 63 } };

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
                g_autofree char *text =
                        g_strdup_printf("[Backend]\nType=%s\nExecStart=/bin/p\n", types[i].text);
                g_autoptr(Profile) profile = parse(text);

                g_assert_cmpuint(profile->device_id, ==, types[i].id);
        }
}

/* Each is refused with the file's name and this part in the message. */
static const struct {
        const char *text;
        const char *part;
} bad[] = {
        { "Type=blk\n", "x.conf" },
        { "[Backend\nType=blk\n", "x.conf" },
        { "[Backend]\nnonsense\n", "nonsense" },
        { "[Other]\nType=blk\n", "[Other]" },
        { GOOD "[Other]\nA=b\n", "[Other]" },
        { "# nothing but a comment\n", "Type" },
        { "[Backend]\n", "Type" },
        { "[Backend]\nExecStart=/bin/p\n", "Type" },
        { "[Backend]\nType=\nExecStart=/bin/p\n", "Type" },
        { "[Backend]\nType=disk\nExecStart=/bin/p\n", "disk" },
        { "[Backend]\nType=0\nExecStart=/bin/p\n", "Type" },
        { "[Backend]\nType=64\nExecStart=/bin/p\n", "Type" },
        { "[Backend]\nType=-2\nExecStart=/bin/p\n", "Type" },
        { HEAD, "ExecStart" },
        { HEAD "ExecStart=\n", "ExecStart" },
        { HEAD "ExecStart=p\n", "absolute" },
        { HEAD "ExecStart=%{socket}\n", "absolute" },
        { HEAD "ExecStart=/bin/p 'x\n", "ExecStart" },
        { HEAD "ExecStart=/bin/p \\\n", "ExecStart" },
        { HEAD "ExecStart=/bin/p %{disk.pat}\n", "%{disk.pat}" },
        { HEAD "ExecStart=/bin/p %i\n", "%i" },
        { HEAD "ExecStart=/bin/p %{socket\n", "}" },
        { HEAD "Execstart=/bin/p\n", "Execstart: unknown key" },
        { GOOD "Restart=no\n", "Restart: unknown key" },
        { GOOD "Memory=much\n", "much" },
        { GOOD "Memory=\n", "Memory" },
        { GOOD "ReadWritePaths=%{disc}\n", "ReadWritePaths: unknown variable %{disc}" },
        { GOOD "ReadOnlyPaths=\"\n", "ReadOnlyPaths" },
        { GOOD "Environment=A\n", "NAME=value" },
        { GOOD "Environment==x\n", "NAME=value" },
        { GOOD "Environment=A=%{x}\n", "%{x}" },
};

static void test_bad(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *message = NULL;
                Profile *profile = NULL;
                int r = profile_parse("x.conf", bad[i].text, strlen(bad[i].text), &profile,
                                      &message);

                g_test_message("%s → %s", bad[i].text, message);
                g_assert_cmpint(r, ==, -EINVAL);
                g_assert_null(profile);
                g_assert_true(g_str_has_prefix(message, "x.conf: "));
                g_assert_nonnull(strstr(message, bad[i].part));
        }
}

static void folder_put(const char *folder, const char *file, const char *text)
{
        g_autofree char *path = g_build_filename(folder, file, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void folder_remove(const char *folder)
{
        GDir *dir = g_dir_open(folder, 0, NULL);
        const char *file;

        while ((file = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename(folder, file, NULL);

                g_assert_cmpint(g_unlink(path), ==, 0);
        }
        g_dir_close(dir);
        g_assert_cmpint(g_rmdir(folder), ==, 0);
}

static const char *command_for(const Profiles *profiles, uint32_t device_id)
{
        const Profile *profile = profiles_find(profiles, device_id);

        return profile ? profile->command[0] : NULL;
}

static void test_folders(void)
{
        g_autofree char *etc = g_dir_make_tmp("test-profile-XXXXXX", NULL);
        g_autofree char *usr = g_dir_make_tmp("test-profile-XXXXXX", NULL);
        const char *const folders[] = { etc, "/nonexistent", usr, NULL };
        g_autoptr(Profiles) profiles = NULL;

        folder_put(usr, "50-blk.conf", "[Backend]\nType=2\nExecStart=/usr/blk\n");
        folder_put(etc, "50-blk.conf", "[Backend]\nType=2\nExecStart=/etc/blk\n");
        folder_put(usr, "60-blk.conf", "[Backend]\nType=2\nExecStart=/usr/late\n");
        folder_put(usr, "gpio.conf", "[Backend]\nType=41\nExecStart=/usr/gpio\n");
        folder_put(etc, "gpio.conf", "");
        folder_put(usr, "rng.conf", "[Backend]\nType=4\nExecStart=/usr/rng\n");
        folder_put(etc, "a-broken.conf", "[Backend]\nType=4\nExecStart=\n");
        folder_put(usr, "fs.conf.dpkg-old", "[Backend]\nType=26\nExecStart=/usr/fs\n");

        profiles = profiles_load(folders);
        g_assert_cmpstr(command_for(profiles, 2), ==, "/etc/blk");
        g_assert_cmpstr(command_for(profiles, 4), ==, "/usr/rng");
        g_assert_null(profiles_find(profiles, 41));
        g_assert_null(profiles_find(profiles, 26));
        folder_remove(etc);
        folder_remove(usr);
}

/* What is shipped has to be right. */
static void test_shipped(void)
{
        const char *const folders[] = { SHIPPED_BACKENDS, NULL };
        g_autoptr(Profiles) profiles = profiles_load(folders);

        g_assert_cmpstr(command_for(profiles, 2), ==, "/usr/bin/qemu-storage-daemon");
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/profile/good", test_good);
        g_test_add_func("/profile/memory", test_memory);
        g_test_add_func("/profile/types", test_types);
        g_test_add_func("/profile/bad", test_bad);
        g_test_add_func("/profile/folders", test_folders);
        g_test_add_func("/profile/shipped", test_shipped);
        return g_test_run();
}
