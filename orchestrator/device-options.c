/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/device-options.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/parse.h"

#define ID_NET   1
#define ID_VSOCK 19
#define ID_FS    26

/* virtio 1.3, section 5.11.4: the tag's bytes, if all are used. */
#define FS_TAG_MAX 36

/* VMADDR_CID_HYPERVISOR, _LOCAL and _HOST come before, VMADDR_CID_ANY after these. */
#define CID_MIN 3
#define CID_MAX (UINT32_MAX - 1)

#define MAC_SIZE 6

static const struct {
        uint32_t device_id;
        const char *variable;
        uint64_t min, max; /* both 0: not a number */
} options[_DEVICE_OPTION_MAX] = {
        [OPTION_NET_MAC] = { ID_NET, "net.mac", 0, 0 },
        [OPTION_NET_MTU] = { ID_NET, "net.mtu", 68, UINT16_MAX },
        [OPTION_NET_QUEUE_PAIRS] = { ID_NET, "net.queue_pairs", 1, 31 },
        [OPTION_FS_TAG] = { ID_FS, "fs.tag", 0, 0 },
        [OPTION_FS_REQUEST_QUEUES] = { ID_FS, "fs.request_queues", 1, 63 },
        [OPTION_VSOCK_CID] = { ID_VSOCK, "vsock.cid", CID_MIN, CID_MAX },
};

const char *device_option_variable(DeviceOption option)
{
        return options[option].variable;
}

int device_option_find(uint32_t device_id, const char *key)
{
        for (unsigned int i = 0; i < _DEVICE_OPTION_MAX; i++) {
                if (options[i].device_id == device_id &&
                    strcmp(strchr(options[i].variable, '.') + 1, key) == 0)
                        return (int)i;
        }
        return -ENOENT;
}

/* "00:16:3e:12:34:56": one card's address, not a group's, and not nobody's. */
static bool mac_is_valid(const char *value)
{
        uint64_t all = 0;

        if (strlen(value) != 3 * MAC_SIZE - 1)
                return false;
        for (unsigned int i = 0; i < MAC_SIZE; i++, value += 3) {
                if (!g_ascii_isxdigit(value[0]) || !g_ascii_isxdigit(value[1]) ||
                    (i < MAC_SIZE - 1 && value[2] != ':'))
                        return false;
                all = all << 8 | (uint64_t)(g_ascii_xdigit_value(value[0]) * 16 +
                                            g_ascii_xdigit_value(value[1]));
        }
        return all != 0 && (all >> 40 & 1) == 0;
}

int device_option_check(DeviceOption option, const char *value, char **ret_reason)
{
        uint64_t number;

        if (option == OPTION_NET_MAC) {
                if (mac_is_valid(value))
                        return 0;
                *ret_reason = g_strdup_printf("\"%s\" is not the MAC address of a card", value);
        } else if (option == OPTION_FS_TAG) {
                if (*value != '\0' && strlen(value) <= FS_TAG_MAX && !strchr(value, '\t'))
                        return 0;
                *ret_reason = g_strdup_printf("a tag has 1 to %d bytes and no tabs", FS_TAG_MAX);
        } else {
                if (parse_unsigned(value, options[option].max, &number) >= 0 &&
                    number >= options[option].min)
                        return 0;
                *ret_reason =
                        g_strdup_printf("\"%s\" is no number between %" PRIu64 " and %" PRIu64,
                                        value, options[option].min, options[option].max);
        }
        return -EINVAL;
}

static char *mac_make(const DeviceSpec *spec)
{
        g_autofree char *name = g_strdup_printf("%s/%" PRIu32, spec->uuid, spec->name.devid);
        g_autofree char *lower = g_ascii_strdown(name, -1);
        g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
        uint8_t mac[32];
        gsize size = sizeof(mac);

        g_checksum_update(checksum, (const guchar *)lower, -1);
        g_checksum_get_digest(checksum, mac, &size);
        /* Locally administered, and not a group's. */
        mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
        return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                               mac[4], mac[5]);
}

void device_options_complete(const DeviceSpec *spec, DeviceOptions *device_options)
{
        char **values = device_options->values;

        if (spec->device_id == ID_NET && !values[OPTION_NET_MAC])
                values[OPTION_NET_MAC] = mac_make(spec);
        if (spec->device_id == ID_FS && !values[OPTION_FS_TAG])
                values[OPTION_FS_TAG] = g_strdup_printf("fs%" PRIu32, spec->name.devid);
        if (spec->device_id == ID_VSOCK && !values[OPTION_VSOCK_CID])
                values[OPTION_VSOCK_CID] =
                        g_strdup_printf("%u", (unsigned int)spec->name.domid + CID_MIN);
}

static uint64_t number_of(const DeviceOptions *device_options, DeviceOption option)
{
        const char *value = device_options->values[option];
        uint64_t number = 0;

        /* It was checked when it was set. */
        return value && parse_unsigned(value, options[option].max, &number) >= 0 ? number : 0;
}

void device_options_hand_over(const DeviceOptions *device_options, LaunchConfig *config)
{
        const char *mac = device_options->values[OPTION_NET_MAC];
        const char *tag = device_options->values[OPTION_FS_TAG];

        *config = (LaunchConfig){
                .net_mtu = (uint16_t)number_of(device_options, OPTION_NET_MTU),
                .net_queue_pairs = (uint16_t)number_of(device_options, OPTION_NET_QUEUE_PAIRS),
                .fs_request_queues = (uint16_t)number_of(device_options, OPTION_FS_REQUEST_QUEUES),
                .vsock_cid = (uint32_t)number_of(device_options, OPTION_VSOCK_CID),
        };
        for (unsigned int i = 0; mac && i < MAC_SIZE; i++)
                config->net_mac[i] = (uint8_t)(g_ascii_xdigit_value(mac[3 * i]) * 16 +
                                               g_ascii_xdigit_value(mac[3 * i + 1]));
        if (tag)
                g_strlcpy(config->fs_tag, tag, sizeof(config->fs_tag));
}

void device_options_clear(DeviceOptions *device_options)
{
        for (unsigned int i = 0; i < _DEVICE_OPTION_MAX; i++) {
                g_free(device_options->values[i]);
                device_options->values[i] = NULL;
        }
}
