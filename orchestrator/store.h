/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The narrow interface to xenstore. Everything is below the domain's own folder (relative paths),
 * so that a driver domain works as dom0 does. Errors other than those named are those of a lost
 * connection: it does not come back within a process.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/device-name.h"
#include "common/macros.h"
#include "orchestrator/spec.h"

typedef struct Store Store;

typedef enum StoreChange {
        STORE_CHANGE_DEVICE,  /* something below the device's folder */
        STORE_CHANGE_LIST,    /* something above: devices may have come or gone */
        STORE_CHANGE_DOMAINS, /* a domain has ended */
} StoreChange;

/* Told about each change, to take a note and no more. name is NULL unless it is a device's. */
typedef void StoreHandler(void *userdata, StoreChange change, const DeviceName *name);

/* Connects and sets the watches. Each of them reports once at once. Returns 0 or a negative errno.
 */
int store_open(StoreHandler *handler, void *userdata, Store **ret_store) _warn_unused_;

Store *store_close(Store *store);

/* The domain that we run in, and that serves the devices. */
uint16_t store_domid(const Store *store);

/* Readable when store_dispatch() has something to do, if store_has_event() does not say so. */
int store_fd(const Store *store);

/* Whether changes came along with answers to what was asked. */
bool store_has_event(const Store *store);

/* Reports all changes so far. Returns 0 or a negative errno. */
int store_dispatch(Store *store) _warn_unused_;

/*
 * Lists the devices that have a folder, at most STORE_DEVICES_MAX. Returns their number or a
 * negative errno. The caller frees the list.
 */
#define STORE_DEVICES_MAX 4096
int store_list(Store *store, DeviceName **ret_names) _warn_unused_;

/*
 * Reads a device's nodes, all of one moment, and as store_domain_exists(). Returns 0, also if they
 * are not there; -EAGAIN if they changed faster than they could be read. The caller clears
 * ret_nodes, also on failure.
 */
int store_read(Store *store, const DeviceName *name, NodeSet *ret_nodes,
               bool *ret_domain_exists) _warn_unused_;

/* Whether xenstored knows the domain: not before it is built, nor once it is dying. */
int store_domain_exists(Store *store, uint16_t domid, bool *ret_exists) _warn_unused_;

/*
 * Writes the node "state" if it says from. Nodes that the toolstack has removed are not made again:
 * it would never remove them. Returns 0; -ENOENT if the node is not there; -ESTALE if it says
 * something else; -EAGAIN as above.
 */
int store_write_state(Store *store, const DeviceName *name, XenbusState from,
                      XenbusState to) _warn_unused_;

/* Writes the node "error", a sentence for people, or removes it if text is NULL. Returns likewise.
 */
int store_write_error(Store *store, const DeviceName *name, const char *text) _warn_unused_;
