/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/backend/wire.h"

#include <string.h>

static const char *const names[_WIRE_REQUEST_MAX] = {
        [WIRE_GET_FEATURES] = "get-features",
        [WIRE_SET_FEATURES] = "set-features",
        [WIRE_SET_OWNER] = "set-owner",
        [WIRE_SET_MEM_TABLE] = "set-mem-table",
        [WIRE_SET_VRING_NUM] = "set-vring-num",
        [WIRE_SET_VRING_ADDR] = "set-vring-addr",
        [WIRE_SET_VRING_BASE] = "set-vring-base",
        [WIRE_GET_VRING_BASE] = "get-vring-base",
        [WIRE_SET_VRING_KICK] = "set-vring-kick",
        [WIRE_SET_VRING_CALL] = "set-vring-call",
        [WIRE_SET_VRING_ERR] = "set-vring-err",
        [WIRE_GET_PROTOCOL_FEATURES] = "get-protocol-features",
        [WIRE_SET_PROTOCOL_FEATURES] = "set-protocol-features",
        [WIRE_GET_QUEUE_NUM] = "get-queue-num",
        [WIRE_SET_VRING_ENABLE] = "set-vring-enable",
        [WIRE_NET_SET_MTU] = "net-set-mtu",
        [WIRE_SET_BACKEND_REQ_FD] = "set-backend-req-fd",
        [WIRE_GET_CONFIG] = "get-config",
        [WIRE_SET_CONFIG] = "set-config",
        [WIRE_GET_INFLIGHT_FD] = "get-inflight-fd",
        [WIRE_SET_INFLIGHT_FD] = "set-inflight-fd",
        [WIRE_RESET_DEVICE] = "reset-device",
        [WIRE_GET_MAX_MEM_SLOTS] = "get-max-mem-slots",
        [WIRE_ADD_MEM_REG] = "add-mem-reg",
        [WIRE_REM_MEM_REG] = "rem-mem-reg",
        [WIRE_SET_STATUS] = "set-status",
        [WIRE_GET_STATUS] = "get-status",
};

const char *wire_request_name(uint32_t request)
{
        return request < ARRAY_SIZE(names) ? names[request] : NULL;
}

uint32_t wire_request_find(const char *name)
{
        for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
                if (names[i] && strcmp(names[i], name) == 0)
                        return i;
        }
        return 0;
}

static void region_read(const uint8_t *bytes, bool xen, WireRegion *ret_region)
{
        *ret_region = (WireRegion){ 0 };
        memcpy(ret_region, bytes, xen ? WIRE_REGION_XEN_SIZE : WIRE_REGION_SIZE);
}

uint32_t wire_table_read(const WirePayload *payload, bool xen, WireRegion *ret_regions)
{
        const size_t step = xen ? WIRE_REGION_XEN_SIZE : WIRE_REGION_SIZE;
        uint32_t n;

        memcpy(&n, payload->bytes, sizeof(n));
        for (uint32_t i = 0; i < n && i < WIRE_REGIONS_MAX; i++)
                region_read(payload->bytes + sizeof(uint64_t) + i * step, xen, &ret_regions[i]);
        return n;
}

void wire_slot_read(const WirePayload *payload, bool xen, WireRegion *ret_region)
{
        region_read(payload->bytes + sizeof(uint64_t), xen, ret_region);
}
