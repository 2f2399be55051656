/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <string.h>

#include "orchestrator/vdev.h"
#include "orchestrator/xl-device.h"

static XlConfig *parse(const char *text)
{
        g_autofree char *message = NULL;
        XlConfig *config = NULL;
        int r = xl_config_parse("g.cfg", text, strlen(text), &config, &message);

        g_assert_cmpstr(message, ==, NULL);
        g_assert_cmpint(r, ==, 0);
        return config;
}

static const char *get(const XlConfig *config, const char *name, unsigned int index)
{
        const XlSetting *setting = xl_config_find(config, name);
        const XlValue *value;

        g_assert_nonnull(setting);
        g_assert_cmpuint(index, <, setting->values->len);
        value = setting->values->pdata[index];
        return value->text;
}

static void test_syntax(void)
{
        g_autoptr(XlConfig) config =
                parse("# a comment\n\nname='a\\'b\\x41\\n' ; memory = 0x200 # 512\n"
                      "disk = [ \"a\", # the first\n\n 'b' , ]\nnested=[[1,2],[],'x']\n"
                      "empty=[\n]\nextra=\"one\"\nextra += ' two'\ndisk+=['c']\n"
                      "name = \"later\"\n;;\nlast=\"x\" # no newline");
        const XlSetting *disk = xl_config_find(config, "disk");
        const XlValue *second = disk->values->pdata[1];

        g_assert_cmpuint(config->settings->len, ==, 7);
        g_assert_cmpstr(get(config, "name", 0), ==, "later");
        g_assert_cmpstr(get(config, "memory", 0), ==, "0x200");
        g_assert_cmpuint(disk->values->len, ==, 3);
        g_assert_true(disk->is_list);
        g_assert_cmpstr(get(config, "disk", 2), ==, "c");
        g_assert_cmpuint(second->at.line, ==, 6);
        g_assert_cmpuint(second->at.column, ==, 3);
        g_assert_cmpuint(xl_config_find(config, "nested")->values->len, ==, 3);
        g_assert_null(get(config, "nested", 0));
        g_assert_cmpuint(xl_config_find(config, "empty")->values->len, ==, 0);
        g_assert_cmpstr(get(config, "extra", 0), ==, "one two");
        g_assert_null(xl_config_find(config, "disks"));
}

static void test_escapes(void)
{
        g_autoptr(XlConfig) config = parse("a='\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\\x7e'");

        g_assert_cmpstr(get(config, "a", 0), ==, "\a\b\f\n\r\t\v\\\"~");
}

/* Reads the devices, which have to be so many. */
static GPtrArray *read_devices(const XlConfig *config, unsigned int n)
{
        g_autofree char *message = NULL;
        GPtrArray *devices = NULL;

        g_assert_cmpint(xl_devices_read(config, &devices, &message), ==, 0);
        g_assert_cmpstr(message, ==, NULL);
        g_assert_cmpuint(devices->len, ==, n);
        return devices;
}

static void test_devices(void)
{
        g_autoptr(XlConfig) config =
                parse("name='guest'\nuuid='8A5D2F0E-7D11-4F6E-9A55-0123456789AB'\nmaxmem=64\n"
                      "disk=[ '/a, raw, xvda, rw, backendtype=standalone, specification=virtio',\n"
                      " 'phy:/b,qcow2,xvdb,w,nonsense=1',\n"
                      " 'vdev=xvdc,access=ro,specification=virtio,grant_usage=1,target=/c,d=e' ,\n"
                      " 'phy:/dev/x,raw,hda:cdrom,specification=virtio' ]\n"
                      "virtio=[ 'type=virtio,device1a, transport=mmio, grant_usage=1',\n"
                      " 'backend=DomD,transport=mmio,type=virtio,device4,,' ]\n");
        g_autoptr(GPtrArray) devices = read_devices(config, 5);
        const DeviceSpec *spec[5];

        for (unsigned int i = 0; i < devices->len; i++) {
                const XlDevice *device = devices->pdata[i];

                g_assert_cmpstr(device->problem, ==, NULL);
                spec[i] = device->spec;
                g_assert_cmpuint(spec[i]->base, ==, 0x2000000 + i * 0x200);
                g_assert_cmpuint(spec[i]->irq, ==, 33 + i);
                g_assert_cmpuint(spec[i]->memory_kib, ==, 64 << 10);
                g_assert_cmpstr(spec[i]->domain, ==, "guest");
                g_assert_cmpstr(spec[i]->uuid, ==, "8a5d2f0e-7d11-4f6e-9a55-0123456789ab");
        }
        g_assert_cmpstr(spec[0]->disk_path, ==, "/a");
        g_assert_cmpuint(spec[0]->name.devid, ==, 51712);
        g_assert_false(spec[0]->disk_readonly);
        g_assert_cmpstr(spec[1]->disk_path, ==, "/c,d=e");
        g_assert_true(spec[1]->disk_readonly);
        g_assert_true(spec[1]->grant_usage);
        g_assert_true(spec[2]->disk_readonly);
        g_assert_cmpuint(spec[2]->name.devid, ==, 768);
        g_assert_cmpuint(spec[3]->device_id, ==, 26);
        g_assert_true(spec[3]->grant_usage);
        g_assert_cmpuint(spec[3]->name.devid, ==, 0);
        g_assert_cmpuint(spec[4]->device_id, ==, 4);
        g_assert_cmpuint(spec[4]->name.devid, ==, 1);
}

#define DISK(entry)   "name='g'\ndisk=['" entry "']\n"
#define VIRTIO(entry) "name='g'\nvirtio=['" entry "']\n"
#define STANDALONE    ",backendtype=standalone,specification=virtio"

/* Each costs exactly this message: of the file, of the guest, or of its only device. */
static const struct {
        const char *text;
        const char *message;
} bad[] = {
        { "Name='x'\n", "1:1: this is no name of a setting" },
        { "\n  =1\n", "2:3: this is no name of a setting" },
        { "name\n", "1:5: \"=\" is missing" },
        { "name + 1\n", "1:6: \"=\" is missing" },
        { "name : 1\n", "1:6: \"=\" is missing" },
        { "name=\n", "1:6: neither a string nor a number nor a list" },
        { "name=guest\n", "1:6: neither a string nor a number nor a list" },
        { "name='guest\n", "1:6: this string has no end in its line" },
        { "name=\"guest'\n", "1:6: this string has no end in its line" },
        { "name='a' 'b'\n", "1:10: neither the end of the line nor \";\"" },
        { "name='a'\rmemory=1\n", "1:9: neither the end of the line nor \";\"" },
        { "name='a\\q'\n", "1:8: an unknown escape" },
        { "name='a\\x4'\n", "1:8: an unknown escape" },
        { "name='a\\012'\n", "1:8: an unknown escape" },
        { "name='a\\", "1:8: an unknown escape" },
        { "name='\xff'\n", "1:7: this is not UTF-8" },
        { "name='\\x00'\n", "1:7: this is not UTF-8" },
        { "disk=[\n'a'\n'b' ]\n", "3:1: neither \",\" nor \"]\"" },
        { "disk=['a'", "1:10: neither \",\" nor \"]\"" },
        { "disk=[,]\n", "1:7: neither a string nor a number nor a list" },
        { "disk=['a'\n\ndisk=['b']\n", "3:1: neither \",\" nor \"]\"" },
        { "a=[[[[[[[[[[[[]]]]]]]]]]]]\n", "1:11: too many lists within lists" },
        { "a=[1]\na+='x'\n", "2:1: a is a list in one place and none in the other" },
        { "memory=64\n", "1:1: name: the guest has none" },
        { "\nname=''\n", "2:7: name: the guest has none" },
        { "name=['a']\n", "1:1: name: the guest has none" },
        { "name='a'\nuuid='1'\n", "2:7: uuid: \"1\" is no UUID" },
        { "name='a'\nmemory='much'\n", "2:9: memory: \"much\" is no number of MiB" },
        { "name='a'\nmaxmem=0\n", "2:8: memory: \"0\" is no number of MiB" },
        { "name='a'\nmemory=9999999\n", "2:8: memory: \"9999999\" is no number of MiB" },
        { "name='a'\ndisk='/a,raw,xvda'\n", "2:7: disk: this is no list of strings" },
        { "name='a'\nvirtio=[['type=virtio,device4']]\n",
          "2:9: virtio: this is no list of strings" },
        { DISK("/a,qcow2,xvda" STANDALONE), "2:11: qcow2: a virtio disk is raw" },
        { DISK("/a,format=vhd,xvda" STANDALONE), "2:11: format=vhd: a virtio disk is raw" },
        { DISK("/a,raw,xvda,x" STANDALONE), "2:20: x: this is neither r nor w" },
        { DISK("/a,raw,xvda,r,w" STANDALONE), "2:22: w: this is one word too many" },
        { DISK("/a,raw,vda" STANDALONE), "2:15: vda: this is no virtual device" },
        { DISK("/a,raw,xvda:tape" STANDALONE),
          "2:8: disk-51712: device-type: \"tape\" is neither disk nor cdrom" },
        { DISK("/a,raw,xvda,rw,specification=virtio,backendtype=phy"),
          "2:44: backendtype=phy: a virtio disk is backendtype=standalone" },
        { DISK("/a,raw,xvda,specification=virtio,specification=virtio"),
          "2:41: specification=virtio: this has been said already" },
        { DISK("/a,raw,xvda,vdev=xvdb" STANDALONE), "2:20: vdev=xvdb: this has been said already" },
        { DISK("/a,raw,xvda,colour=blue" STANDALONE), "2:20: colour=blue: unknown key of a disk" },
        { DISK(",raw,xvda" STANDALONE), "2:8: target: the disk has none" },
        { DISK("/a,raw" STANDALONE), "2:8: vdev: the disk has none" },
        { DISK("a.img,raw,xvda" STANDALONE),
          "2:8: disk-51712: params: \"a.img\" is not an absolute path" },
        { DISK("/a,raw,xvda,grant_usage=x" STANDALONE),
          "2:8: disk-51712: grant_usage: \"x\" is not a number" },
        { VIRTIO(""), "2:10: type: it is missing: type=virtio,deviceN" },
        { VIRTIO("transport=mmio"), "2:10: type: it is missing: type=virtio,deviceN" },
        { VIRTIO("type=virtio,device4"), "2:10: transport: it is missing: transport=mmio" },
        { VIRTIO("type=virtio,device4,transport=pci"),
          "2:10: virtio-0: transport: \"pci\" is not supported, only transport=mmio is" },
        { VIRTIO("type=virtio,device4,transport=mmio "),
          "2:10: virtio-0: transport: \"mmio \" is not supported, only transport=mmio is" },
        { VIRTIO("type=virtio,transport=mmio"), "2:10: transport: it is missing: transport=mmio" },
        { VIRTIO("type=rng,transport=mmio"),
          "2:10: virtio-0: type: \"rng\" is not virtio,deviceN" },
        { VIRTIO("type=virtio,device0,transport=mmio"),
          "2:10: virtio-0: type: \"virtio,device0\" has no device id between 1 and 3f" },
        { VIRTIO("type=virtio,device4,transport=mmio,grant_usage=2"),
          "2:10: virtio-0: grant_usage: \"2\" is out of range" },
        { VIRTIO("type=virtio,device4,mac=1"), "2:30: mac=1: unknown key of a virtio device" },
        { VIRTIO("type=virtio,device4,type=virtio,device5"),
          "2:30: type=virtio,device5: this has been said already" },
};

/* The first message that the text costs, whoever says it. */
static char *message_of(const char *text)
{
        g_autoptr(GPtrArray) devices = NULL;
        g_autoptr(XlConfig) config = NULL;
        char *message = NULL;
        const XlDevice *device;

        if (xl_config_parse("g.cfg", text, strlen(text), &config, &message) < 0)
                return message;
        if (xl_devices_read(config, &devices, &message) < 0)
                return message;
        g_assert_cmpuint(devices->len, ==, 1);
        device = devices->pdata[0];
        g_assert_null(device->spec);
        return g_strdup(device->problem);
}

static void test_bad(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *expected = g_strconcat("g.cfg:", bad[i].message, NULL);
                g_autofree char *message = message_of(bad[i].text);

                g_assert_cmpstr(message, ==, expected);
        }
}

/* A wrong entry costs none but itself. */
static void test_neighbours(void)
{
        g_autoptr(XlConfig) config = parse("name='g'\nvirtio=['type=virtio,device4,transport=mmio',"
                                           "'x=y','type=virtio,device1,transport=mmio']\n");
        g_autoptr(GPtrArray) devices = read_devices(config, 3);
        const XlDevice *wrong = devices->pdata[1], *last = devices->pdata[2];

        g_assert_null(wrong->spec);
        g_assert_cmpuint(last->spec->name.devid, ==, 2);
}

static void test_too_many(void)
{
        g_autoptr(GString) text = g_string_new("name='g'\nvirtio=[");
        g_autoptr(GPtrArray) devices = NULL;
        g_autoptr(XlConfig) config = NULL;
        const XlDevice *last;

        for (unsigned int i = 0; i < 12; i++)
                g_string_append(text, "'type=virtio,device4,transport=mmio',");
        g_string_append(text, "]");
        config = parse(text->str);
        devices = read_devices(config, 12);
        last = devices->pdata[11];
        g_assert_nonnull(strstr(last->problem, "libxl has no address for a twelfth device"));

        g_string_truncate(text, 0);
        for (unsigned int i = 0; i < 513; i++)
                g_string_append_printf(text, "a%u=1\n", i);
        {
                g_autofree char *message = message_of(text->str);

                g_assert_cmpstr(message, ==, "g.cfg:513:1: one setting too many");
        }
}

static void test_vdevs(void)
{
        static const struct {
                const char *name;
                uint32_t devid;
        } good[] = {
                { "xvda", 51712 },
                { "xvdb", 51728 },
                { "xvda1", 51713 },
                { "xvdp15", 51967 },
                { "xvdq", (1 << 28) + 4096 },
                { "xvda16", (1 << 28) + 16 },
                { "xvdaa", (1 << 28) + (26 << 8) },
                { "sda", 2048 },
                { "sdp15", 2303 },
                { "hda", 768 },
                { "hdb1", 833 },
                { "hdc", 5632 },
                { "hdd63", 5759 },
                { "d0p0", 51712 },
                { "51712", 51712 },
                { "0xca00", 51712 },
        };
        static const char *const wrong[] = {
                "",           "xvd",          "xvda0",  "xvda01", "xvda256", "xvdA",   "vda",
                "sdq",        "sda16",        "hde",    "hda64",  "xvda-1",  "xvda 1", "d0p",
                "4294967295", "xvdaaaaaaaaa", "d0p256", "d0p0x",  "-1",
        };
        uint32_t devid;

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_assert_cmpint(vdev_parse(good[i].name, &devid), ==, 0);
                g_assert_cmpuint(devid, ==, good[i].devid);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                g_assert_cmpint(vdev_parse(wrong[i], &devid), <, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/xl-config/syntax", test_syntax);
        g_test_add_func("/xl-config/escapes", test_escapes);
        g_test_add_func("/xl-config/devices", test_devices);
        g_test_add_func("/xl-config/bad", test_bad);
        g_test_add_func("/xl-config/neighbours", test_neighbours);
        g_test_add_func("/xl-config/too-many", test_too_many);
        g_test_add_func("/xl-config/vdevs", test_vdevs);
        return g_test_run();
}
