/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "orchestrator/spec.h"

#define UUID "8a5d2f0e-7d11-4f6e-9a55-0123456789ab"

/* What libxl writes for a disk; a row of a table changes one node of it. */
static const char *const disk_nodes[_NODE_MAX] = {
        [NODE_FRONTEND_ID] = "5",          [NODE_STATE] = "1",
        [NODE_BASE] = "33554432",          [NODE_IRQ] = "33",
        [NODE_TRANSPORT] = "mmio",         [NODE_GRANT_USAGE] = "0",
        [NODE_TYPE] = "standalone",        [NODE_SPECIFICATION] = "virtio",
        [NODE_PARAMS] = "/srv/guest1.img", [NODE_MODE] = "w",
        [NODE_DEVICE_TYPE] = "disk",       [NODE_DEV] = "xvda",
        [NODE_DOMAIN_VM] = "/vm/" UUID,    [NODE_DOMAIN_NAME] = "guest1",
        [NODE_DOMAIN_MEMORY] = "196608",
};

static const char *const virtio_nodes[_NODE_MAX] = {
        [NODE_FRONTEND_ID] = "5",        [NODE_STATE] = "1",
        [NODE_BASE] = "0x2000000",       [NODE_IRQ] = "33",
        [NODE_TRANSPORT] = "mmio",       [NODE_GRANT_USAGE] = "1",
        [NODE_TYPE] = "virtio,device22", [NODE_DOMAIN_VM] = "/vm/" UUID,
        [NODE_DOMAIN_NAME] = "guest1",   [NODE_DOMAIN_MEMORY] = "196608",
};

static const DeviceName disk = { 5, DEVICE_KIND_DISK, 51712 };
static const DeviceName virtio = { 5, DEVICE_KIND_VIRTIO, 0 };

static NodeSet nodes_make(const DeviceName *name)
{
        const char *const *from = name->kind == DEVICE_KIND_DISK ? disk_nodes : virtio_nodes;
        NodeSet nodes = { 0 };

        for (unsigned int i = 0; i < _NODE_MAX; i++)
                nodes.values[i] = from[i] ? strdup(from[i]) : NULL;
        return nodes;
}

static void node_change(NodeSet *nodes, Node node, const char *value)
{
        free(nodes->values[node]);
        nodes->values[node] = value ? strdup(value) : NULL;
}

static void test_disk(void)
{
        NodeSet nodes = nodes_make(&disk);
        g_autoptr(DeviceSpec) spec = NULL;
        g_autofree char *message = NULL;

        g_assert_cmpint(device_spec_parse(&disk, &nodes, &spec, &message), ==, 0);
        g_assert_null(message);
        g_assert_cmpstr(spec->uuid, ==, UUID);
        g_assert_cmpstr(spec->domain, ==, "guest1");
        g_assert_cmpuint(spec->memory_kib, ==, 196608);
        g_assert_cmphex(spec->base, ==, 0x2000000);
        g_assert_cmpuint(spec->irq, ==, 33);
        g_assert_cmpuint(spec->device_id, ==, 2);
        g_assert_false(spec->grant_usage);
        g_assert_cmpstr(spec->disk_path, ==, "/srv/guest1.img");
        g_assert_cmpstr(spec->disk_dev, ==, "xvda");
        g_assert_false(spec->disk_readonly);
        node_set_clear(&nodes);
}

static void test_virtio(void)
{
        NodeSet nodes = nodes_make(&virtio);
        g_autoptr(DeviceSpec) spec = NULL;
        g_autofree char *message = NULL;

        g_assert_cmpint(device_spec_parse(&virtio, &nodes, &spec, &message), ==, 0);
        g_assert_cmphex(spec->base, ==, 0x2000000);
        g_assert_cmpuint(spec->device_id, ==, 34);
        g_assert_true(spec->grant_usage);
        g_assert_null(spec->disk_path);
        node_set_clear(&nodes);
}

typedef struct Row {
        const DeviceName *name;
        Node node;
        const char *value;
} Row;

/* Unusual, and right. */
static const Row accepted[] = {
        { &disk, NODE_GRANT_USAGE, NULL },
        { &disk, NODE_GRANT_USAGE, "1" },
        { &disk, NODE_BASE, "0x2000200" },
        { &disk, NODE_BASE, "0x200" },
        { &disk, NODE_IRQ, "32" },
        { &disk, NODE_IRQ, "1019" },
        { &disk, NODE_MODE, "r" },
        { &disk, NODE_DEVICE_TYPE, "cdrom" },
        { &disk, NODE_TYPE, NULL },
        { &disk, NODE_PARAMS, "/srv/with space, comma, 50% \"quote\" 'x' \\ $HOME;.img" },
        { &disk, NODE_PARAMS, "/srv/\xc3\xa4\xe2\x82\xac.img" },
        { &disk, NODE_DOMAIN_NAME, "gäst 1" },
        { &disk, NODE_DOMAIN_MEMORY, "196611" },
        { &virtio, NODE_TYPE, "virtio,device1" },
        { &virtio, NODE_TYPE, "virtio,device1A" },
        { &virtio, NODE_TYPE, "virtio,device3f" },
        { &virtio, NODE_TYPE, "virtio,device" },
        { &virtio, NODE_BASE, "33554432" },
        { &virtio, NODE_PARAMS, "not looked at" },
};

static void test_accepted(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(accepted); i++) {
                const Row *row = &accepted[i];
                NodeSet nodes = nodes_make(row->name);
                g_autoptr(DeviceSpec) spec = NULL;
                g_autofree char *message = NULL;

                g_test_message("%s = %s", node_name(row->node), row->value);
                node_change(&nodes, row->node, row->value);
                g_assert_cmpint(device_spec_parse(row->name, &nodes, &spec, &message), ==, 0);
                g_assert_cmpuint(spec->memory_kib, ==, 196608);
                if (row->node == NODE_MODE || row->node == NODE_DEVICE_TYPE)
                        g_assert_true(spec->disk_readonly);
                if (row->node == NODE_PARAMS && row->name == &disk)
                        g_assert_cmpstr(spec->disk_path, ==, row->value);
                node_set_clear(&nodes);
        }
}

static const Row hostile[] = {
        { &disk, NODE_FRONTEND_ID, NULL },
        { &disk, NODE_FRONTEND_ID, "" },
        { &disk, NODE_FRONTEND_ID, "6" },
        { &disk, NODE_FRONTEND_ID, "-5" },
        { &disk, NODE_FRONTEND_ID, "32752" },
        { &disk, NODE_FRONTEND_ID, "65541" },
        { &disk, NODE_FRONTEND_ID, "5 " },
        { &disk, NODE_BASE, NULL },
        { &disk, NODE_BASE, "" },
        { &disk, NODE_BASE, "0" },
        { &disk, NODE_BASE, "0x" },
        { &disk, NODE_BASE, "0x2000100" },
        { &disk, NODE_BASE, "33554433" },
        { &disk, NODE_BASE, "-33554432" },
        { &disk, NODE_BASE, "+33554432" },
        { &disk, NODE_BASE, " 33554432" },
        { &disk, NODE_BASE, "33554432\n" },
        { &disk, NODE_BASE, "2000000h" },
        { &disk, NODE_BASE, "0x1000000000000" },
        { &disk, NODE_BASE, "0xfffffffffffffe00" },
        { &disk, NODE_BASE, "18446744073709551616" },
        { &disk, NODE_BASE,
          "99999999999999999999999999999999999999999999999999999999999999999999" },
        { &disk, NODE_IRQ, NULL },
        { &disk, NODE_IRQ, "0" },
        { &disk, NODE_IRQ, "31" },
        { &disk, NODE_IRQ, "1020" },
        { &disk, NODE_IRQ, "4294967329" },
        { &disk, NODE_IRQ, "thirty-three" },
        { &disk, NODE_TRANSPORT, NULL },
        { &disk, NODE_TRANSPORT, "pci" },
        { &disk, NODE_TRANSPORT, "MMIO" },
        { &disk, NODE_TRANSPORT, "mmio " },
        { &disk, NODE_GRANT_USAGE, "" },
        { &disk, NODE_GRANT_USAGE, "2" },
        { &disk, NODE_GRANT_USAGE, "yes" },
        { &disk, NODE_SPECIFICATION, NULL },
        { &disk, NODE_SPECIFICATION, "xen" },
        { &disk, NODE_PARAMS, NULL },
        { &disk, NODE_PARAMS, "" },
        { &disk, NODE_PARAMS, "guest1.img" },
        { &disk, NODE_PARAMS, "../../etc/shadow" },
        { &disk, NODE_PARAMS, "aio:/srv/guest1.img" },
        { &disk, NODE_PARAMS, "/srv/line\nbreak" },
        { &disk, NODE_PARAMS, "/srv/nul\1" },
        { &disk, NODE_PARAMS, "/srv/\x7f" },
        { &disk, NODE_PARAMS, "/srv/\xc2\x85" },
        { &disk, NODE_PARAMS, "/srv/\xff\xfe" },
        { &disk, NODE_PARAMS, "/srv/\xc3" },
        { &disk, NODE_MODE, NULL },
        { &disk, NODE_MODE, "" },
        { &disk, NODE_MODE, "rw" },
        { &disk, NODE_MODE, "x" },
        { &disk, NODE_DEVICE_TYPE, NULL },
        { &disk, NODE_DEVICE_TYPE, "tape" },
        { &disk, NODE_DEV, NULL },
        { &disk, NODE_DEV, "xvda\t" },
        { &disk, NODE_DOMAIN_VM, NULL },
        { &disk, NODE_DOMAIN_VM, "" },
        { &disk, NODE_DOMAIN_VM, UUID },
        { &disk, NODE_DOMAIN_VM, "/vm/" },
        { &disk, NODE_DOMAIN_VM, "/vm/../" },
        { &disk, NODE_DOMAIN_VM, "/vm/" UUID "0" },
        { &disk, NODE_DOMAIN_VM, "/vm/8a5d2f0e-7d11-4f6e-9a55-0123456789ag" },
        { &disk, NODE_DOMAIN_NAME, NULL },
        { &disk, NODE_DOMAIN_NAME, "" },
        { &disk, NODE_DOMAIN_NAME, "a\x1b[2Jb" },
        { &disk, NODE_DOMAIN_MEMORY, NULL },
        { &disk, NODE_DOMAIN_MEMORY, "0" },
        { &disk, NODE_DOMAIN_MEMORY, "3" },
        { &disk, NODE_DOMAIN_MEMORY, "1068498945" },
        { &disk, NODE_DOMAIN_MEMORY, "192M" },
        { &virtio, NODE_TYPE, NULL },
        { &virtio, NODE_TYPE, "" },
        { &virtio, NODE_TYPE, "virtio" },
        { &virtio, NODE_TYPE, "virtio,device0" },
        { &virtio, NODE_TYPE, "virtio,device40" },
        { &virtio, NODE_TYPE, "virtio,device0x22" },
        { &virtio, NODE_TYPE, "virtio,device-1" },
        { &virtio, NODE_TYPE, "virtio,device22 " },
        { &virtio, NODE_TYPE, "virtio,device22,device1a" },
        { &virtio, NODE_TYPE, "virtio,device100000000000000000022" },
        { &virtio, NODE_TYPE, "Virtio,device22" },
        { &virtio, NODE_TRANSPORT, "unknown" },
        { &virtio, NODE_BASE, "0" },
        { &virtio, NODE_IRQ, "0x400" },
};

/* One message, which begins with the node at fault and cannot spoil a terminal or a log. */
static void check_refused(const DeviceName *name, const NodeSet *nodes, Node node)
{
        g_autofree char *message = NULL;
        DeviceSpec *spec = NULL;

        g_assert_cmpint(device_spec_parse(name, nodes, &spec, &message), ==, -EINVAL);
        g_assert_null(spec);
        g_assert_nonnull(message);
        g_test_message("%s", message);
        g_assert_true(g_str_has_prefix(message, node_name(node)));
        g_assert_cmpuint(strlen(message), <, 512);
        g_assert_true(g_utf8_validate(message, -1, NULL));
        for (const char *c = message; *c != '\0'; c++)
                g_assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void test_hostile(void)
{
        g_assert_cmpuint(G_N_ELEMENTS(hostile), >=, 60);
        for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
                const Row *row = &hostile[i];
                NodeSet nodes = nodes_make(row->name);

                node_change(&nodes, row->node, row->value);
                check_refused(row->name, &nodes, row->node);
                node_set_clear(&nodes);
        }
}

static void test_hostile_sizes(void)
{
        g_autofree char *path = g_strnfill(5000, 'x');
        g_autofree char *number = g_strnfill(5000, '9');
        NodeSet nodes;

        path[0] = '/';
        nodes = nodes_make(&disk);
        node_change(&nodes, NODE_PARAMS, path);
        check_refused(&disk, &nodes, NODE_PARAMS);
        node_set_clear(&nodes);

        nodes = nodes_make(&disk);
        node_change(&nodes, NODE_BASE, number);
        check_refused(&disk, &nodes, NODE_BASE);
        node_set_clear(&nodes);

        nodes = (NodeSet){ 0 };
        check_refused(&disk, &nodes, NODE_FRONTEND_ID);
        check_refused(&virtio, &nodes, NODE_FRONTEND_ID);
}

/* Random bytes in every node: a message or a spec, and nothing else. */
static void test_random(void)
{
        for (unsigned int i = 0; i < 20000; i++) {
                const DeviceName *name = g_test_rand_bit() ? &disk : &virtio;
                NodeSet nodes = nodes_make(name);
                g_autoptr(DeviceSpec) spec = NULL;
                g_autofree char *message = NULL;
                char *value = nodes.values[g_test_rand_int_range(0, _NODE_MAX)];
                int r;

                if (value && *value != '\0')
                        value[g_test_rand_int_range(0, (int)strlen(value))] =
                                (char)g_test_rand_int_range(1, 256);
                r = device_spec_parse(name, &nodes, &spec, &message);
                g_assert_true((r == 0 && spec && !message) || (r == -EINVAL && !spec && message));
                node_set_clear(&nodes);
        }
}

static void test_state(void)
{
        static const char *const bad[] = { "", "0", "7", "-1", "1 ", "01x", "0x", "two", "11" };
        XenbusState state = XENBUS_UNKNOWN;

        g_assert_cmpint(xenbus_state_parse("1", &state), ==, 0);
        g_assert_cmpint(state, ==, XENBUS_INITIALISING);
        g_assert_cmpint(xenbus_state_parse("6", &state), ==, 0);
        g_assert_cmpint(state, ==, XENBUS_CLOSED);
        g_assert_cmpint(xenbus_state_parse(NULL, &state), ==, -EINVAL);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_cmpint(xenbus_state_parse(bad[i], &state), ==, -EINVAL);
        g_assert_cmpint(state, ==, XENBUS_CLOSED);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/spec/disk", test_disk);
        g_test_add_func("/spec/virtio", test_virtio);
        g_test_add_func("/spec/accepted", test_accepted);
        g_test_add_func("/spec/hostile", test_hostile);
        g_test_add_func("/spec/hostile-sizes", test_hostile_sizes);
        g_test_add_func("/spec/random", test_random);
        g_test_add_func("/spec/state", test_state);
        return g_test_run();
}
