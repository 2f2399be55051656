/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>

#include "common/device-id.h"
#include "common/device-type.h"

/* Virtio 1.3, section 5. */
static const struct {
        uint32_t id;
        const char *name; /* NULL: none, the id is reserved or unknown */
} standard[DEVICE_ID_MAX + 1] = {
        { 0, NULL },
        { 1, "net" },
        { 2, "blk" },
        { 3, "console" },
        { 4, "rng" },
        { 5, "balloon" },
        { 6, "iomem" },
        { 7, "rpmsg" },
        { 8, "scsi" },
        { 9, "9p" },
        { 10, "mac80211-wlan" },
        { 11, "rproc-serial" },
        { 12, "caif" },
        { 13, "memory-balloon" },
        { 14, NULL },
        { 15, NULL },
        { 16, "gpu" },
        { 17, "clock" },
        { 18, "input" },
        { 19, "vsock" },
        { 20, "crypto" },
        { 21, "signal-dist" },
        { 22, "pstore" },
        { 23, "iommu" },
        { 24, "mem" },
        { 25, "sound" },
        { 26, "fs" },
        { 27, "pmem" },
        { 28, "rpmb" },
        { 29, "mac80211-hwsim" },
        { 30, "video-encoder" },
        { 31, "video-decoder" },
        { 32, "scmi" },
        { 33, "nitro-sec-mod" },
        { 34, "i2c" },
        { 35, "watchdog" },
        { 36, "can" },
        { 37, NULL },
        { 38, "param-serv" },
        { 39, "audio-policy" },
        { 40, "bt" },
        { 41, "gpio" },
        { 42, "rdma" },
        { 43, "camera" },
        { 44, "ism" },
        { 45, "spi" },
        { 46, NULL },
        { 47, NULL },
};

static void test_names(void)
{
        for (uint32_t id = 0; id <= DEVICE_ID_MAX; id++) {
                const char *name = standard[id].name;

                g_assert_true(standard[id].id == id || !name);
                g_assert_cmpstr(device_id_name(id), ==, name);
                if (name)
                        g_assert_cmpuint(device_id_find(name), ==, id);
        }
        g_assert_null(device_id_name(DEVICE_ID_MAX + 1));
        g_assert_cmpuint(device_id_find("block"), ==, 2);
        g_assert_cmpuint(device_id_find("Block"), ==, 0);
        g_assert_cmpuint(device_id_find(""), ==, 0);
}

/* What no entry may lack, and what a frontend relies on. */
static void test_types(void)
{
        for (uint32_t id = 0; id <= DEVICE_ID_MAX + 1; id++) {
                const DeviceType *type = device_type_find(id);

                g_assert_true(type->id == id || !type->name);
                g_assert_cmpuint(type->n_queues, >=, 1);
                g_assert_cmpuint(type->n_queues + type->n_queues_silent, <=, 64);
                g_assert_cmpuint(type->queue_size, >=, 1);
                g_assert_cmpuint(type->queue_size & (type->queue_size - 1), ==, 0);
                g_assert_cmpuint(type->config_size, <=, 256);
                g_assert_cmpuint(type->writable_offset + type->writable_size, <=,
                                 type->config_size);
        }
}

static void test_parse(void)
{
        g_assert_cmpuint(device_id_parse("fs"), ==, 26);
        g_assert_cmpuint(device_id_parse("0x1a"), ==, 26);
        g_assert_cmpuint(device_id_parse("63"), ==, 63);
        g_assert_cmpuint(device_id_parse("64"), ==, 0);
        g_assert_cmpuint(device_id_parse("0"), ==, 0);
        g_assert_cmpuint(device_id_parse("-1"), ==, 0);
        g_assert_cmpuint(device_id_parse(""), ==, 0);
}

/* The digits are hexadecimal, and the peers that write decimal ones mean another device. */
static void test_xl(void)
{
        static const char *const wrong[] = {
                "virtio",

                "virtio,device0",  "virtio,device40",  "virtio,device-1",
                "virtio,device 1", "virtio,device0x1", "virtio,device1 ",
                "Virtio,device1",  "virtio,device1,2", "",
        };
        uint32_t id = 0;

        for (uint32_t i = 1; i <= DEVICE_ID_MAX; i++) {
                g_autofree char *lower = g_strdup_printf("virtio,device%x", i);
                g_autofree char *upper = g_strdup_printf("virtio,device%02X", i);

                g_assert_cmpint(device_id_parse_xl(lower, &id), ==, 0);
                g_assert_cmpuint(id, ==, i);
                g_assert_cmpint(device_id_parse_xl(upper, &id), ==, 0);
                g_assert_cmpuint(id, ==, i);
        }
        g_assert_cmpint(device_id_parse_xl("virtio,device1a", &id), ==, 0);
        g_assert_cmpstr(device_id_name(id), ==, "fs");
        g_assert_cmpint(device_id_parse_xl("virtio,device26", &id), ==, 0);
        g_assert_cmpstr(device_id_name(id), ==, "param-serv");
        g_assert_cmpint(device_id_parse_xl("virtio,device", &id), ==, 0);
        g_assert_cmpuint(id, ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                g_assert_cmpint(device_id_parse_xl(wrong[i], &id), <, 0);
        g_assert_cmpint(device_id_parse_xl("virtio,device100000000000000000022", &id), ==, -ERANGE);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/device-id/names", test_names);
        g_test_add_func("/device-id/types", test_types);
        g_test_add_func("/device-id/parse", test_parse);
        g_test_add_func("/device-id/xl", test_xl);
        return g_test_run();
}
