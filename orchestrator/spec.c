/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/spec.h"

#include <errno.h>
#include <string.h>

#include "common/device-id.h"
#include "common/device-type.h"
#include "common/parse.h"

#define VM_PREFIX "/vm/"

/* As in common/launch.c, which refuses the same on the other side. */
#define BASE_MAX ((UINT64_C(1) << 48) - VIRTIO_MMIO_RANGE_SIZE)
#define IRQ_MIN  32
#define IRQ_MAX  1019

/* Longest text taken over from a node; a file system path at most. */
#define TEXT_MAX 4095

/* How much of a value a message quotes. */
#define QUOTE_MAX 64

typedef struct Reader {
        const NodeSet *nodes;
        char *message; /* about the first node at fault */
} Reader;

/* Always returns -EINVAL, for "return refuse(…)". */
static int refuse(Reader *reader, Node node, const char *reason)
{
        const char *value = reader->nodes->values[node];
        g_autofree char *start = NULL, *quoted = NULL;

        if (!value) {
                reader->message = g_strdup_printf("%s: the node is missing", node_name(node));
                return -EINVAL;
        }
        start = g_strndup(value, QUOTE_MAX);
        quoted = g_strescape(start, NULL);
        reader->message = g_strdup_printf("%s: \"%s\"%s %s", node_name(node), quoted,
                                          strlen(value) > QUOTE_MAX ? "…" : "", reason);
        return -EINVAL;
}

static int read_number(Reader *reader, Node node, uint64_t min, uint64_t max, uint64_t *ret_number)
{
        uint64_t number;
        int r;

        r = parse_unsigned(reader->nodes->values[node], UINT64_MAX, &number);
        if (r == -EINVAL)
                return refuse(reader, node, "is not a number");
        if (r < 0 || number < min || number > max)
                return refuse(reader, node, "is out of range");

        *ret_number = number;
        return 0;
}

/* Text that ends up in arguments, unit files and messages: printable, and not without end. */
static int read_text(Reader *reader, Node node, const char **ret_text)
{
        const char *text = reader->nodes->values[node];

        if (!text)
                return refuse(reader, node, NULL);
        if (*text == '\0')
                return refuse(reader, node, "is empty");
        if (strlen(text) > TEXT_MAX)
                return refuse(reader, node, "is too long");
        if (!g_utf8_validate(text, -1, NULL))
                return refuse(reader, node, "is not UTF-8");
        for (const char *c = text; *c != '\0'; c = g_utf8_next_char(c)) {
                if (g_unichar_iscntrl(g_utf8_get_char(c)))
                        return refuse(reader, node, "contains control characters");
        }

        *ret_text = text;
        return 0;
}

static int require(Reader *reader, Node node, const char *value, const char *reason)
{
        if (g_strcmp0(reader->nodes->values[node], value) != 0)
                return refuse(reader, node, reason);
        return 0;
}

static int read_domain(Reader *reader, DeviceSpec *spec)
{
        const char *vm, *domain;
        uint64_t number;
        int r;

        r = read_number(reader, NODE_FRONTEND_ID, 0, DOMID_RESERVED - 1, &number);
        if (r < 0)
                return r;
        if (number != spec->name.domid)
                return refuse(reader, NODE_FRONTEND_ID, "is another domain than the path's");

        r = read_text(reader, NODE_DOMAIN_VM, &vm);
        if (r < 0)
                return r;
        if (!g_str_has_prefix(vm, VM_PREFIX) || !g_uuid_string_is_valid(vm + strlen(VM_PREFIX)))
                return refuse(reader, NODE_DOMAIN_VM, "is not /vm/ and a UUID");
        g_strlcpy(spec->uuid, vm + strlen(VM_PREFIX), sizeof(spec->uuid));

        r = read_text(reader, NODE_DOMAIN_NAME, &domain);
        if (r < 0)
                return r;
        spec->domain = g_strdup(domain);

        r = read_number(reader, NODE_DOMAIN_MEMORY, 4, UINT64_C(1019) << 20, &number);
        if (r < 0)
                return r;
        spec->memory_kib = number - number % 4;
        return 0;
}

/* Where the guest finds the device. The bases are hexadecimal for one kind, decimal for the other.
 */
static int read_transport(Reader *reader, DeviceSpec *spec)
{
        uint64_t number;
        int r;

        r = require(reader, NODE_TRANSPORT, "mmio", "is not supported, only transport=mmio is");
        if (r < 0)
                return r;

        r = read_number(reader, NODE_BASE, VIRTIO_MMIO_RANGE_SIZE, BASE_MAX, &spec->base);
        if (r < 0)
                return r;
        if (spec->base % VIRTIO_MMIO_RANGE_SIZE != 0)
                return refuse(reader, NODE_BASE, "is not a multiple of 0x200");

        r = read_number(reader, NODE_IRQ, IRQ_MIN, IRQ_MAX, &number);
        if (r < 0)
                return r;
        spec->irq = (uint32_t)number;

        /* Xen before 4.18 (before 4.19 for disks) does not write it; it means no. */
        number = 0;
        if (reader->nodes->values[NODE_GRANT_USAGE]) {
                r = read_number(reader, NODE_GRANT_USAGE, 0, 1, &number);
                if (r < 0)
                        return r;
        }
        spec->grant_usage = number != 0;
        return 0;
}

static int read_device_id(Reader *reader, DeviceSpec *spec)
{
        const char *type = reader->nodes->values[NODE_TYPE];
        int r;

        if (!type)
                return refuse(reader, NODE_TYPE, NULL);
        r = device_id_parse_xl(type, &spec->device_id);
        if (r == -EINVAL)
                return refuse(reader, NODE_TYPE, "is not virtio,deviceN");
        if (r < 0)
                return refuse(reader, NODE_TYPE, "has no device id between 1 and 3f");
        return 0;
}

static int read_disk(Reader *reader, DeviceSpec *spec)
{
        const char *path, *dev;
        const char *mode = reader->nodes->values[NODE_MODE];
        bool cdrom;
        int r;

        r = require(reader, NODE_SPECIFICATION, "virtio", "is not virtio");
        if (r < 0)
                return r;
        r = read_text(reader, NODE_PARAMS, &path);
        if (r < 0)
                return r;
        if (path[0] != '/')
                return refuse(reader, NODE_PARAMS, "is not an absolute path");
        r = read_text(reader, NODE_DEV, &dev);
        if (r < 0)
                return r;

        cdrom = g_strcmp0(reader->nodes->values[NODE_DEVICE_TYPE], "cdrom") == 0;
        if (!cdrom) {
                r = require(reader, NODE_DEVICE_TYPE, "disk", "is neither disk nor cdrom");
                if (r < 0)
                        return r;
        }
        if (g_strcmp0(mode, "w") != 0 && g_strcmp0(mode, "r") != 0)
                return refuse(reader, NODE_MODE, "is neither r nor w");

        spec->device_id = VIRTIO_ID_BLK;
        spec->disk_path = g_strdup(path);
        spec->disk_dev = g_strdup(dev);
        spec->disk_readonly = cdrom || *mode == 'r';
        return 0;
}

int device_spec_parse(const DeviceName *name, const NodeSet *nodes, DeviceSpec **ret_spec,
                      char **ret_message)
{
        g_autoptr(DeviceSpec) spec = g_new0(DeviceSpec, 1);
        Reader reader = { .nodes = nodes };
        int r;

        spec->name = *name;
        r = read_domain(&reader, spec);
        if (r >= 0)
                r = read_transport(&reader, spec);
        if (r >= 0)
                r = name->kind == DEVICE_KIND_DISK ? read_disk(&reader, spec)
                                                   : read_device_id(&reader, spec);
        if (r < 0) {
                *ret_message = reader.message;
                return r;
        }

        *ret_spec = g_steal_pointer(&spec);
        return 0;
}

DeviceSpec *device_spec_free(DeviceSpec *spec)
{
        if (!spec)
                return NULL;
        g_free(spec->domain);
        g_free(spec->disk_path);
        g_free(spec->disk_dev);
        g_free(spec);
        return NULL;
}

int xenbus_state_parse(const char *text, XenbusState *ret_state)
{
        uint64_t number;
        int r;

        r = parse_unsigned(text, XENBUS_CLOSED, &number);
        if (r < 0 || number < XENBUS_INITIALISING)
                return -EINVAL;

        *ret_state = (XenbusState)number;
        return 0;
}
