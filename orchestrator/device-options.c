/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/device-options.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/device-type.h"
#include "common/parse.h"

/* VMADDR_CID_HYPERVISOR, _LOCAL and _HOST come before, VMADDR_CID_ANY after these. */
#define CID_MIN 3
#define CID_MAX (UINT32_MAX - 1)

static const struct {
        uint32_t device_id;
        const char *variable;
        uint64_t min, max; /* both 0: not a number */
} options[_DEVICE_OPTION_MAX] = {
        [OPTION_NET_MAC] = { VIRTIO_ID_NET, "net.mac", 0, 0 },
        [OPTION_NET_MTU] = { VIRTIO_ID_NET, "net.mtu", 68, UINT16_MAX },
        [OPTION_NET_QUEUE_PAIRS] = { VIRTIO_ID_NET, "net.queue_pairs", 1, 31 },
        [OPTION_FS_TAG] = { VIRTIO_ID_FS, "fs.tag", 0, 0 },
        [OPTION_FS_REQUEST_QUEUES] = { VIRTIO_ID_FS, "fs.request_queues", 1, 63 },
        [OPTION_VSOCK_CID] = { VIRTIO_ID_VSOCK, "vsock.cid", CID_MIN, CID_MAX },
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

int device_option_check(DeviceOption option, const char *value, char **ret_reason)
{
        uint8_t mac[LAUNCH_MAC_SIZE];
        uint64_t number;

        if (option == OPTION_NET_MAC) {
                if (parse_mac(value, mac) >= 0)
                        return 0;
                *ret_reason = g_strdup_printf("\"%s\" is not the MAC address of a card", value);
        } else if (option == OPTION_FS_TAG) {
                if (*value != '\0' && strlen(value) <= LAUNCH_FS_TAG_SIZE && !strchr(value, '\t'))
                        return 0;
                *ret_reason =
                        g_strdup_printf("a tag has 1 to %d bytes and no tabs", LAUNCH_FS_TAG_SIZE);
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

        if (spec->device_id == VIRTIO_ID_NET && !values[OPTION_NET_MAC])
                values[OPTION_NET_MAC] = mac_make(spec);
        if (spec->device_id == VIRTIO_ID_FS && !values[OPTION_FS_TAG])
                values[OPTION_FS_TAG] = g_strdup_printf("fs%" PRIu32, spec->name.devid);
        if (spec->device_id == VIRTIO_ID_VSOCK && !values[OPTION_VSOCK_CID])
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
        /* Checked when it was set, as the numbers were. */
        if (mac && parse_mac(mac, config->net_mac) < 0)
                memset(config->net_mac, 0, sizeof(config->net_mac));
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
