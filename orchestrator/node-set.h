/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The xenstore nodes of one device, as text, all read at one moment. libxl writes them in
 * libxl__device_add() (both kinds), libxl__set_xenstore_virtio() and device_disk_add().
 */

#include <stdbool.h>

typedef enum Node {
        /* In the backend's folder, backend/KIND/DOMID/DEVID. */
        NODE_FRONTEND_ID,
        NODE_STATE,
        NODE_BASE,
        NODE_IRQ,
        NODE_TRANSPORT,
        NODE_GRANT_USAGE,
        NODE_TYPE,
        NODE_SPECIFICATION,
        NODE_PARAMS,
        NODE_MODE,
        NODE_DEVICE_TYPE,
        NODE_DEV,
        NODE_ERROR, /* written by us, or by the one before us */
        /* In the guest's folder, /local/domain/DOMID. */
        NODE_DOMAIN_VM,
        NODE_DOMAIN_NAME,
        NODE_DOMAIN_MEMORY,
        _NODE_MAX,
} Node;

/* A value that is NULL was not there. Values have at most 4096 bytes, xenstore's limit. */
typedef struct NodeSet {
        char *values[_NODE_MAX];
} NodeSet;

/* The node's path within its folder: "state", "memory/static-max". */
const char *node_name(Node node);

/* Whether the node lies in the guest's folder rather than in the backend's. */
bool node_is_domain(Node node);

/* Whether any node of the device's own is there, which the toolstack has written. */
bool node_set_has_device(const NodeSet *nodes);

/* Frees the values (malloc's) and leaves an empty set. */
void node_set_clear(NodeSet *nodes);
