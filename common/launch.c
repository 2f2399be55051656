/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "common/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/device-name.h"
#include "common/device-type.h"
#include "common/parse.h"
#include "common/small-file.h"

enum {
        KEY_VERSION,
        KEY_UUID,
        KEY_SERVER,
        KEY_BASE,
        KEY_IRQ,
        KEY_DEVICE_ID,
        KEY_MEMORY_KIB,
        KEY_GRANT_USAGE,
        _KEY_NEEDED_MAX, /* the keys before this one have to be there */
        KEY_MEMORY = _KEY_NEEDED_MAX,
        KEY_DOMAIN,
        KEY_NET_MAC,
        KEY_NET_MTU,
        KEY_NET_QUEUE_PAIRS,
        KEY_FS_TAG,
        KEY_FS_REQUEST_QUEUES,
        KEY_VSOCK_CID,
        KEY_CONFIG_SIZE,
        KEY_CONFIG,
        _KEY_MAX,
};

/* 8-4-4-4-12 hexadecimal digits. */
static int uuid_parse(const char *value, Launch *launch)
{
        if (strlen(value) != LAUNCH_UUID_SIZE - 1)
                return -EINVAL;
        for (size_t i = 0; i < LAUNCH_UUID_SIZE - 1; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;

                if (dash ? value[i] != '-' : !strchr("0123456789abcdefABCDEF", value[i]))
                        return -EINVAL;
        }
        memcpy(launch->uuid, value, LAUNCH_UUID_SIZE);
        return 0;
}

static int memory_parse(const char *value, Launch *launch)
{
        return memory_choice_parse(value, &launch->memory);
}

static int mac_parse(const char *value, Launch *launch)
{
        return parse_mac(value, launch->config.net_mac);
}

/* What fits, is not empty, and is one line of printable characters, whatever they mean. */
static int name_parse(const char *value, char *ret_name, size_t size)
{
        const size_t length = strlen(value);

        if (length == 0 || length >= size)
                return -ERANGE;
        for (size_t i = 0; i < length; i++) {
                if ((unsigned char)value[i] < ' ' || value[i] == '\x7f')
                        return -EINVAL;
        }
        memcpy(ret_name, value, length + 1);
        return 0;
}

static int domain_parse(const char *value, Launch *launch)
{
        return name_parse(value, launch->domain, sizeof(launch->domain));
}

void launch_set_domain(Launch *launch, const char *name)
{
        if (domain_parse(name, launch) < 0)
                launch->domain[0] = '\0';
}

static int tag_parse(const char *value, Launch *launch)
{
        return name_parse(value, launch->config.fs_tag, sizeof(launch->config.fs_tag));
}

/* "OFFSET:BYTES", two hexadecimal digits for each byte. */
static int bytes_parse(const char *value, Launch *launch)
{
        LaunchConfig *config = &launch->config;
        const char *digits = strchr(value, ':');
        char offset[sizeof("0x100")];
        uint64_t number;
        size_t size;
        int r;

        if (!digits || (size_t)(digits - value) >= sizeof(offset))
                return -EINVAL;
        memcpy(offset, value, (size_t)(digits - value));
        offset[digits - value] = '\0';
        r = parse_unsigned(offset, LAUNCH_CONFIG_SIZE - 1, &number);
        if (r < 0)
                return r;
        digits++;
        size = strlen(digits) / 2;
        if (size == 0 || size * 2 != strlen(digits))
                return -EINVAL;
        if (size > LAUNCH_CONFIG_SIZE - number)
                return -ERANGE;
        for (size_t i = 0; i < size; i++) {
                r = parse_hex_byte(digits + 2 * i);
                if (r < 0)
                        return r;
                config->bytes[i] = (uint8_t)r;
        }
        config->bytes_offset = (uint16_t)number;
        config->bytes_size = (uint16_t)size;
        return 0;
}

static const struct {
        const char *name;
        int (*parse)(const char *value, Launch *launch); /* NULL: it is a number, */
        uint64_t min, max;                               /* in this range */
        uint32_t device_id;                              /* of this type only; 0: of all */
} keys[_KEY_MAX] = {
        [KEY_VERSION] = { "VERSION", NULL, 0, UINT64_MAX, 0 },
        [KEY_UUID] = { "UUID", uuid_parse, 0, 0, 0 },
        [KEY_SERVER] = { "SERVER", NULL, 0, UINT16_MAX, 0 },
        [KEY_BASE] = { "BASE", NULL, VIRTIO_MMIO_RANGE_SIZE, (UINT64_C(1) << 48) - 1, 0 },
        [KEY_IRQ] = { "IRQ", NULL, 32, 1019, 0 },
        [KEY_DEVICE_ID] = { "DEVICE_ID", NULL, 1, 63, 0 },
        /* Arm guests have at most 3 GiB + 1016 GiB of RAM (GUEST_RAM*_SIZE, public/arch-arm.h). */
        [KEY_MEMORY_KIB] = { "MEMORY_KIB", NULL, 4, UINT64_C(1019) << 20, 0 },
        [KEY_GRANT_USAGE] = { "GRANT_USAGE", NULL, 0, 1, 0 },
        [KEY_MEMORY] = { "MEMORY", memory_parse, 0, 0, 0 },
        [KEY_DOMAIN] = { "DOMAIN", domain_parse, 0, 0, 0 },
        [KEY_NET_MAC] = { "NET_MAC", mac_parse, 0, 0, VIRTIO_ID_NET },
        [KEY_NET_MTU] = { "NET_MTU", NULL, 68, UINT16_MAX, VIRTIO_ID_NET },
        /* With their control queue these are 63 queues, of 64 (VIRTIO_QUEUES_MAX). */
        [KEY_NET_QUEUE_PAIRS] = { "NET_QUEUE_PAIRS", NULL, 1, 31, VIRTIO_ID_NET },
        [KEY_FS_TAG] = { "FS_TAG", tag_parse, 0, 0, VIRTIO_ID_FS },
        /* With the queue for urgent requests these are 64 queues. */
        [KEY_FS_REQUEST_QUEUES] = { "FS_REQUEST_QUEUES", NULL, 1, 63, VIRTIO_ID_FS },
        [KEY_VSOCK_CID] = { "VSOCK_CID", NULL, 3, UINT32_MAX - 1, VIRTIO_ID_VSOCK },
        [KEY_CONFIG_SIZE] = { "CONFIG_SIZE", NULL, 1, LAUNCH_CONFIG_SIZE, 0 },
        [KEY_CONFIG] = { "CONFIG", bytes_parse, 0, 0, 0 },
};

static int value_parse(unsigned int key, const char *value, Launch *launch, uint64_t *ret_number)
{
        int r;

        if (keys[key].parse)
                return keys[key].parse(value, launch);

        r = parse_unsigned(value, keys[key].max, ret_number);
        if (r < 0)
                return r;
        if (*ret_number < keys[key].min)
                return -ERANGE;
        if (key == KEY_VERSION && *ret_number != LAUNCH_VERSION)
                return -EPROTO;
        if (key == KEY_BASE && *ret_number % VIRTIO_MMIO_RANGE_SIZE != 0)
                return -EINVAL;
        if (key == KEY_MEMORY_KIB && *ret_number % 4 != 0)
                return -EINVAL;
        return 0;
}

/* Which key the line "KEY=VALUE" sets; _KEY_MAX if none. The value starts behind the "=". */
static unsigned int line_key(char *line, char **ret_value)
{
        char *equals = strchr(line, '=');
        unsigned int key = 0;

        if (!equals)
                return _KEY_MAX;
        *equals = '\0';
        *ret_value = equals + 1;
        while (key < _KEY_MAX && strcmp(line, keys[key].name) != 0)
                key++;
        return key;
}

/* The first key that is missing, or that is another device type's; _KEY_MAX if there is none. */
static unsigned int keys_check(const bool *seen, uint64_t device_id)
{
        for (unsigned int key = 0; key < _KEY_MAX; key++) {
                if (seen[key] ? keys[key].device_id != 0 && keys[key].device_id != device_id
                              : key < _KEY_NEEDED_MAX)
                        return key;
        }
        return _KEY_MAX;
}

static void numbers_take(const uint64_t *numbers, Launch *launch)
{
        launch->server = (uint16_t)numbers[KEY_SERVER];
        launch->base = numbers[KEY_BASE];
        launch->irq = (uint32_t)numbers[KEY_IRQ];
        launch->device_id = (uint32_t)numbers[KEY_DEVICE_ID];
        launch->memory_kib = numbers[KEY_MEMORY_KIB];
        launch->grant_usage = numbers[KEY_GRANT_USAGE] != 0;
        launch->config.net_mtu = (uint16_t)numbers[KEY_NET_MTU];
        launch->config.net_queue_pairs = (uint16_t)numbers[KEY_NET_QUEUE_PAIRS];
        launch->config.fs_request_queues = (uint16_t)numbers[KEY_FS_REQUEST_QUEUES];
        launch->config.vsock_cid = (uint32_t)numbers[KEY_VSOCK_CID];
        launch->config.size = (uint16_t)numbers[KEY_CONFIG_SIZE];
}

static int lines_parse(char *text, Launch *launch, const char **ret_key)
{
        uint64_t numbers[_KEY_MAX] = { 0 };
        bool seen[_KEY_MAX] = { false };
        char *rest = text, *line;
        unsigned int key;

        while ((line = strsep(&rest, "\n"))) {
                char *value;
                int r;

                if (*line == '\0')
                        continue;
                key = line_key(line, &value);
                if (key == _KEY_MAX)
                        return -EINVAL;
                *ret_key = keys[key].name;
                if (seen[key])
                        return -EINVAL;
                seen[key] = true;
                r = value_parse(key, value, launch, &numbers[key]);
                if (r < 0)
                        return r;
        }
        key = keys_check(seen, numbers[KEY_DEVICE_ID]);
        if (key < _KEY_MAX) {
                *ret_key = keys[key].name;
                return -EINVAL;
        }
        numbers_take(numbers, launch);
        return 0;
}

int launch_parse(const char *text, size_t size, Launch *ret_launch, const char **ret_key)
{
        char copy[LAUNCH_FILE_LIMIT + 1];
        Launch launch = { 0 };
        const char *key = "";
        int r = -EINVAL;

        if (size < sizeof(copy) && !memchr(text, '\0', size)) {
                memcpy(copy, text, size);
                copy[size] = '\0';
                r = lines_parse(copy, &launch, &key);
        }
        if (r < 0) {
                if (ret_key)
                        *ret_key = key;
                return r;
        }

        *ret_launch = launch;
        return 0;
}

/* Text that grows. length goes on beyond size, where nothing is written any more. */
typedef struct Text {
        char *text;
        size_t size, length;
} Text;

static void _printf_(2, 3) text_add(Text *text, const char *format, ...)
{
        const bool fits = text->length < text->size;
        va_list arguments;
        int n;

        va_start(arguments, format);
        n = vsnprintf(fits ? text->text + text->length : NULL, fits ? text->size - text->length : 0,
                      format, arguments);
        va_end(arguments);
        text->length += (size_t)n;
}

/* The keys that may be left out. */
static void config_format(const LaunchConfig *config, Text *text)
{
        const uint8_t *mac = config->net_mac;
        static const uint8_t none[LAUNCH_MAC_SIZE];

        if (memcmp(mac, none, sizeof(none)) != 0)
                text_add(text, "NET_MAC=%02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2],
                         mac[3], mac[4], mac[5]);
        if (config->net_mtu > 0)
                text_add(text, "NET_MTU=%" PRIu16 "\n", config->net_mtu);
        if (config->net_queue_pairs > 0)
                text_add(text, "NET_QUEUE_PAIRS=%" PRIu16 "\n", config->net_queue_pairs);
        if (config->fs_tag[0] != '\0')
                text_add(text, "FS_TAG=%s\n", config->fs_tag);
        if (config->fs_request_queues > 0)
                text_add(text, "FS_REQUEST_QUEUES=%" PRIu16 "\n", config->fs_request_queues);
        if (config->vsock_cid > 0)
                text_add(text, "VSOCK_CID=%" PRIu32 "\n", config->vsock_cid);
        if (config->size > 0)
                text_add(text, "CONFIG_SIZE=%" PRIu16 "\n", config->size);
        if (config->bytes_size > 0) {
                text_add(text, "CONFIG=%" PRIu16 ":", config->bytes_offset);
                for (uint16_t i = 0; i < config->bytes_size; i++)
                        text_add(text, "%02x", config->bytes[i]);
                text_add(text, "\n");
        }
}

int launch_format(const Launch *launch, char *text, size_t size)
{
        Text made = { .text = text, .size = size };

        text_add(&made,
                 "VERSION=%d\n"
                 "UUID=%s\n"
                 "SERVER=%" PRIu16 "\n"
                 "BASE=%#" PRIx64 "\n"
                 "IRQ=%" PRIu32 "\n"
                 "DEVICE_ID=%" PRIu32 "\n"
                 "MEMORY_KIB=%" PRIu64 "\n"
                 "GRANT_USAGE=%d\n"
                 "MEMORY=%s\n",
                 LAUNCH_VERSION, launch->uuid, launch->server, launch->base, launch->irq,
                 launch->device_id, launch->memory_kib, launch->grant_usage,
                 memory_choice_name(launch->memory));
        if (launch->domain[0] != '\0')
                text_add(&made, "DOMAIN=%s\n", launch->domain);
        config_format(&launch->config, &made);
        return made.length < size ? (int)made.length : -ENOSPC;
}

/* size: of the text, or the negative errno of reading it. */
static int text_parse(const char *text, ssize_t size, Launch *ret_launch, const char **ret_key)
{
        if (size >= 0)
                return launch_parse(text, (size_t)size, ret_launch, ret_key);
        if (ret_key)
                *ret_key = "";
        return (int)size;
}

int launch_read(int dirfd, Launch *ret_launch, const char **ret_key)
{
        char text[LAUNCH_FILE_LIMIT];

        return text_parse(text, small_file_read_at(dirfd, LAUNCH_FILE, text, sizeof(text)),
                          ret_launch, ret_key);
}

int launch_read_fd(int fd, Launch *ret_launch, const char **ret_key)
{
        char text[LAUNCH_FILE_LIMIT];

        return text_parse(text, small_file_read(fd, text, sizeof(text)), ret_launch, ret_key);
}

int launch_write(int dirfd, const Launch *launch)
{
        char text[LAUNCH_FILE_LIMIT];
        int length;

        length = launch_format(launch, text, sizeof(text));
        if (length < 0)
                return length;
        return small_file_replace(dirfd, LAUNCH_FILE, text, (size_t)length);
}
