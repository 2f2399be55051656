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
        .memory = MEMORY_SEED,
        .domain = "guest 1 = \xc3\xa4",
};

#define UUID_LINE "UUID=01234567-89ab-cdef-0123-456789abcdef\n"
#define GOOD_LINES                                                                                 \
        "VERSION=1\n" UUID_LINE "SERVER=3\nBASE=0x2000200\nIRQ=33\nDEVICE_ID=2\n"                  \
        "DOMAIN=guest 1 = \xc3\xa4\nMEMORY=seed\nMEMORY_KIB=4194304\nGRANT_USAGE=1\n"

static void assert_launch_equal(const Launch *a, const Launch *b)
{
        g_assert_cmpstr(a->uuid, ==, b->uuid);
        g_assert_cmpuint(a->server, ==, b->server);
        g_assert_cmphex(a->base, ==, b->base);
        g_assert_cmpuint(a->irq, ==, b->irq);
        g_assert_cmpuint(a->device_id, ==, b->device_id);
        g_assert_cmpuint(a->memory_kib, ==, b->memory_kib);
        g_assert_cmpint(a->grant_usage, ==, b->grant_usage);
        g_assert_cmpint(a->memory, ==, b->memory);
        g_assert_cmpstr(a->domain, ==, b->domain);
        g_assert_cmpmem(&a->config, sizeof(a->config), &b->config, sizeof(b->config));
}

/* All that a type's file can hold. */
static void config_fill(Launch *launch)
{
        LaunchConfig *config = &launch->config;

        if (launch->device_id == 1) {
                memcpy(config->net_mac, "\x02\x00\xff\x0a\xA0\x01", LAUNCH_MAC_SIZE);
                config->net_mtu = 65535;
                config->net_queue_pairs = 31;
        } else if (launch->device_id == 26) {
                memset(config->fs_tag, '=', LAUNCH_FS_TAG_SIZE);
                config->fs_request_queues = 63;
        } else if (launch->device_id == 19) {
                config->vsock_cid = 0xfffffffe;
        }
        config->size = LAUNCH_CONFIG_SIZE;
        config->bytes_size = LAUNCH_CONFIG_SIZE;
        for (unsigned int i = 0; i < LAUNCH_CONFIG_SIZE; i++)
                config->bytes[i] = (uint8_t)i;
}

static void test_round_trip(void)
{
        static const uint32_t device_ids[] = { 1, 19, 26, 63 };
        Launch most = example, launches[1 + G_N_ELEMENTS(device_ids)];

        most.server = UINT16_MAX;
        most.base = (UINT64_C(1) << 48) - VIRTIO_MMIO_RANGE_SIZE;
        most.irq = 1019;
        most.memory_kib = UINT64_C(1019) << 20;
        most.grant_usage = false;
        most.memory = MEMORY_AUTO;
        launches[0] = example;
        for (size_t i = 0; i < G_N_ELEMENTS(device_ids); i++) {
                most.device_id = device_ids[i];
                launches[i + 1] = most;
                config_fill(&launches[i + 1]);
        }

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

/* What an older orchestrator has not written. */
static void test_optional(void)
{
        static const char text[] =
                "VERSION=1\n" UUID_LINE "SERVER=3\nBASE=0x2000200\nIRQ=33\nDEVICE_ID=2\n"
                "MEMORY_KIB=4\nGRANT_USAGE=0\n";
        Launch launch;

        g_assert_cmpint(launch_parse(text, strlen(text), &launch, NULL), ==, 0);
        g_assert_cmpint(launch.memory, ==, MEMORY_AUTO);
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
                { "MEMORY", "MEMORY=", -EINVAL },
                { "MEMORY", "MEMORY=Seed", -EINVAL },
                { "MEMORY", "MEMORY=1", -EINVAL },
                { "MEMORY", "MEMORY=auto\nMEMORY=auto", -EINVAL },
                { "DOMAIN", "DOMAIN=", -ERANGE },
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

/* The good text of a type, with a line more. */
static int config_parse(const char *device_id, const char *line, Launch *ret_launch,
                        const char **ret_key)
{
        g_autofree char *id = g_strdup_printf("DEVICE_ID=%s", device_id);
        g_autofree char *good = text_with("DEVICE_ID", id);
        g_autofree char *text = g_strdup_printf("%s%s\n", good, line);

        g_test_message("%s: \"%s\"", device_id, line);
        return launch_parse(text, strlen(text), ret_launch, ret_key);
}

static void test_config(void)
{
        Launch launch;

        g_assert_cmpint(config_parse("1",
                                     "NET_MAC=00:16:3e:0A:bC:ff\nNET_MTU=68\nNET_QUEUE_PAIRS=1",
                                     &launch, NULL),
                        ==, 0);
        g_assert_cmpmem(launch.config.net_mac, 6, "\x00\x16\x3e\x0a\xbc\xff", 6);
        g_assert_cmpuint(launch.config.net_mtu, ==, 68);
        g_assert_cmpuint(launch.config.net_queue_pairs, ==, 1);
        g_assert_cmpint(
                config_parse("26", "FS_TAG=a \xc3\xa4=b\nFS_REQUEST_QUEUES=0x2", &launch, NULL), ==,
                0);
        g_assert_cmpstr(launch.config.fs_tag, ==, "a \xc3\xa4=b");
        g_assert_cmpuint(launch.config.fs_request_queues, ==, 2);
        g_assert_cmpint(config_parse("19", "VSOCK_CID=3", &launch, NULL), ==, 0);
        g_assert_cmpuint(launch.config.vsock_cid, ==, 3);
        g_assert_cmpint(config_parse("63", "CONFIG=0xfe:0aF9", &launch, NULL), ==, 0);
        g_assert_cmpuint(launch.config.bytes_offset, ==, 0xfe);
        g_assert_cmpuint(launch.config.bytes_size, ==, 2);
        g_assert_cmpmem(launch.config.bytes, 2, "\x0a\xf9", 2);
        g_assert_cmpint(config_parse("63", "CONFIG_SIZE=64", &launch, NULL), ==, 0);
        g_assert_cmpuint(launch.config.size, ==, 64);

        /* Files without these keys are as good as they were, and nothing is said then. */
        g_assert_cmpint(config_parse("1", "", &launch, NULL), ==, 0);
        g_assert_cmpmem(&launch.config, sizeof(launch.config), &example.config,
                        sizeof(example.config));
}

static const struct {
        const char *device_id, *line;
        int result;
} bad_config[] = {
        { "1", "NET_MAC=", -EINVAL },
        { "1", "NET_MAC=00:16:3e:00:00:0", -EINVAL },
        { "1", "NET_MAC=00:16:3e:00:00:011", -EINVAL },
        { "1", "NET_MAC=00:16:3e:00:00:0g", -EINVAL },
        { "1", "NET_MAC=00:16:3e:00:00: 1", -EINVAL },
        { "1", "NET_MAC=00-16-3e-00-00-01", -EINVAL },
        { "1", "NET_MAC=00:16:3e:00:00001", -EINVAL },
        { "1", "NET_MAC=01:16:3e:00:00:01", -ERANGE }, /* a group's */
        { "1", "NET_MAC=ff:ff:ff:ff:ff:ff", -ERANGE },
        { "1", "NET_MAC=00:00:00:00:00:00", -ERANGE },
        { "1", "NET_MAC=00:16:3e:00:00:01\nNET_MAC=00:16:3e:00:00:01", -EINVAL },
        { "1", "NET_MTU=", -EINVAL },
        { "1", "NET_MTU=67", -ERANGE },
        { "1", "NET_MTU=65536", -ERANGE },
        { "1", "NET_MTU=0", -ERANGE },
        { "1", "NET_MTU=1500 ", -EINVAL },
        { "1", "NET_QUEUE_PAIRS=0", -ERANGE },
        { "1", "NET_QUEUE_PAIRS=32", -ERANGE },
        { "1", "NET_QUEUE_PAIRS=-1", -EINVAL },
        { "26", "FS_TAG=", -ERANGE },
        { "26", "FS_TAG=0123456789012345678901234567890123456", -ERANGE },
        { "26", "FS_TAG=a\tb", -EINVAL },
        { "26", "FS_TAG=a\x7f", -EINVAL },
        { "26", "FS_REQUEST_QUEUES=0", -ERANGE },
        { "26", "FS_REQUEST_QUEUES=64", -ERANGE },
        { "26", "FS_REQUEST_QUEUES=one", -EINVAL },
        { "19", "VSOCK_CID=2", -ERANGE }, /* the host */
        { "19", "VSOCK_CID=0xffffffff", -ERANGE },
        { "19", "VSOCK_CID=0x100000003", -ERANGE },
        { "19", "VSOCK_CID=3.0", -EINVAL },
        { "63", "CONFIG_SIZE=0", -ERANGE },
        { "63", "CONFIG_SIZE=257", -ERANGE },
        { "2", "CONFIG=", -EINVAL },
        { "2", "CONFIG=00", -EINVAL },
        { "2", "CONFIG=:00", -EINVAL },
        { "2", "CONFIG=0:", -EINVAL },
        { "2", "CONFIG=0:0", -EINVAL },
        { "2", "CONFIG=0:0x00", -EINVAL },
        { "2", "CONFIG=0:00 01", -EINVAL },
        { "2", "CONFIG=0:00:01", -EINVAL },
        { "2", "CONFIG=-1:00", -EINVAL },
        { "2", "CONFIG=0000000:00", -EINVAL },
        { "2", "CONFIG=256:00", -ERANGE },
        { "2", "CONFIG=255:0001", -ERANGE },
        /* Another type's. */
        { "2", "NET_MAC=00:16:3e:00:00:01", -EINVAL },
        { "26", "NET_MTU=1500", -EINVAL },
        { "63", "NET_QUEUE_PAIRS=1", -EINVAL },
        { "1", "FS_TAG=tag", -EINVAL },
        { "19", "FS_REQUEST_QUEUES=1", -EINVAL },
        { "1", "VSOCK_CID=3", -EINVAL },
};

static void test_bad_config(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(bad_config); i++) {
                g_autofree char *name = g_strdup(bad_config[i].line);
                const char *key = NULL;
                Launch launch = example;

                *strchr(name, '=') = '\0';
                g_assert_cmpint(
                        config_parse(bad_config[i].device_id, bad_config[i].line, &launch, &key),
                        ==, bad_config[i].result);
                g_assert_cmpstr(key, ==, name);
                assert_launch_equal(&launch, &example); /* untouched */
        }
}

/* Bytes that do not fit are refused, however many. */
static void test_long_config(void)
{
        g_autofree char *digits = g_strnfill(2 * LAUNCH_CONFIG_SIZE + 2, 'a');
        g_autofree char *line = g_strdup_printf("CONFIG=0:%s", digits);
        const char *key = NULL;
        Launch launch;

        g_assert_cmpint(config_parse("2", line, &launch, &key), ==, -ERANGE);
        g_assert_cmpstr(key, ==, "CONFIG");
        line[strlen(line) - 2] = '\0';
        g_assert_cmpint(config_parse("2", line, &launch, &key), ==, 0);
        g_assert_cmpuint(launch.config.bytes_size, ==, LAUNCH_CONFIG_SIZE);
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

/* Only for people: a name that does not fit is left out. */
static void test_domain(void)
{
        Launch launch = { .domain = "old" };

        launch_set_domain(&launch, "new");
        g_assert_cmpstr(launch.domain, ==, "new");
        launch_set_domain(&launch, "two\nlines");
        g_assert_cmpstr(launch.domain, ==, "");
        launch_set_domain(&launch,
                          "012345678901234567890123456789012345678901234567890123456789012");
        g_assert_cmpuint(strlen(launch.domain), ==, LAUNCH_DOMAIN_SIZE - 1);
        launch_set_domain(&launch,
                          "0123456789012345678901234567890123456789012345678901234567890123");
        g_assert_cmpstr(launch.domain, ==, "");
}

int main(int argc, char *argv[])
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/launch/round-trip", test_round_trip);
        g_test_add_func("/launch/accepts", test_accepts);
        g_test_add_func("/launch/optional", test_optional);
        g_test_add_func("/launch/bad-values", test_bad_values);
        g_test_add_func("/launch/config", test_config);
        g_test_add_func("/launch/bad-config", test_bad_config);
        g_test_add_func("/launch/long-config", test_long_config);
        g_test_add_func("/launch/bad-texts", test_bad_texts);
        g_test_add_func("/launch/bad-sizes", test_bad_sizes);
        g_test_add_func("/launch/mutations", test_mutations);
        g_test_add_func("/launch/file", test_file);
        g_test_add_func("/launch/domain", test_domain);
        return g_test_run();
}
