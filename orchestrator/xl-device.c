/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/xl-device.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/launch.h"
#include "common/parse.h"
#include "orchestrator/vdev.h"

/* GUEST_VIRTIO_MMIO_BASE, and the SPIs from GUEST_VIRTIO_MMIO_SPI_FIRST on (public/arch-arm.h). */
#define MMIO_BASE   0x2000000U
#define IRQ_FIRST   33U
#define DEVICES_MAX 11

#define MEMORY_DEFAULT_MIB 128

typedef struct Reader {
        const XlConfig *config;
        const char *domain, *uuid;
        uint64_t memory_kib;
        GPtrArray *devices;
} Reader;

/* One entry of a list under way. */
typedef struct Entry {
        const Reader *reader;
        const XlValue *value;
        NodeSet nodes;
        uint32_t devid;
        char *problem;
} Entry;

/* One item of the entry: what stands between two commas. */
typedef struct Item {
        char *text;
        gsize offset; /* within the entry */
} Item;

static void device_free(void *data)
{
        XlDevice *device = data;

        device_spec_free(device->spec);
        g_free(device->problem);
        g_free(device);
}

/* Always returns -EINVAL, for "return refuse(…)". offset is within the entry. */
static int refuse(Entry *entry, gsize offset, const char *text, const char *reason)
{
        Position at = entry->value->at;

        if (entry->value->plain)
                at.column += (unsigned int)offset;
        entry->problem = position_message(entry->reader->config->path, at, "%s: %s", text, reason);
        return -EINVAL;
}

/* Sets a node, which must not have a value yet. */
static int set(Entry *entry, const Item *item, Node node, const char *value)
{
        if (entry->nodes.values[node])
                return refuse(entry, item->offset, item->text, "this has been said already");
        entry->nodes.values[node] = g_strdup(value);
        return 0;
}

/* Takes the next item off the entry, without the spaces before it. Returns false at the end. */
static bool item_next(const Entry *entry, gsize *offset, Item *ret_item)
{
        const char *text = entry->value->text;
        gsize start = *offset, end;

        if (text[start] == '\0')
                return false;
        start += strspn(text + start, " \t\n");
        end = start + strcspn(text + start, ",");
        *ret_item = (Item){ g_strndup(text + start, end - start), start };
        *offset = text[end] == ',' ? end + 1 : end;
        return true;
}

static void item_clear(Item *item)
{
        g_free(item->text);
}

/* What follows "KEY=", or NULL if the item has another key. */
static const char *item_value(const Item *item, const char *key)
{
        size_t length = strlen(key);

        return strncmp(item->text, key, length) == 0 && item->text[length] == '='
                       ? item->text + length + 1
                       : NULL;
}

static int read_format(Entry *entry, const Item *item, const char *value)
{
        if (strcmp(value, "raw") != 0 && *value != '\0')
                return refuse(entry, item->offset, item->text, "a virtio disk is raw");
        return 0;
}

static int read_access(Entry *entry, const Item *item, const char *value)
{
        if (strcmp(value, "r") == 0 || strcmp(value, "ro") == 0)
                return set(entry, item, NODE_MODE, "r");
        if (strcmp(value, "w") == 0 || strcmp(value, "rw") == 0 || *value == '\0')
                return set(entry, item, NODE_MODE, "w");
        return refuse(entry, item->offset, item->text, "this is neither r nor w");
}

static int read_vdev(Entry *entry, const Item *item, const char *value)
{
        g_autofree char *dev = g_strdup(value);
        char *colon = strrchr(dev, ':');
        int r;

        if (colon) {
                *colon++ = '\0';
                r = set(entry, item, NODE_DEVICE_TYPE, colon);
                if (r < 0)
                        return r;
        }
        if (vdev_parse(dev, &entry->devid) < 0)
                return refuse(entry, item->offset, item->text, "this is no virtual device");
        return set(entry, item, NODE_DEV, dev);
}

static int read_backend_type(Entry *entry, const Item *item, const char *value)
{
        if (strcmp(value, "standalone") == 0)
                return 0;
        return refuse(entry, item->offset, item->text, "a virtio disk is backendtype=standalone");
}

static int read_specification(Entry *entry, const Item *item, const char *value)
{
        return set(entry, item, NODE_SPECIFICATION, value);
}

static int read_grant_usage(Entry *entry, const Item *item, const char *value)
{
        return set(entry, item, NODE_GRANT_USAGE, value);
}

static int read_device_type(Entry *entry, const Item *item, const char *value)
{
        return set(entry, item, NODE_DEVICE_TYPE, value);
}

static int ignore(Entry *entry _unused_, const Item *item _unused_, const char *value _unused_)
{
        return 0;
}

typedef int (*ItemReader)(Entry *entry, const Item *item, const char *value);

static const struct {
        const char *key;
        ItemReader reader;
} disk_keys[] = {
        { "format", read_format },
        { "access", read_access },
        { "vdev", read_vdev },
        { "backendtype", read_backend_type },
        { "specification", read_specification },
        { "grant_usage", read_grant_usage },
        { "devtype", read_device_type },
        { "backend", ignore },
        { "script", ignore },
};

static const char *const disk_flags[] = { "direct-io-safe", "discard", "no-discard", "trusted",
                                          "untrusted" };

/* Without keys: target, format, vdev, access. "phy:" and the like before the target do nothing. */
static int read_positional(Entry *entry, const Item *item, unsigned int *n)
{
        static const char *const prefixes[] = { "phy:", "file:", "raw:", "aio:" };
        static const ItemReader readers[] = { NULL, read_format, read_vdev, read_access };
        const char *target = item->text;

        if (*n == G_N_ELEMENTS(readers))
                return refuse(entry, item->offset, item->text, "this is one word too many");
        if (readers[*n])
                return readers[(*n)++](entry, item, item->text);
        (*n)++;
        for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++) {
                if (g_str_has_prefix(target, prefixes[i]))
                        target += strlen(prefixes[i]);
        }
        return set(entry, item, NODE_PARAMS, target);
}

static int read_disk_item(Entry *entry, const Item *item, unsigned int *n_positional)
{
        for (size_t i = 0; i < G_N_ELEMENTS(disk_keys); i++) {
                const char *value = item_value(item, disk_keys[i].key);

                if (value)
                        return disk_keys[i].reader(entry, item, value);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(disk_flags); i++) {
                if (strcmp(item->text, disk_flags[i]) == 0)
                        return 0;
        }
        if (strcmp(item->text, "cdrom") == 0)
                return set(entry, item, NODE_DEVICE_TYPE, "cdrom");
        if (strchr(item->text, '='))
                return refuse(entry, item->offset, item->text, "unknown key of a disk");
        return read_positional(entry, item, n_positional);
}

static int read_disk(Entry *entry)
{
        unsigned int n_positional = 0;
        gsize offset = 0;
        int r = 0;

        while (r >= 0) {
                _cleanup_(item_clear) Item item = { 0 };

                if (!item_next(entry, &offset, &item))
                        break;
                /* The target eats the rest of the entry. */
                if (item_value(&item, "target")) {
                        r = set(entry, &item, NODE_PARAMS,
                                entry->value->text + item.offset + strlen("target="));
                        break;
                }
                r = read_disk_item(entry, &item, &n_positional);
        }
        if (r < 0)
                return r;
        if (!entry->nodes.values[NODE_PARAMS] || *entry->nodes.values[NODE_PARAMS] == '\0')
                return refuse(entry, 0, "target", "the disk has none");
        if (!entry->nodes.values[NODE_DEV])
                return refuse(entry, 0, "vdev", "the disk has none");
        if (!entry->nodes.values[NODE_MODE])
                entry->nodes.values[NODE_MODE] = g_strdup("w");
        if (!entry->nodes.values[NODE_DEVICE_TYPE])
                entry->nodes.values[NODE_DEVICE_TYPE] = g_strdup("disk");
        entry->nodes.values[NODE_TRANSPORT] = g_strdup("mmio");
        return 0;
}

static int read_virtio_item(Entry *entry, const Item *item)
{
        static const struct {
                const char *key;
                Node node;
        } keys[] = {
                { "type", NODE_TYPE },
                { "transport", NODE_TRANSPORT },
                { "grant_usage", NODE_GRANT_USAGE },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                if (item_value(item, keys[i].key))
                        return set(entry, item, keys[i].node, item_value(item, keys[i].key));
        }
        if (*item->text == '\0' || item_value(item, "backend"))
                return 0;
        return refuse(entry, item->offset, item->text, "unknown key of a virtio device");
}

static int read_virtio(Entry *entry)
{
        gsize offset = 0;
        int r = 0;

        while (r >= 0) {
                _cleanup_(item_clear) Item item = { 0 }, rest = { 0 };

                if (!item_next(entry, &offset, &item))
                        break;
                /* The one value that has a comma in it: "virtio,device1a". */
                if (g_strcmp0(item_value(&item, "type"), "virtio") == 0 &&
                    item_next(entry, &offset, &rest)) {
                        char *joined = g_strconcat(item.text, ",", rest.text, NULL);

                        g_free(item.text);
                        item.text = joined;
                }
                r = read_virtio_item(entry, &item);
        }
        if (r < 0)
                return r;
        if (!entry->nodes.values[NODE_TYPE])
                return refuse(entry, 0, "type", "it is missing: type=virtio,deviceN");
        if (!entry->nodes.values[NODE_TRANSPORT])
                return refuse(entry, 0, "transport", "it is missing: transport=mmio");
        return 0;
}

/* Adds what libxl adds. */
static void complete_nodes(Entry *entry, unsigned int index)
{
        const Reader *reader = entry->reader;
        /* libxl writes it in lower case, however it is given. */
        g_autofree char *uuid = g_ascii_strdown(reader->uuid, -1);
        char **values = entry->nodes.values;

        values[NODE_FRONTEND_ID] = g_strdup_printf("%d", XL_DOMID);
        values[NODE_BASE] = g_strdup_printf("%#x", MMIO_BASE + index * VIRTIO_MMIO_RANGE_SIZE);
        values[NODE_IRQ] = g_strdup_printf("%u", IRQ_FIRST + index);
        values[NODE_DOMAIN_NAME] = g_strdup(reader->domain);
        values[NODE_DOMAIN_VM] = g_strconcat("/vm/", uuid, NULL);
        values[NODE_DOMAIN_MEMORY] = g_strdup_printf("%" PRIu64, reader->memory_kib);
}

static void read_entry(Reader *reader, DeviceKind kind, const XlValue *value, uint32_t devid)
{
        Entry entry = { .reader = reader, .value = value, .devid = devid };
        XlDevice *device = g_new0(XlDevice, 1);
        g_autofree char *reason = NULL, *label = NULL;
        int r;

        device->at = value->at;
        if (reader->devices->len == DEVICES_MAX)
                r = refuse(&entry, 0, value->text, "libxl has no address for a twelfth device");
        else
                r = kind == DEVICE_KIND_DISK ? read_disk(&entry) : read_virtio(&entry);
        device->name = (DeviceName){ XL_DOMID, kind, entry.devid };
        label = g_strdup_printf("%s-%" PRIu32, device_kind_name(kind), entry.devid);
        complete_nodes(&entry, reader->devices->len);
        if (r >= 0 && device_spec_parse(&device->name, &entry.nodes, &device->spec, &reason) < 0)
                refuse(&entry, 0, label, reason);
        device->problem = entry.problem;
        node_set_clear(&entry.nodes);
        g_ptr_array_add(reader->devices, device);
}

/* Whether the entry of disk= says so, anywhere before a target that eats the rest. */
static bool disk_is_virtio(const XlValue *value)
{
        const Entry entry = { .value = value };
        gsize offset = 0;

        for (;;) {
                _cleanup_(item_clear) Item item = { 0 };

                if (!item_next(&entry, &offset, &item) || item_value(&item, "target"))
                        return false;
                if (strcmp(item.text, "specification=virtio") == 0)
                        return true;
        }
}

static int read_entries(Reader *reader, const char *name, DeviceKind kind, char **ret_message)
{
        const XlSetting *setting = xl_config_find(reader->config, name);
        uint32_t devid = 0;

        if (!setting)
                return 0;
        for (unsigned int i = 0; i < setting->values->len; i++) {
                const XlValue *value = setting->values->pdata[i];

                if (!setting->is_list || !value->text) {
                        *ret_message = position_message(reader->config->path, value->at,
                                                        "%s: this is no list of strings", name);
                        return -EINVAL;
                }
                if (kind == DEVICE_KIND_VIRTIO || disk_is_virtio(value))
                        read_entry(reader, kind, value, devid++);
        }
        return 0;
}

/* The value of a setting that is one string or number; NULL if it is not there. */
static const XlValue *find_value(const XlConfig *config, const char *name)
{
        const XlSetting *setting = xl_config_find(config, name);

        return setting && !setting->is_list ? setting->values->pdata[0] : NULL;
}

static int read_memory(Reader *reader, char **ret_message)
{
        const XlValue *value = find_value(reader->config, "maxmem");
        uint64_t mib = MEMORY_DEFAULT_MIB;

        if (!value)
                value = find_value(reader->config, "memory");
        if (value && (parse_unsigned(value->text, UINT64_C(1019) << 10, &mib) < 0 || mib == 0)) {
                *ret_message = position_message(reader->config->path, value->at,
                                                "memory: \"%s\" is no number of MiB", value->text);
                return -EINVAL;
        }
        reader->memory_kib = mib << 10;
        return 0;
}

static int read_guest(Reader *reader, char **ret_message)
{
        const XlValue *name = find_value(reader->config, "name");
        const XlValue *uuid = find_value(reader->config, "uuid");

        if (!name || *name->text == '\0') {
                *ret_message =
                        position_message(reader->config->path, name ? name->at : (Position){ 1, 1 },
                                         "name: the guest has none");
                return -EINVAL;
        }
        if (uuid && !g_uuid_string_is_valid(uuid->text)) {
                *ret_message = position_message(reader->config->path, uuid->at,
                                                "uuid: \"%s\" is no UUID", uuid->text);
                return -EINVAL;
        }
        reader->domain = name->text;
        reader->uuid = uuid ? uuid->text : XL_UUID;
        return read_memory(reader, ret_message);
}

int xl_devices_read(const XlConfig *config, GPtrArray **ret_devices, char **ret_message)
{
        g_autoptr(GPtrArray) devices = g_ptr_array_new_with_free_func(device_free);
        Reader reader = { .config = config, .devices = devices };
        int r;

        r = read_guest(&reader, ret_message);
        if (r >= 0)
                r = read_entries(&reader, "disk", DEVICE_KIND_DISK, ret_message);
        if (r >= 0)
                r = read_entries(&reader, "virtio", DEVICE_KIND_VIRTIO, ret_message);
        if (r < 0)
                return r;
        *ret_devices = g_steal_pointer(&devices);
        return 0;
}
