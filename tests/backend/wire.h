/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * vhost-user on the wire, from QEMU's docs/interop/vhost-user.rst: numbers and layouts. Written
 * down a second time on purpose: what the frontend has wrong in its own header is found here.
 */

#include <stddef.h>
#include <stdint.h>

#include "common/macros.h"

#define BIT(n) (UINT64_C(1) << (n))

#define WIRE_VERSION    UINT32_C(0x1)
#define WIRE_REPLY      UINT32_C(0x4)
#define WIRE_NEED_REPLY UINT32_C(0x8)

/* "Front-end message types". */
typedef enum WireRequest {
        WIRE_GET_FEATURES = 1,
        WIRE_SET_FEATURES = 2,
        WIRE_SET_OWNER = 3,
        WIRE_SET_MEM_TABLE = 5,
        WIRE_SET_VRING_NUM = 8,
        WIRE_SET_VRING_ADDR = 9,
        WIRE_SET_VRING_BASE = 10,
        WIRE_GET_VRING_BASE = 11,
        WIRE_SET_VRING_KICK = 12,
        WIRE_SET_VRING_CALL = 13,
        WIRE_SET_VRING_ERR = 14,
        WIRE_GET_PROTOCOL_FEATURES = 15,
        WIRE_SET_PROTOCOL_FEATURES = 16,
        WIRE_GET_QUEUE_NUM = 17,
        WIRE_SET_VRING_ENABLE = 18,
        WIRE_NET_SET_MTU = 20,
        WIRE_SET_BACKEND_REQ_FD = 21,
        WIRE_GET_CONFIG = 24,
        WIRE_SET_CONFIG = 25,
        WIRE_GET_INFLIGHT_FD = 31,
        WIRE_SET_INFLIGHT_FD = 32,
        WIRE_RESET_DEVICE = 34,
        WIRE_GET_MAX_MEM_SLOTS = 36,
        WIRE_ADD_MEM_REG = 37,
        WIRE_REM_MEM_REG = 38,
        WIRE_SET_STATUS = 39,
        WIRE_GET_STATUS = 40,
        _WIRE_REQUEST_MAX,
} WireRequest;

/* "Back-end message types". */
#define WIRE_BACKEND_CONFIG_CHANGE UINT32_C(2)

/* "Protocol features". */
#define WIRE_PROTOCOL_MQ                  0
#define WIRE_PROTOCOL_REPLY_ACK           3
#define WIRE_PROTOCOL_MTU                 4
#define WIRE_PROTOCOL_BACKEND_REQ         5
#define WIRE_PROTOCOL_CONFIG              9
#define WIRE_PROTOCOL_BACKEND_SEND_FD     10
#define WIRE_PROTOCOL_INFLIGHT_SHMFD      12
#define WIRE_PROTOCOL_RESET_DEVICE        13
#define WIRE_PROTOCOL_CONFIGURE_MEM_SLOTS 15
#define WIRE_PROTOCOL_STATUS              16
#define WIRE_PROTOCOL_XEN_MMAP            17

/* Feature bits (virtio 1.3, section 6) that mean something here, and two of vhost-user's own. */
#define FEATURE_NET_MTU           3
#define FEATURE_LOG_ALL           26
#define FEATURE_INDIRECT_DESC     28
#define FEATURE_EVENT_IDX         29
#define FEATURE_PROTOCOL_FEATURES 30
#define FEATURE_VERSION_1         32
#define FEATURE_ACCESS_PLATFORM   33
#define FEATURE_RING_PACKED       34
#define FEATURE_IN_ORDER          35

#define WIRE_REGIONS_MAX    8  /* of one SET_MEM_TABLE */
#define WIRE_SLOTS_MAX      32 /* what GET_MAX_MEM_SLOTS says here */
#define WIRE_QUEUES_MAX     64
#define WIRE_CONFIG_MAX     256
#define WIRE_PAYLOAD_MAX    4096
#define WIRE_DESCRIPTOR_MAX 253 /* SCM_MAX_FD of Linux: no message has more */

typedef struct WireHeader {
        uint32_t request;
        uint32_t flags;
        uint32_t size; /* of the payload, in bytes */
} WireHeader;

typedef struct WireState {
        uint32_t index;
        uint32_t num;
} WireState;

typedef struct WireAddress {
        uint32_t index;
        uint32_t flags;
        uint64_t descriptor;
        uint64_t used;
        uint64_t available;
        uint64_t log;
} WireAddress;

/* The last two fields are there with XEN_MMAP only. */
typedef struct WireRegion {
        uint64_t guest_address;
        uint64_t size;
        uint64_t user_address;
        uint64_t mmap_offset;
        uint32_t xen_flags;
        uint32_t domid;
} WireRegion;

#define WIRE_REGION_SIZE     offsetof(WireRegion, xen_flags)
#define WIRE_REGION_XEN_SIZE sizeof(WireRegion)

#define WIRE_XEN_FOREIGN UINT32_C(0x1)
#define WIRE_XEN_GRANT   UINT32_C(0x2)
/* The text says bit 8; all implementations (rust-vmm's vm-memory first) have the value 8. */
#define WIRE_XEN_NO_ADVANCE UINT32_C(0x108)

typedef struct WireConfig {
        uint32_t offset;
        uint32_t size;
        uint32_t flags;
        uint8_t data[WIRE_CONFIG_MAX];
} WireConfig;

#define WIRE_CONFIG_HEADER_SIZE offsetof(WireConfig, data)

typedef struct WireInflight {
        uint64_t mmap_size;
        uint64_t mmap_offset;
        uint16_t n_queues;
        uint16_t queue_size;
        uint32_t padding; /* QEMU's structure ends so, and so do its messages */
} WireInflight;

/* The payload of KICK, CALL and ERR. */
#define WIRE_VRING_INDEX_MASK UINT64_C(0xff)
#define WIRE_VRING_NO_FD      UINT64_C(0x100)

typedef union WirePayload {
        uint64_t u64;
        WireState state;
        WireAddress address;
        WireConfig config;
        WireInflight inflight;
        uint8_t bytes[WIRE_PAYLOAD_MAX];
} WirePayload;

_Static_assert(sizeof(WireHeader) == 12, "header layout");
_Static_assert(sizeof(WireAddress) == 40, "address layout");
_Static_assert(WIRE_REGION_SIZE == 32 && WIRE_REGION_XEN_SIZE == 40, "region layout");
_Static_assert(sizeof(WireInflight) == 24, "inflight layout");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rings are little-endian");

/* Names as on our command line, "get-features". NULL, or 0, for what is not known. */
const char *wire_request_name(uint32_t request);
uint32_t wire_request_find(const char *name);

/*
 * The regions of a SET_MEM_TABLE (n of them, xen: with the two further fields) or ADD_MEM_REG; the
 * bytes of the message have been found complete. ret_regions has room for WIRE_REGIONS_MAX.
 */
uint32_t wire_table_read(const WirePayload *payload, bool xen, WireRegion *ret_regions);
void wire_slot_read(const WirePayload *payload, bool xen, WireRegion *ret_region);
