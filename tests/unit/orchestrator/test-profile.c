/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <string.h>

#include "orchestrator/profile-list.h"
#include "tests/unit/orchestrator/folder.h"

#define HEAD "[Backend]\nType=blk\n"
#define GOOD HEAD "ExecStart=/bin/p\n"

static Profile *parse(const char *text)
{
        Profile *profile = profile_parse("/etc/x.conf", text, strlen(text));

        g_assert_nonnull(profile);
        g_assert_cmpstr(profile->problem, ==, NULL);
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
        g_assert_cmpstr(profile->file, ==, "/etc/x.conf");
        g_assert_cmpstr(profile->name, ==, "x");
        g_assert_cmpuint(profile->command_at.line, ==, 4);
        g_assert_cmpuint(profile->command_at.column, ==, 11);
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

static void test_config_size(void)
{
        g_autoptr(Profile) none = parse(GOOD), some = parse(GOOD "ConfigSize=256\n");

        g_assert_cmpuint(none->config_size, ==, 0);
        g_assert_cmpuint(some->config_size, ==, 256);
}

static void test_package(void)
{
        g_autoptr(Profile) none = parse(GOOD), some = parse(GOOD "Package=lib3+-.x\n");

        g_assert_null(none->package);
        g_assert_cmpstr(some->package, ==, "lib3+-.x");
}

static void test_types(void)
{
        static const struct {
                const char *text;
                uint32_t id;
        } types[] = { { "blk", 2 }, { "block", 2 }, { "2", 2 }, { "0x22", 34 }, { "63", 63 } };

        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
                g_autofree char *text =
                        g_strdup_printf("[Backend]\nType=%s\nExecStart=/bin/p\n", types[i].text);
                g_autoptr(Profile) profile = parse(text);

                g_assert_cmpuint(profile->device_id, ==, types[i].id);
        }
}

static void test_options(void)
{
        g_autoptr(Profile) profile = parse(
                "[Options]\nshared_dir=required\ncache=default auto mode\n"
                "a-1 = default\nof=default %{domain}\n" GOOD "ReadWritePaths=%{shared_dir}\n");

        g_assert_cmpuint(profile->n_options, ==, 4);
        g_assert_cmpint(profile_find_option(profile, "cache"), ==, 1);
        g_assert_cmpint(profile_find_option(profile, "mac"), <, 0);
        g_assert_null(profile->options[0].standard);
        g_assert_cmpstr(profile->options[1].standard, ==, "auto mode");
        g_assert_cmpstr(profile->options[2].standard, ==, "");
        g_assert_cmpstr(profile->options[3].standard, ==, "%{domain}");
}

static void test_service(void)
{
        g_autoptr(Profile) profile = parse("[Service]\nPrivateNetwork=no\nIPAddressDeny=\n"
                                           "BindPaths=%{shared_dir} /a\n[Options]\n"
                                           "shared_dir=required\n" GOOD);

        g_assert_cmpstr(profile->settings[sandbox_setting_find("PrivateNetwork")], ==, "no");
        g_assert_cmpstr(profile->settings[sandbox_setting_find("IPAddressDeny")], ==, "");
        g_assert_cmpstr(profile->settings[sandbox_setting_find("BindPaths")], ==,
                        "%{shared_dir} /a");
        g_assert_null(profile->settings[sandbox_setting_find("PrivateTmp")]);
}

/* Each costs exactly this message. */
static const struct {
        const char *text;
        const char *problem;
} bad[] = {
        { "Type=blk\n", "1:1: this stands before any section" },
        { "[Backend\nType=blk\n", "1:9: \"]\" is missing" },
        { "[Back end]\nType=blk\n", "1:2: this is no name of a section" },
        { "[]\n", "1:2: this is no name of a section" },
        { "[Backend]\n  nonsense\n", "2:3: neither [SECTION] nor KEY=VALUE" },
        { "[Backend]\n=blk\n", "2:1: this is no name of a key" },
        { "[Backend]\nTy pe=blk\n", "2:1: this is no name of a key" },
        { HEAD "ExecStart=/bin/\x01\n", "3:16: a control character" },
        { HEAD "ExecStart=/bin/\xff\n", "3:16: this is not UTF-8" },
        { HEAD "Type=net\n", "3:1: this key is there already" },
        { HEAD "[Backend]\n", "3:2: this section is there already" },
        { GOOD "[Restart]\nDelay=1\n", "5:1: Delay: unknown key" },
        { GOOD "[Restart]\nDelaySec=never\n",
          "5:10: DelaySec: \"never\" are no seconds from 0.01 to 3600" },
        { GOOD "[Restart]\nDelaySec=2\nMaxDelaySec=1\n",
          "4:2: Restart: MaxDelaySec is less than DelaySec" },
        { "[Other]\nType=blk\n", "1:2: Other: unknown section" },
        { GOOD "[Other]\nA=b\n", "4:2: Other: unknown section" },
        { "# nothing but a comment\n", "1:1: Backend: the section is missing" },
        { "[Options]\na=required\n", "1:1: Backend: the section is missing" },
        { "[Backend]\n", "1:2: Type: the key is missing" },
        { "\n [Backend]\nExecStart=/bin/p\n", "2:3: Type: the key is missing" },
        { "[Backend]\nType=\nExecStart=/bin/p\n", "2:6: Type: \"\" is no virtio device type" },
        { "[Backend]\nType = disk\nExecStart=/bin/p\n",
          "2:8: Type: \"disk\" is no virtio device type" },
        { "[Backend]\nType=0\nExecStart=/bin/p\n", "2:6: Type: \"0\" is no virtio device type" },
        { "[Backend]\nType=64\nExecStart=/bin/p\n", "2:6: Type: \"64\" is no virtio device type" },
        { "[Backend]\nType=-2\nExecStart=/bin/p\n", "2:6: Type: \"-2\" is no virtio device type" },
        { HEAD, "1:2: ExecStart: the key is missing" },
        { HEAD "ExecStart=\n", "3:11: ExecStart: there is no command" },
        { HEAD "ExecStart=p\n", "3:11: ExecStart: \"p\" is not an absolute path" },
        { HEAD "ExecStart=%{socket}\n", "3:11: ExecStart: \"%{socket}\" is not an absolute path" },
        { HEAD "ExecStart=/bin/p 'x\n", "3:11: ExecStart: Text ended before matching quote was "
                                        "found for '. (The text was \u201c/bin/p 'x\u201d)" },
        { HEAD "ExecStart=/bin/p %{disk.pat}\n", "3:11: ExecStart: unknown variable %{disk.pat}" },
        { HEAD "ExecStart=/bin/p %i\n", "3:11: ExecStart: \"%i\": a percent sign is written %%, a "
                                        "variable %{name}" },
        { HEAD "ExecStart=/bin/p %{socket\n", "3:11: ExecStart: no \"}\" after \"%{socket\"" },
        { HEAD "Execstart=/bin/p\n", "3:1: Execstart: unknown key" },
        { GOOD "Restart=no\n", "4:1: Restart: unknown key" },
        { GOOD "Memory=much\n",
          "4:8: Memory: \"much\" is none of auto, xen-mmap, seed and preload" },
        { GOOD "ConfigSize=0\n", "4:12: ConfigSize: \"0\" is no number between 1 and 256" },
        { GOOD "ConfigSize=257\n", "4:12: ConfigSize: \"257\" is no number between 1 and 256" },
        { GOOD "Package=\n", "4:9: Package: \"\" is no name of a package" },
        { GOOD "Package=-x\n", "4:9: Package: \"-x\" is no name of a package" },
        { GOOD "Package=x y\n", "4:9: Package: \"x y\" is no name of a package" },
        { GOOD "Memory=\n", "4:8: Memory: \"\" is none of auto, xen-mmap, seed and preload" },
        { GOOD "ReadWritePaths=%{disc}\n", "4:16: ReadWritePaths: unknown variable %{disc}" },
        { GOOD "Environment=A\n", "4:13: Environment: \"A\" is not NAME=value" },
        { GOOD "Environment==x\n", "4:13: Environment: \"=x\" is not NAME=value" },
        { GOOD "Environment=A=%{x}\n", "4:13: Environment: unknown variable %{x}" },
        { GOOD "[Options]\nA=required\n", "5:1: A: this is no name of an option" },
        { GOOD "[Options]\n1=required\n", "5:1: 1: this is no name of an option" },
        { GOOD "[Options]\nfs.tag=required\n", "5:1: fs.tag: this is no name of an option" },
        { GOOD "[Options]\nsocket=required\n", "5:1: socket: every device has this" },
        { "[Backend]\nType=fs\nExecStart=/bin/p\n[Options]\ntag=required\n",
          "5:1: tag: every device has this" },
        { GOOD "[Service]\nPrivateNetworks=no\n", "5:1: PrivateNetworks: unknown key" },
        { GOOD "[Service]\nExecStartPre=/x\n", "5:1: ExecStartPre: unknown key" },
        { GOOD "[Service]\nBindPaths=%{x}\n", "5:11: BindPaths: unknown variable %{x}" },
        { GOOD "[Options]\na=\n", "5:3: a: neither \"required\" nor \"default VALUE\"" },
        { GOOD "[Options]\na=defaults\n", "5:3: a: neither \"required\" nor \"default VALUE\"" },
        { GOOD "[Options]\na=required x\n", "5:3: a: neither \"required\" nor \"default VALUE\"" },
        { GOOD "[Options]\na=required\nb=default %{a}\n", "6:3: b: unknown variable %{a}" },
};

static void test_bad(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *expected = g_strconcat("/etc/x.conf:", bad[i].problem, NULL);
                g_autoptr(Profile) profile =
                        profile_parse("/etc/x.conf", bad[i].text, strlen(bad[i].text));

                g_assert_cmpstr(profile->problem, ==, expected);
        }
}

/* Nobody can make the table of sections, keys or options grow without end. */
static void test_too_many(void)
{
        static const char *const formats[] = { "[a%u]\n", "a%u=b\n", "o%u=required\n" };
        static const char *const heads[] = { "", "[Backend]\n", GOOD "[Options]\n" };
        static const char *const problems[] = { "/x:257:2: one section too many",
                                                "/x:258:1: one key too many",
                                                "/x:37:1: o32: one option too many" };
        static const unsigned int n[] = { 300, 300, 40 };

        for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
                g_autoptr(GString) text = g_string_new(heads[i]);
                g_autoptr(Profile) profile = NULL;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                for (unsigned int k = 0; k < n[i]; k++)
                        g_string_append_printf(text, formats[i], k);
#pragma GCC diagnostic pop
                profile = profile_parse("/x", text->str, text->len);
                g_assert_cmpstr(profile->problem, ==, problems[i]);
        }
}

/* A message has an end, whatever it quotes, and not within a character. */
static void test_long(void)
{
        g_autoptr(GString) text = g_string_new("[Backend]\nType=");
        g_autoptr(Profile) profile = NULL;

        for (unsigned int i = 0; i < 1000; i++)
                g_string_append(text, "\u00e4");
        profile = profile_parse("/x", text->str, text->len);
        g_assert_cmpuint(strlen(profile->problem), <, 600);
        g_assert_true(g_utf8_validate(profile->problem, -1, NULL));
}

static const char *command_for(const Profiles *profiles, uint32_t device_id)
{
        const Profile *profile = profiles_find(profiles, device_id);

        return profile && profile->command ? profile->command[0] : NULL;
}

static void count(void *userdata, const char *problem)
{
        g_test_message("%s", problem);
        (*(unsigned int *)userdata)++;
}

static const char *const nowhere[] = { NULL };

static void test_folders(void)
{
        g_autofree char *etc = folder_make();
        g_autofree char *usr = folder_make();
        const char *const folders[] = { etc, "/nonexistent", usr, NULL };
        g_autoptr(Profiles) profiles = NULL;
        unsigned int problems = 0;

        folder_put(usr, "50-blk.conf", "[Backend]\nType=2\nExecStart=/usr/blk\n");
        folder_put(etc, "50-blk.conf", "[Backend]\nType=2\nExecStart=/etc/blk\n");
        folder_put(usr, "60-blk.conf", "[Backend]\nType=2\nExecStart=/usr/late\n");
        folder_put(usr, "gpio.conf", "[Backend]\nType=41\nExecStart=/usr/gpio\n");
        folder_put(etc, "gpio.conf", "");
        folder_put(usr, "rng.conf", "[Backend]\nType=4\nExecStart=/usr/rng\n");
        folder_put(etc, "broken.conf", "[Backend]\nType=19\nExecStart=\n");
        folder_put(etc, "a-broken.conf", "[Backend\nType=4\n");
        folder_put(usr, "fs.conf.dpkg-old", "[Backend]\nType=26\nExecStart=/usr/fs\n");

        profiles = profiles_load(folders, nowhere, count, &problems);
        g_assert_cmpstr(command_for(profiles, 2), ==, "/etc/blk");
        g_assert_cmpstr(command_for(profiles, 4), ==, "/usr/rng");
        g_assert_null(profiles_find(profiles, 41));
        g_assert_null(profiles_find(profiles, 26));
        /* What is meant for a type must not be passed over for another one of it. */
        g_assert_nonnull(profiles_find(profiles, 19)->problem);
        g_assert_cmpuint(problems, ==, 2);
        g_assert_cmpstr(profiles_find_name(profiles, "60-blk")->command[0], ==, "/usr/late");
        g_assert_null(profiles_find_name(profiles, "gpio"));
        folder_remove(etc);
        folder_remove(usr);
}

/* What is shipped has to be right. */
static void test_shipped(void)
{
        const char *const folders[] = { SHIPPED_BACKENDS, NULL };
        unsigned int problems = 0;
        g_autoptr(Profiles) profiles = profiles_load(folders, nowhere, count, &problems);

        g_assert_cmpuint(problems, ==, 0);
        g_assert_cmpstr(command_for(profiles, 1), ==, "/usr/bin/passt");
        g_assert_cmpstr(command_for(profiles, 2), ==, "/usr/bin/qemu-storage-daemon");
        g_assert_cmpstr(command_for(profiles, 19), ==, "/usr/bin/vhost-device-vsock");
        g_assert_cmpstr(command_for(profiles, 26), ==, "/usr/libexec/virtiofsd");
        g_assert_cmpstr(profiles_find(profiles, 1)->package, ==, "passt");
        g_assert_cmpstr(profiles_find(profiles, 2)->package, ==, "qemu-utils");
        g_assert_cmpstr(profiles_find(profiles, 19)->package, ==, "vhost-device-vsock");
        g_assert_cmpstr(profiles_find(profiles, 26)->package, ==, "virtiofsd");
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/profile/good", test_good);
        g_test_add_func("/profile/memory", test_memory);
        g_test_add_func("/profile/config-size", test_config_size);
        g_test_add_func("/profile/package", test_package);
        g_test_add_func("/profile/types", test_types);
        g_test_add_func("/profile/options", test_options);
        g_test_add_func("/profile/service", test_service);
        g_test_add_func("/profile/bad", test_bad);
        g_test_add_func("/profile/too-many", test_too_many);
        g_test_add_func("/profile/long", test_long);
        g_test_add_func("/profile/folders", test_folders);
        g_test_add_func("/profile/shipped", test_shipped);
        return g_test_run();
}
