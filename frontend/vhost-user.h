/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The vhost-user protocol on the wire (QEMU's docs/interop/vhost-user.rst): numbers and layouts,
 * nothing else. All integers are in the machine's own byte order.
 */

#include <stddef.h>
#include <stdint.h>

/* Bits of the header's flags. */
#define VHOST_USER_VERSION      UINT32_C(0x1)
#define VHOST_USER_VERSION_MASK UINT32_C(0x3)
#define VHOST_USER_REPLY        UINT32_C(0x4)
#define VHOST_USER_NEED_REPLY   UINT32_C(0x8)

typedef enum VhostUserRequest {
        VHOST_USER_GET_FEATURES = 1,
        VHOST_USER_SET_FEATURES = 2,
        VHOST_USER_SET_OWNER = 3,
        VHOST_USER_SET_MEM_TABLE = 5,
        VHOST_USER_SET_VRING_NUM = 8,
        VHOST_USER_SET_VRING_ADDR = 9,
        VHOST_USER_SET_VRING_BASE = 10,
        VHOST_USER_GET_VRING_BASE = 11,
        VHOST_USER_SET_VRING_KICK = 12,
        VHOST_USER_SET_VRING_CALL = 13,
        VHOST_USER_GET_PROTOCOL_FEATURES = 15,
        VHOST_USER_SET_PROTOCOL_FEATURES = 16,
        VHOST_USER_GET_QUEUE_NUM = 17,
        VHOST_USER_SET_VRING_ENABLE = 18,
        VHOST_USER_NET_SET_MTU = 20,
        VHOST_USER_SET_BACKEND_REQ_FD = 21,
        VHOST_USER_GET_CONFIG = 24,
        VHOST_USER_SET_CONFIG = 25,
        VHOST_USER_GET_INFLIGHT_FD = 31,
        VHOST_USER_SET_INFLIGHT_FD = 32,
        VHOST_USER_RESET_DEVICE = 34,
        VHOST_USER_SET_STATUS = 39,
        VHOST_USER_GET_STATUS = 40,
} VhostUserRequest;

/* What a backend sends on its own channel. */
typedef enum VhostUserBackendRequest {
        VHOST_USER_BACKEND_CONFIG_CHANGE = 2,
} VhostUserBackendRequest;

/* Feature bits that belong to vhost-user and never reach the guest. */
#define VHOST_F_LOG_ALL                26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* Protocol feature bits. */
#define VHOST_USER_PROTOCOL_F_MQ             0
#define VHOST_USER_PROTOCOL_F_REPLY_ACK      3
#define VHOST_USER_PROTOCOL_F_NET_MTU        4
#define VHOST_USER_PROTOCOL_F_BACKEND_REQ    5
#define VHOST_USER_PROTOCOL_F_CONFIG         9
#define VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD 12
#define VHOST_USER_PROTOCOL_F_RESET_DEVICE   13
#define VHOST_USER_PROTOCOL_F_STATUS         16
#define VHOST_USER_PROTOCOL_F_XEN_MMAP       17

#define VHOST_USER_REGIONS_MAX 8
#define VHOST_USER_CONFIG_MAX  256

typedef struct VhostUserHeader {
        uint32_t request;
        uint32_t flags;
        uint32_t size; /* of the payload, in bytes */
} VhostUserHeader;

typedef struct VhostUserRegion {
        uint64_t guest_address;
        uint64_t size;
        uint64_t user_address; /* only a key for ring addresses */
        uint64_t mmap_offset;
} VhostUserRegion;

typedef struct VhostUserMemoryTable {
        uint32_t n_regions;
        uint32_t padding;
        VhostUserRegion regions[VHOST_USER_REGIONS_MAX];
} VhostUserMemoryTable;

/* The same with XEN_MMAP. */
typedef struct VhostUserXenRegion {
        VhostUserRegion region;
        uint32_t flags; /* VHOST_USER_XEN_ */
        uint32_t domid;
} VhostUserXenRegion;

/* The pages of a domain, through a privcmd descriptor. */
#define VHOST_USER_XEN_FOREIGN UINT32_C(0x1)
/* Pages that it has granted, through a gntdev descriptor. */
#define VHOST_USER_XEN_GRANT UINT32_C(0x2)
/* Not all of them are: each is mapped for as long as it is used. The text says bit 8, all mean 0x8.
 */
#define VHOST_USER_XEN_NO_ADVANCE_MAP UINT32_C(0x8)

typedef struct VhostUserXenMemoryTable {
        uint32_t n_regions;
        uint32_t padding;
        VhostUserXenRegion regions[VHOST_USER_REGIONS_MAX];
} VhostUserXenMemoryTable;

typedef struct VhostUserVringState {
        uint32_t index;
        uint32_t num;
} VhostUserVringState;

typedef struct VhostUserVringAddress {
        uint32_t index;
        uint32_t flags;
        uint64_t descriptor_area;
        uint64_t device_area; /* the used ring comes before the available one */
        uint64_t driver_area;
        uint64_t log;
} VhostUserVringAddress;

typedef struct VhostUserConfig {
        uint32_t offset;
        uint32_t size;
        uint32_t flags;
        uint8_t data[VHOST_USER_CONFIG_MAX];
} VhostUserConfig;

#define VHOST_USER_CONFIG_HEADER_SIZE offsetof(VhostUserConfig, data)

typedef struct VhostUserInflight {
        uint64_t mmap_size;
        uint64_t mmap_offset;
        uint16_t n_queues;
        uint16_t queue_size;
        uint32_t padding; /* not in the description, but sent and expected by all */
} VhostUserInflight;

/* What the area holds first for each split queue; n_descriptors entries of 16 bytes follow. */
typedef struct VhostUserInflightSplit {
        uint64_t features;
        uint16_t version; /* 0: not used yet */
        uint16_t n_descriptors;
        uint16_t last_batch_head;
        uint16_t used_index; /* of the used ring */
} VhostUserInflightSplit;

typedef union VhostUserPayload {
        uint64_t u64;
        VhostUserVringState state;
        VhostUserVringAddress address;
        VhostUserMemoryTable memory;
        VhostUserXenMemoryTable xen_memory;
        VhostUserConfig config;
        VhostUserInflight inflight;
} VhostUserPayload;

_Static_assert(sizeof(VhostUserHeader) == 12, "header layout");
_Static_assert(sizeof(VhostUserRegion) == 32, "region layout");
_Static_assert(sizeof(VhostUserXenRegion) == 40, "region layout");
_Static_assert(sizeof(VhostUserVringAddress) == 40, "vring address layout");
_Static_assert(sizeof(VhostUserInflight) == 24, "inflight layout");
_Static_assert(sizeof(VhostUserInflightSplit) == 16, "inflight area layout");
_Static_assert(offsetof(VhostUserConfig, data) == 12, "config layout");
