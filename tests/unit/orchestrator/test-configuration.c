/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/backend.h"
#include "orchestrator/guest-file.h"
#include "orchestrator/guest-order.h"
#include "orchestrator/paths.h"
#include "tests/unit/orchestrator/folder.h"

#define UUID "8a5d2f0e-7d11-4f6e-9a55-0123456789ab"

static const char fs_profile[] =
        "[Backend]\nType=fs\n"
        "ExecStart=/bin/true %{shared_dir} %{cache} %{of} %{fs.tag} %{fs.request_queues}\n"
        "ReadWritePaths=%{shared_dir}\n"
        "[Options]\nshared_dir=required\ncache=default auto\nof=default %{domain}-%{devid}\n";

/* A system of its own below a folder, with profiles for fs, net, rng and vsock. */
typedef struct Fixture {
        char *root;
        Configuration *configuration;
        DeviceSpec spec;
} Fixture;

static void ignore(void *userdata G_GNUC_UNUSED, const char *problem)
{
        g_test_message("%s", problem);
}

static void fixture_set_up(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        fixture->root = folder_make();
        folder_put(fixture->root, DATADIR "/backends/sharefs.conf", fs_profile);
        folder_put(fixture->root, DATADIR "/backends/net.conf",
                   "[Backend]\nType=net\nExecStart=/bin/true %{net.mac} %{bridge}\n"
                   "[Options]\nbridge=default xenbr0\n");
        folder_put(fixture->root, SYSCONFDIR "/backends/othernet.conf",
                   "[Backend]\nType=net\nExecStart=/bin/true other %{net.mac}\n");
        folder_put(fixture->root, SYSCONFDIR "/backends/nonet.conf",
                   "[Backend]\nType=net\nExecStart=/nonexistent\n");
        folder_put(fixture->root, SYSCONFDIR "/backends/badnet.conf",
                   "[Backend]\nType=19\nExecStart=/bin/true\nA=b\n");
        folder_put(fixture->root, DATADIR "/backends/vsock.conf",
                   "[Backend]\nType=vsock\nExecStart=/bin/true %{vsock.cid}\n");
        folder_put(fixture->root, "/usr/share/qemu/vhost-user/50-rng.json",
                   "{ \"type\": \"rng\", \"binary\": \"/bin/true\" }");
        fixture->configuration = configuration_load(fixture->root, ignore, NULL);
        fixture->spec = (DeviceSpec){
                .name = { 5, DEVICE_KIND_VIRTIO, 1 },
                .uuid = UUID,
                .domain = (char *)"guest",
                .memory_kib = UINT64_C(4) << 20,
                .device_id = 26,
        };
}

static void fixture_tear_down(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        configuration_free(fixture->configuration);
        folder_remove(fixture->root);
        g_free(fixture->root);
}

static void put_guest(const Fixture *fixture, const char *text)
{
        folder_put(fixture->root, SYSCONFDIR "/guests/guest.conf", text);
}

/* The command line, with a space between the words, of which none has one. */
static char *command(const Fixture *fixture, int order)
{
        _cleanup_(backend_plan_clear) BackendPlan plan;
        g_autofree char *message = NULL;
        int r = backend_plan(&fixture->spec, order, fixture->configuration, &plan, &message);

        g_assert_cmpstr(message, ==, NULL);
        g_assert_cmpint(r, ==, 0);
        g_ptr_array_add(plan.dropin.words[DROPIN_COMMAND], NULL);
        return g_strjoinv(" ", (char **)plan.dropin.words[DROPIN_COMMAND]->pdata);
}

#define ASSERT_COMMAND(fixture, order, expected)                                                   \
        do {                                                                                       \
                g_autofree char *command_ = command(fixture, order);                               \
                g_assert_cmpstr(command_, ==, expected);                                           \
        } while (0)

static void test_options(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        put_guest(fixture, "[fs]\nBackend=sharefs\nshared_dir=/srv/data\nrequest_queues=2\n");
        ASSERT_COMMAND(fixture, 0, "/bin/true /srv/data auto guest-1 fs1 2");
        put_guest(fixture, "[26]\nshared_dir=/srv/%{x}\nrequest_queues=1\ntag=my,tag\ncache=no\n");
        ASSERT_COMMAND(fixture, 0, "/bin/true /srv/%{x} no guest-1 my,tag 1");
}

static void assert_no_type(Fixture *fixture, const char *expected)
{
        g_autofree char *message = NULL;

        fixture->spec.device_id = 0;
        g_assert_cmpint(configuration_find_type(fixture->configuration, &fixture->spec, &message),
                        <, 0);
        g_assert_true(g_str_has_suffix(message, expected));
}

/* "virtio,device" in xl.cfg: the guest's file names a profile, and that has a type. */
static void test_type_of_profile(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        static const char nowhere[] = "type: \"virtio,device\" is any, and no guest file has a "
                                      "[virtio-1] with Backend=";
        g_autofree char *message = NULL;

        assert_no_type(fixture, nowhere);
        put_guest(fixture, "[fs]\nBackend=sharefs\n[virtio-2]\nBackend=net\n");
        assert_no_type(fixture, nowhere);
        put_guest(fixture, "[virtio-1]\nmac=00:16:3e:00:00:01\n");
        assert_no_type(fixture, nowhere);
        put_guest(fixture, "[virtio-1]\nBackend=none\n");
        assert_no_type(fixture, ":2:9: Backend: there is no profile \"none\"");

        put_guest(fixture, "[virtio-1]\nBackend=othernet\nmac=00:16:3e:00:00:01\n");
        g_assert_cmpint(configuration_find_type(fixture->configuration, &fixture->spec, &message),
                        ==, 0);
        g_assert_cmpuint(fixture->spec.device_id, ==, 1);
        ASSERT_COMMAND(fixture, 0, "/bin/true other 00:16:3e:00:00:01");
        /* What xl.cfg says is not touched. */
        fixture->spec.device_id = 26;
        g_assert_cmpint(configuration_find_type(fixture->configuration, &fixture->spec, &message),
                        ==, 0);
        g_assert_cmpuint(fixture->spec.device_id, ==, 26);
}

/* The heading that says most counts, and alone. */
static void test_sections(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        fixture->spec.device_id = 1;
        put_guest(fixture, "[net]\nBackend=net\nbridge=all\nmac=00:16:3e:00:00:01\n"
                           "[net.1]\nBackend=net\nmac=00:16:3e:00:00:02\n"
                           "[virtio-7]\nBackend=othernet\nmac=00:16:3e:00:00:03\n");
        ASSERT_COMMAND(fixture, 0, "/bin/true 00:16:3e:00:00:01 all");
        ASSERT_COMMAND(fixture, 1, "/bin/true 00:16:3e:00:00:02 xenbr0");
        fixture->spec.name.devid = 7;
        ASSERT_COMMAND(fixture, 1, "/bin/true other 00:16:3e:00:00:03");
        ASSERT_COMMAND(fixture, -EAGAIN, "/bin/true other 00:16:3e:00:00:03");
}

/* The administrator's file before the distribution's, but first of all the UUID. */
static void test_files(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        fixture->spec.device_id = 1;
        folder_put(fixture->root, DATADIR "/guests/guest.conf",
                   "[net]\nBackend=net\nbridge=usr\n"
                   "mac=02:00:00:00:00:01\n");
        ASSERT_COMMAND(fixture, 0, "/bin/true 02:00:00:00:00:01 usr");
        put_guest(fixture, "[net]\nBackend=net\nbridge=etc\nmac=02:00:00:00:00:01\n");
        ASSERT_COMMAND(fixture, 0, "/bin/true 02:00:00:00:00:01 etc");
        folder_put(fixture->root, DATADIR "/guests/" UUID ".conf",
                   "[net]\nBackend=net\nbridge=uuid\nmac=02:00:00:00:00:01\n");
        ASSERT_COMMAND(fixture, 0, "/bin/true 02:00:00:00:00:01 uuid");
        folder_put(fixture->root, SYSCONFDIR "/guests/" UUID ".conf", "");
        fixture->spec.device_id = 4;
        ASSERT_COMMAND(fixture, 0,
                       "/bin/true --socket-path=/run/xen-virtio/5-virtio-1/backend.sock0");
}

/* A domain's name may be anything. */
static void test_names(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        static const char *const domains[] = { "../guests/guest", "/", ".", "..", "a/b", "\x01" };

        put_guest(fixture, "broken");
        fixture->spec.device_id = 4;
        for (size_t i = 0; i < G_N_ELEMENTS(domains); i++) {
                fixture->spec.domain = (char *)domains[i];
                ASSERT_COMMAND(fixture, 0,
                               "/bin/true --socket-path=/run/xen-virtio/5-virtio-1/backend.sock0");
        }
}

static void test_order(void)
{
        static const struct {
                DeviceName name;
                uint32_t device_id;
        } others[] = {
                { { 5, DEVICE_KIND_VIRTIO, 3 }, 1 },  { { 5, DEVICE_KIND_DISK, 0 }, 1 },
                { { 6, DEVICE_KIND_VIRTIO, 0 }, 1 },  { { 5, DEVICE_KIND_VIRTIO, 1 }, 1 },
                { { 5, DEVICE_KIND_VIRTIO, 0 }, 26 }, { { 5, DEVICE_KIND_VIRTIO, 9 }, 0 },
                { { 5, DEVICE_KIND_VIRTIO, 2 }, 1 },  { { 5, DEVICE_KIND_VIRTIO, 4 }, 1 },
                { { 6, DEVICE_KIND_VIRTIO, 1 }, 0 },
        };
        GuestOrder order = guest_order_begin(&others[0].name, 1);
        GuestOrder disk = guest_order_begin(&others[1].name, 1);

        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                guest_order_count(&order, &others[i].name, others[i].device_id);
                guest_order_count(&disk, &others[i].name, others[i].device_id);
        }
        g_assert_cmpint(order.order, ==, 2);
        g_assert_cmpint(disk.order, <, 0);

        /* What comes before it may be of its type. */
        guest_order_count(&order, &(DeviceName){ 5, DEVICE_KIND_VIRTIO, 2 }, 0);
        g_assert_cmpint(order.order, <, 0);
        guest_order_count(&order, &others[3].name, 1);
        g_assert_cmpint(order.order, <, 0);
}

static void test_defaults(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        DeviceOptions options = { 0 }, again = { 0 };

        fixture->spec.device_id = 1;
        device_options_complete(&fixture->spec, &options);
        g_assert_cmpstr(options.values[OPTION_NET_MAC], ==, "b2:9c:8c:71:79:f7");
        g_assert_null(options.values[OPTION_NET_MTU]);
        g_assert_null(options.values[OPTION_FS_TAG]);
        fixture->spec.name.devid = 2;
        device_options_complete(&fixture->spec, &again);
        g_assert_cmpstr(options.values[OPTION_NET_MAC], !=, again.values[OPTION_NET_MAC]);
        device_options_clear(&again);

        /* The same guest under another number, and with its UUID in another case. */
        fixture->spec.name = (DeviceName){ 6, DEVICE_KIND_VIRTIO, 1 };
        g_strlcpy(fixture->spec.uuid, "8A5D2F0E-7D11-4F6E-9A55-0123456789AB",
                  sizeof(fixture->spec.uuid));
        device_options_complete(&fixture->spec, &again);
        g_assert_cmpstr(options.values[OPTION_NET_MAC], ==, again.values[OPTION_NET_MAC]);
        device_options_clear(&options);
        device_options_clear(&again);

        folder_put(fixture->root, SYSCONFDIR "/backends/badnet.conf", "");
        configuration_free(fixture->configuration);
        fixture->configuration = configuration_load(fixture->root, ignore, NULL);
        fixture->spec.device_id = 19;
        ASSERT_COMMAND(fixture, 0, "/bin/true 9");
}

/* Each costs the device exactly this message; "@" stands for the folder of guest files. */
static const struct {
        uint32_t device_id;
        int order;
        const char *text;
        const char *message;
} bad[] = {
        { 1, 0, "mac=x\n", "@:1:1: this stands before any section" },
        { 1, 0, "[net\n", "@:1:5: \"]\" is missing" },
        { 1, 0, "[net]\nmac\n", "@:2:1: neither [SECTION] nor KEY=VALUE" },
        { 1, 0, "[net]\nmac=x\x7f\n", "@:2:6: a control character" },
        { 1, 0, "[floppy]\n",
          "@:1:2: [floppy] is neither TYPE, TYPE.N, virtio-DEVID nor disk-DEVID" },
        { 1, 0, "[fs]\n[Net]\n",
          "@:2:2: [Net] is neither TYPE, TYPE.N, virtio-DEVID nor disk-DEVID" },
        { 1, 0, "[net.x]\n",
          "@:1:2: [net.x] is neither TYPE, TYPE.N, virtio-DEVID nor disk-DEVID" },
        { 1, 0, "[net.]\n", "@:1:2: [net.] is neither TYPE, TYPE.N, virtio-DEVID nor disk-DEVID" },
        { 1, 0, "[net.-1]\n",
          "@:1:2: [net.-1] is neither TYPE, TYPE.N, virtio-DEVID nor disk-DEVID" },
        { 1, 0, "[net.1024]\n",
          "@:1:2: [net.1024] is neither TYPE, TYPE.N, virtio-DEVID nor disk-DEVID" },
        { 1, 0, "[virtio-]\n",
          "@:1:2: [virtio-] is neither TYPE, TYPE.N, virtio-DEVID nor disk-DEVID" },
        { 1, 0, "[disk-xvda]\n",
          "@:1:2: [disk-xvda] is neither TYPE, TYPE.N, virtio-DEVID nor disk-DEVID" },
        { 1, 0, "[0]\n", "@:1:2: [0] is neither TYPE, TYPE.N, virtio-DEVID nor disk-DEVID" },
        { 1, 0, "[net]\n[net]\n", "@:2:2: this section is there already" },
        { 1, 0, "[net]\n[1]\n", "@:2:2: [1] means the same as another section" },
        { 1, 0, "[net.1]\n[net.0x1]\n", "@:2:2: [net.0x1] means the same as another section" },
        { 1, 0, "[net]\nBackend=\n", "@:2:9: Backend: there is no profile \"\"" },
        { 1, 0, "[net]\nBackend=passt\n", "@:2:9: Backend: there is no profile \"passt\"" },
        { 1, 0, "[net]\nBackend=sharefs\n",
          "@:2:9: Backend: \"sharefs\" is for fs devices, not for net" },
        { 1, 0, "[net]\nBackend=net\nbridgee=x\n",
          "@:3:1: bridgee: unknown key, also for the backend net" },
        { 1, 0, "[net]\nBackend=othernet\nbridge=x\n",
          "@:3:1: bridge: unknown key, also for the backend othernet" },
        { 1, 0, "[net]\nBackend=net\ntag=x\n",
          "@:3:1: tag: unknown key, also for the backend net" },
        { 1, 0, "[net]\nBackend=net\nbridge=\n", "@:3:8: bridge: the value is missing" },
        { 1, 0, "[net]\nBackend=net\nmac =\n", "@:3:6: mac: the value is missing" },
        { 1, 0, "[net]\nBackend=net\nmac=00:16:3e:00:00\n",
          "@:3:5: mac: \"00:16:3e:00:00\" is not the MAC address of a card" },
        { 1, 0, "[net]\nBackend=net\nmac=01:16:3e:00:00:00\n",
          "@:3:5: mac: \"01:16:3e:00:00:00\" is not the MAC address of a card" },
        { 1, 0, "[net]\nBackend=net\nmac=00:00:00:00:00:00\n",
          "@:3:5: mac: \"00:00:00:00:00:00\" is not the MAC address of a card" },
        { 1, 0, "[net]\nBackend=net\nmac=00-16-3e-00-00-00\n",
          "@:3:5: mac: \"00-16-3e-00-00-00\" is not the MAC address of a card" },
        { 1, 0, "[net]\nBackend=net\nmac=00:16:3e:00:00:0g\n",
          "@:3:5: mac: \"00:16:3e:00:00:0g\" is not the MAC address of a card" },
        { 1, 0, "[net]\nBackend=net\nmtu=67\n",
          "@:3:5: mtu: \"67\" is no number between 68 and 65535" },
        { 1, 0, "[net]\nBackend=net\nmtu=9k\n",
          "@:3:5: mtu: \"9k\" is no number between 68 and 65535" },
        { 1, 0, "[net]\nBackend=net\nqueue_pairs=32\n",
          "@:3:13: queue_pairs: \"32\" is no number between 1 and 31" },
        { 26, 0, "[fs]\nshared_dir=/x\nrequest_queues=0\n",
          "@:3:16: request_queues: \"0\" is no number between 1 and 63" },
        { 26, 0, "[fs]\nshared_dir=/x\ntag=1234567890123456789012345678901234567\n",
          "@:3:5: tag: a tag has 1 to 36 bytes and no tabs" },
        { 26, 0, "[fs]\nshared_dir=/x\ntag=a\tb\n",
          "@:3:5: tag: a tag has 1 to 36 bytes and no tabs" },
        { 1, -EAGAIN, "[net]\nBackend=net\n[net.1]\n",
          "@:3:2: [net.1] cannot be told from others while nodes of the guest's make no sense" },
        { 2, 0, "", "no backend profile for virtio device type 2 (blk)" },
        { 46, 0, "[46]\n", "no backend profile for virtio device type 46 (type 46)" },
};

static void test_bad(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                RestartPolicy policy;
                g_autofree char *message = NULL, *dropin = NULL, *expected = NULL;
                const char *rest = bad[i].message + (*bad[i].message == '@');
                int r;

                put_guest(fixture, bad[i].text);
                fixture->spec.device_id = bad[i].device_id;
                r = backend_prepare(&fixture->spec, bad[i].order, fixture->configuration, &dropin,
                                    &policy, &message);
                expected = g_strconcat(
                        *bad[i].message == '@' ? fixture->root : "",
                        *bad[i].message == '@' ? SYSCONFDIR "/guests/guest.conf" : "", rest, NULL);
                g_assert_cmpint(r, <, 0);
                g_assert_null(dropin);
                g_assert_cmpstr(message, ==, expected);
        }
}

/* What is wrong with a profile is said of the device, too. */
static void test_bad_profiles(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        static const struct {
                uint32_t device_id;
                const char *text;
                const char *message;
        } cases[] = {
                { 26, "[fs]\nBackend=sharefs\n",
                  SYSCONFDIR "/guests/guest.conf:1:2: [fs] has no shared_dir=, which @" DATADIR
                             "/backends/sharefs.conf requires" },
                { 26, "",
                  DATADIR "/backends/sharefs.conf requires shared_dir=, and no guest file "
                          "says it" },
                { 19, "", SYSCONFDIR "/backends/badnet.conf:4:1: A: unknown key" },
                { 1, "[net]\nBackend=nonet\n",
                  SYSCONFDIR "/backends/nonet.conf:3:11: /nonexistent: No such file or directory "
                             "(backend program)" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(GStrv) parts = g_strsplit(cases[i].message, "@", 2);
                g_autofree char *tail = g_strjoinv(fixture->root, parts);
                g_autofree char *expected = g_strconcat(fixture->root, tail, NULL);
                RestartPolicy policy;
                g_autofree char *message = NULL, *dropin = NULL;

                put_guest(fixture, cases[i].text);
                fixture->spec.device_id = cases[i].device_id;
                g_assert_cmpint(backend_prepare(&fixture->spec, 0, fixture->configuration, &dropin,
                                                &policy, &message),
                                <, 0);
                g_assert_null(dropin);
                g_assert_cmpstr(message, ==, expected);
        }
}

/* Files that are none, or have no end. */
static void test_odd_files(Fixture *fixture, const void *data G_GNUC_UNUSED)
{
        g_autofree char *path = g_strconcat(fixture->root, SYSCONFDIR "/guests/guest.conf", NULL);
        g_autofree char *large = g_strnfill(64 * 1024 + 1, '#');
        RestartPolicy policy;
        g_autofree char *message = NULL, *dropin = NULL, *expected = NULL;

        put_guest(fixture, large);
        expected = g_strdup_printf("%s: File too large", path);
        g_assert_cmpint(backend_prepare(&fixture->spec, 0, fixture->configuration, &dropin, &policy,
                                        &message),
                        ==, -EFBIG);
        g_assert_cmpstr(message, ==, expected);
        g_free(message);
        g_free(expected);

        g_unlink(path);
        g_assert_cmpint(mkfifo(path, 0600), ==, 0);
        expected = g_strdup_printf("%s: Invalid argument", path);
        g_assert_cmpint(backend_prepare(&fixture->spec, 0, fixture->configuration, &dropin, &policy,
                                        &message),
                        ==, -EINVAL);
        g_assert_cmpstr(message, ==, expected);
}

#define ADD(path, function)                                                                        \
        g_test_add(path, Fixture, NULL, fixture_set_up, function, fixture_tear_down)

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        ADD("/configuration/options", test_options);
        ADD("/configuration/type-of-profile", test_type_of_profile);
        ADD("/configuration/sections", test_sections);
        ADD("/configuration/files", test_files);
        ADD("/configuration/names", test_names);
        g_test_add_func("/configuration/order", test_order);
        ADD("/configuration/defaults", test_defaults);
        ADD("/configuration/bad", test_bad);
        ADD("/configuration/bad-profiles", test_bad_profiles);
        ADD("/configuration/odd-files", test_odd_files);
        return g_test_run();
}
