/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <string.h>

#include "orchestrator/check.h"
#include "orchestrator/paths.h"
#include "tests/unit/orchestrator/folder.h"

/* A system of its own below a folder; "@" in what is expected stands for its path. */
typedef struct Fixture {
        char *root;
} Fixture;

static void fixture_set_up(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        fixture->root = folder_make();
        folder_put(fixture->root, DATADIR "/backends/fs.conf",
                   "[Backend]\nType=fs\nExecStart=/bin/true --dir '%{shared_dir}' %{fs.tag}\n"
                   "[Options]\nshared_dir=required\n");
        folder_put(fixture->root, DATADIR "/backends/net.conf",
                   "[Backend]\nType=net\nExecStart=/bin/true %{net.mac}\n");
        folder_put(fixture->root, DATADIR "/backends/vsock.conf",
                   "[Backend]\nType=vsock\nPackage=vsocks\n"
                   "ExecStart=/nonexistent/vsock %{vsock.cid}\n");
        folder_put(fixture->root, DATADIR "/backends/blk.conf",
                   "[Backend]\nType=blk\nExecStart=/bin/true %{disk.path} ''\n");
        folder_put(fixture->root, "disk.img", "");
}

static void fixture_tear_down(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        folder_remove(fixture->root);
        g_free(fixture->root);
}

static void put_guest(const Fixture *fixture, const char *text)
{
        folder_put(fixture->root, SYSCONFDIR "/guests/g.conf", text);
}

static void assert_text(const Fixture *fixture, const GString *text, const char *expected)
{
        g_auto(GStrv) parts = g_strsplit(expected, "@", -1);
        g_autofree char *whole = g_strjoinv(fixture->root, parts);

        g_assert_cmpstr(text->str, ==, whole);
}

/* Checks a guest that is made from the xl.cfg. */
static void check_text(const Fixture *fixture, const char *text, const char *output,
                       const char *problems)
{
        g_auto(GStrv) parts = g_strsplit(text, "@", -1);
        g_autofree char *whole = g_strjoinv(fixture->root, parts);
        g_autofree char *path = g_build_filename(fixture->root, "g.cfg", NULL);
        g_autoptr(Check) check = check_new(fixture->root);

        folder_put(fixture->root, "g.cfg", whole);
        check_xl_config(check, path);
        assert_text(fixture, check->problems, problems);
        assert_text(fixture, check->output, output);
        g_assert_cmpint(check->n_problems > 0, ==, *problems != '\0');
}

/* Who has no type in xl.cfg gets it from the guest's file. */
static void test_type_of_profile(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        put_guest(fixture, "[virtio-1]\nBackend=net\nmac=02:00:00:00:00:01\n");
        check_text(
                fixture,
                "name='g'\nvirtio=['type=virtio,device,transport=mmio',\n"
                "'type=virtio,device,transport=mmio']\n",
                "virtio-1: net by @" DATADIR "/backends/net.conf, @" SYSCONFDIR "/guests/g.conf\n"
                "    /bin/true 02:00:00:00:00:01\n",
                "@/g.cfg:2:10: virtio-0: type: \"virtio,device\" is any, and no guest file has a "
                "[virtio-0] with Backend=\n");
}

static void test_xl_config(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        put_guest(fixture, "[fs]\nshared_dir=/srv/a b\n[net.1]\nmac=02:00:00:00:00:01\n");
        check_text(fixture,
                   "name='g'\ndisk=['@/disk.img,raw,xvda,rw,backendtype=standalone,"
                   "specification=virtio']\nvirtio=['type=virtio,device1,transport=mmio',\n"
                   "'type=virtio,device1a,transport=mmio','type=virtio,device1,transport=mmio']\n",
                   "disk-51712: blk by @" DATADIR "/backends/blk.conf\n"
                   "    /bin/true @/disk.img ''\n"
                   "virtio-0: net by @" DATADIR "/backends/net.conf\n"
                   "    /bin/true 12:ff:86:58:b1:c8\n"
                   "virtio-1: fs by @" DATADIR "/backends/fs.conf, @" SYSCONFDIR "/guests/g.conf\n"
                   "    /bin/true --dir '/srv/a b' fs1\n"
                   "virtio-2: net by @" DATADIR "/backends/net.conf, @" SYSCONFDIR
                   "/guests/g.conf\n"
                   "    /bin/true 02:00:00:00:00:01\n",
                   "");
}

static void test_no_devices(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        check_text(fixture, "name='g'\ndisk=['phy:/dev/x,raw,xvda,w']\n",
                   "@/g.cfg: no virtio devices\n", "");
}

/* All that can go wrong in one guest, each in one line. */
static void test_problems(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        put_guest(fixture, "[fs]\nshared=/x\n[net.2]\n[virtio-9]\n");
        folder_put(fixture->root, SYSCONFDIR "/backends/broken.conf", "[Backend]\nType=4\n");
        check_text(fixture,
                   "name='g'\ndisk=['@/none,raw,xvda,rw,specification=virtio']\n"
                   "virtio=['type=virtio,device1a,transport=mmio',\n"
                   "'type=virtio,device4,transport=mmio',\n"
                   "'type=virtio,device13,transport=mmio',\n"
                   "'type=virtio,device22,transport=mmio',\n"
                   "'type=virtio,device1,transport=mmio']\n",
                   "virtio-4: net by @" DATADIR "/backends/net.conf\n"
                   "    /bin/true 4e:da:6c:6e:6a:45\n",
                   "@" SYSCONFDIR "/backends/broken.conf:1:2: ExecStart: the key is missing\n"
                   "@/g.cfg:2:8: disk-51712: @/none: No such file or directory\n"
                   "@/g.cfg:3:10: virtio-0: @" SYSCONFDIR
                   "/guests/g.conf:2:1: shared: unknown key, also for the backend fs\n"
                   "@/g.cfg:4:2: virtio-1: @" SYSCONFDIR
                   "/backends/broken.conf:1:2: ExecStart: the key is missing\n"
                   "@/g.cfg:5:2: virtio-2: @" DATADIR
                   "/backends/vsock.conf:4:11: /nonexistent/vsock: No such file or directory "
                   "(backend program); Debian's package vsocks has it\n"
                   "@/g.cfg:6:2: virtio-3: no backend profile for virtio device type 34 (i2c)\n"
                   "@" SYSCONFDIR "/guests/g.conf:3:2: [net.2] is for no device of this guest\n"
                   "@" SYSCONFDIR
                   "/guests/g.conf:4:2: [virtio-9] is for no device of this guest\n");
}

static void test_bad_files(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autoptr(Check) check = check_new(fixture->root);
        g_autofree char *path = g_build_filename(fixture->root, "none.cfg", NULL);

        check_xl_config(check, path);
        check_xl_config(check, fixture->root);
        assert_text(fixture, check->problems,
                    "@/none.cfg: No such file or directory\n@: Is a directory\n");
        check_text(fixture, "name=g\n", "",
                   "@/g.cfg:1:6: neither a string nor a number nor a list\n");
        check_text(fixture, "memory=1\n", "", "@/g.cfg:1:1: name: the guest has none\n");
        put_guest(fixture, "[fs\n");
        check_text(fixture, "name='g'\nvirtio=['type=virtio,device1,transport=mmio']\n", "",
                   "@/g.cfg:2:10: virtio-0: @" SYSCONFDIR "/guests/g.conf:1:4: \"]\" is missing\n");
}

static void test_guest(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autoptr(Check) check = check_new(fixture->root);

        put_guest(fixture, "[fs]\nshared_dir=/x\n[net.1]\nmac=1\n[virtio-3]\ntag=x\n"
                           "[virtio-4]\nBackend=vsock\n[virtio-5]\nBackend=none\n");
        check_guest(check, "g");
        check_guest(check, "h");
        assert_text(fixture, check->output,
                    "@" SYSCONFDIR "/guests/g.conf: [fs] by @" DATADIR "/backends/fs.conf\n"
                    "@" SYSCONFDIR "/guests/g.conf: [virtio-3]: only the guest's xl.cfg says what "
                    "this is\n");
        assert_text(fixture, check->problems,
                    "@" SYSCONFDIR
                    "/guests/g.conf:4:5: mac: \"1\" is not the MAC address of a card\n"
                    "@" DATADIR "/backends/vsock.conf:4:11: /nonexistent/vsock: No such file or "
                    "directory (backend program); Debian's package vsocks has it\n"
                    "@" SYSCONFDIR "/guests/g.conf:10:9: Backend: there is no profile \"none\"\n"
                    "h: there is neither a guest file of this name nor an xl.cfg\n");
        g_assert_cmpuint(check->n_problems, ==, 4);
}

static void test_everything(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autoptr(Check) check = NULL;

        put_guest(fixture, "[fs]\nshared_dir=\n");
        folder_put(fixture->root, DATADIR "/guests/h.conf", "[floppy]\n");
        folder_put(fixture->root, "/etc/qemu/vhost-user/50-x.json", "[]");
        check = check_new(fixture->root);
        check_everything(check);
        assert_text(fixture, check->output,
                    "@" DATADIR "/backends/blk.conf: blk by /bin/true\n"
                    "@" DATADIR "/backends/fs.conf: fs by /bin/true\n"
                    "@" DATADIR "/backends/net.conf: net by /bin/true\n"
                    "@" DATADIR "/backends/vsock.conf:4:11: /nonexistent/vsock: No such file or "
                    "directory (backend program); Debian's package vsocks has it\n");
        assert_text(fixture, check->problems,
                    "@/etc/qemu/vhost-user/50-x.json:1:1: this is no object\n"
                    "@" SYSCONFDIR "/guests/g.conf:2:12: shared_dir: the value is missing\n"
                    "@" DATADIR "/guests/h.conf:1:2: [floppy] is neither TYPE, TYPE.N, "
                    "virtio-DEVID nor disk-DEVID\n");
}

#define ADD(path, function)                                                                        \
        g_test_add(path, Fixture, NULL, fixture_set_up, function, fixture_tear_down)

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        ADD("/check/xl-config", test_xl_config);
        ADD("/check/type-of-profile", test_type_of_profile);
        ADD("/check/no-devices", test_no_devices);
        ADD("/check/problems", test_problems);
        ADD("/check/bad-files", test_bad_files);
        ADD("/check/guest", test_guest);
        ADD("/check/everything", test_everything);
        return g_test_run();
}
