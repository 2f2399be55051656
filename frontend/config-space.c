/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/config-space.h"

#include <endian.h>
#include <string.h>

#include "frontend/net-control.h"

#define BIT(n) (UINT64_C(1) << (n))

/* Section 5.1.3, and where their fields are: section 5.1.4. */
#define NET_F_MAC          5
#define NET_F_STATUS       16
#define NET_MAC            0
#define NET_STATUS         6
#define NET_QUEUE_PAIRS    8
#define NET_MTU            10
#define NET_STATUS_LINK_UP UINT16_C(1)

/* CTRL_VQ and what takes it (section 5.1.3.1): offloads, RX, VLAN, RX_EXTRA, ANNOUNCE, MQ, MAC. */
#define NET_CONTROL (BIT(2) | BIT(17) | BIT(18) | BIT(19) | BIT(20) | BIT(21) | BIT(22) | BIT(23))

/* Section 5.11.4. */
#define FS_TAG            0
#define FS_REQUEST_QUEUES 36

/* Section 5.10.4. */
#define VSOCK_GUEST_CID 0

_Static_assert(LAUNCH_CONFIG_SIZE == VHOST_USER_CONFIG_MAX, "a launch file can say all of it");

/* The space as it is being made, and what of it is known. */
typedef struct Space {
        VhostOffer *offer;
        bool backends; /* the backend gave one */
        bool known[VHOST_USER_CONFIG_MAX];
} Space;

static void bytes_set(Space *space, uint32_t offset, const void *bytes, uint32_t size)
{
        VhostOffer *offer = space->offer;

        memcpy(offer->config + offset, bytes, size);
        memset(space->known + offset, true, size);
        if (offer->config_size < offset + size)
                offer->config_size = offset + size;
}

static void u16_set(Space *space, uint32_t offset, uint16_t value)
{
        value = htole16(value);
        bytes_set(space, offset, &value, sizeof(value));
}

static uint16_t u16_get(const VhostOffer *offer, uint32_t offset)
{
        uint16_t value;

        memcpy(&value, offer->config + offset, sizeof(value));
        return le16toh(value);
}

static bool is_known(const Space *space, const DeviceField *field)
{
        for (uint32_t i = 0; i < field->size; i++) {
                if (!space->known[field->offset + i])
                        return false;
        }
        return true;
}

static void net_make(Space *space, const LaunchConfig *launch)
{
        static const uint8_t no_mac[LAUNCH_MAC_SIZE];
        VhostOffer *offer = space->offer;

        /* What is between frontend and driver alone is offered whatever the backend has. */
        if (memcmp(launch->net_mac, no_mac, sizeof(no_mac)) != 0) {
                bytes_set(space, NET_MAC, launch->net_mac, sizeof(launch->net_mac));
                offer->features |= BIT(NET_F_MAC);
        }
        if (!space->backends || !(offer->features & BIT(NET_F_STATUS))) {
                u16_set(space, NET_STATUS, NET_STATUS_LINK_UP);
                offer->features |= BIT(NET_F_STATUS);
        }
        if (offer->control_queue > 0)
                u16_set(space, NET_QUEUE_PAIRS, offer->control_queue / NET_QUEUES_PER_PAIR);
        else if (launch->net_queue_pairs > 0)
                u16_set(space, NET_QUEUE_PAIRS, launch->net_queue_pairs);
        if (launch->net_mtu > 0)
                u16_set(space, NET_MTU, launch->net_mtu);
}

/*
 * Looks for a backend's control queue where the driver does: behind all pairs. Returns whether it
 * is there; if not, there is one pair.
 */
static bool net_find_control(const Space *space, uint32_t *ret_pairs)
{
        const VhostOffer *offer = space->offer;
        uint32_t pairs = 1;

        *ret_pairs = pairs;
        if (!(offer->features & BIT(NET_F_CTRL_VQ)) || !space->backends)
                return false;
        if (offer->features & BIT(NET_F_MQ))
                pairs = u16_get(offer, NET_QUEUE_PAIRS);
        if (pairs == 0 || pairs * NET_QUEUES_PER_PAIR >= offer->n_queues)
                return false;
        *ret_pairs = pairs;
        return true;
}

/* The queues that the driver can use, and the features that go with them. */
static void net_limit(const Space *space)
{
        VhostOffer *offer = space->offer;
        uint32_t pairs, n_queues;
        bool control;

        if (offer->control_queue > 0) {
                offer->features &= ~(NET_CONTROL | BIT(VIRTIO_F_RING_PACKED));
                offer->features |= BIT(NET_F_CTRL_VQ) | BIT(NET_F_MQ);
                return;
        }
        control = net_find_control(space, &pairs);
        if (!control)
                offer->features &= ~NET_CONTROL;
        n_queues = pairs * NET_QUEUES_PER_PAIR + (control ? 1 : 0);
        if (n_queues < offer->n_queues)
                offer->n_queues = (uint16_t)n_queues;
}

static void fs_make(Space *space, const LaunchConfig *launch)
{
        const uint32_t most = space->offer->n_queues > 2 ? space->offer->n_queues - 1U : 1;
        uint32_t queues = launch->fs_request_queues;

        /* Padded with zeros, and not terminated. */
        if (launch->fs_tag[0] != '\0')
                bytes_set(space, FS_TAG, launch->fs_tag, LAUNCH_FS_TAG_SIZE);
        if (queues == 0 && space->backends)
                return;
        if (queues == 0)
                queues = 1;
        queues = htole32(queues < most ? queues : most);
        bytes_set(space, FS_REQUEST_QUEUES, &queues, sizeof(queues));
}

static void vsock_make(Space *space, const LaunchConfig *launch)
{
        const uint64_t cid = htole64(launch->vsock_cid);

        if (cid != 0)
                bytes_set(space, VSOCK_GUEST_CID, &cid, sizeof(cid));
}

/* The fields that have keys of their own. */
static void type_make(Space *space, const DeviceType *type, const LaunchConfig *launch)
{
        switch (type->id) {
        case VIRTIO_ID_NET:
                net_make(space, launch);
                break;
        case VIRTIO_ID_FS:
                fs_make(space, launch);
                break;
        case VIRTIO_ID_VSOCK:
                vsock_make(space, launch);
                break;
        default:
                break;
        }
}

void config_space_complete(const DeviceType *type, const LaunchConfig *launch, VhostOffer *offer)
{
        Space space = { .offer = offer, .backends = offer->config_size > 0 };

        memset(space.known, true, offer->config_size);
        memset(offer->config + offer->config_size, 0, sizeof(offer->config) - offer->config_size);
        type_make(&space, type, launch);
        bytes_set(&space, launch->bytes_offset, launch->bytes, launch->bytes_size);
        for (const DeviceField *field = type->fields; field && field->size > 0; field++) {
                if (!is_known(&space, field))
                        offer->features &= ~BIT(field->feature);
        }
        if (type->id == VIRTIO_ID_NET)
                net_limit(&space);
}

bool config_space_disconnect(const DeviceType *type, VhostOffer *offer)
{
        uint16_t status, down;

        if (type->id != VIRTIO_ID_NET || offer->config_size < NET_STATUS + sizeof(status))
                return false;
        status = u16_get(offer, NET_STATUS);
        down = htole16(status & (uint16_t)~NET_STATUS_LINK_UP);
        memcpy(offer->config + NET_STATUS, &down, sizeof(down));
        return status & NET_STATUS_LINK_UP;
}
