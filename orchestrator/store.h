/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The narrow interface to xenstore. Everything is below the domain's own folder (relative paths),
 * so that a driver domain works as dom0 does.
 *
 * Nothing waits: what is asked is told later, through StoreOps, in the order of asking; what was
 * asked and is not yet on its way is not asked twice. A connection that is lost is made again, and
 * what was not answered is asked again, so no question and no order is lost. xenstored may be
 * silent for as long as it wants (live update).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "common/device-name.h"
#include "common/macros.h"
#include "orchestrator/spec.h"

typedef struct Store Store;

typedef enum StoreChange {
        STORE_CHANGE_DEVICE,  /* something below the device's folder; name is the device's */
        STORE_CHANGE_GUEST,   /* devices of the domain name->domid may have come or gone */
        STORE_CHANGE_LIST,    /* any devices may have; also after each loss of the connection */
        STORE_CHANGE_DOMAINS, /* a domain has ended */
} StoreChange;

/* In the place of a domain's number. */
#define STORE_ALL_GUESTS UINT16_MAX

/* Devices in a listing at most. */
#define STORE_DEVICES_MAX 4096

typedef struct StoreOps {
        /* Told about each change, to ask what it is. name is NULL unless it is said above. */
        void (*changed)(void *userdata, StoreChange change, const DeviceName *name);

        /* The device's nodes as they all were at one moment; none, if it is not there. */
        void (*nodes)(void *userdata, const DeviceName *name, const NodeSet *nodes,
                      bool domain_exists);

        /* All devices of the domain, or of STORE_ALL_GUESTS, that have a folder; sorted. */
        void (*listed)(void *userdata, uint16_t domid, const DeviceName *names, size_t n_names);

        /* Whether xenstored knows the domain: not before it is built, nor once it is dying. */
        void (*domain)(void *userdata, uint16_t domid, bool exists);

        /* Everything that was asked is answered. To take a note, and to ask nothing. */
        void (*settled)(void *userdata);
} StoreOps;

/*
 * Starts to connect; if there is no xenstored it goes on trying. The ops outlive the store. Returns
 * 0 or the negative errno of the event loop.
 */
int store_open(sd_event *event, const StoreOps *ops, void *userdata,
               Store **ret_store) _warn_unused_;

Store *store_close(Store *store);

/* Questions, answered by the ops of that name. */
void store_read(Store *store, const DeviceName *name);
void store_list(Store *store, uint16_t domid);
void store_check_domain(Store *store, uint16_t domid);

/* Whether there are questions that xenstored, as far as is known, is about to answer. */
bool store_is_awaited(const Store *store);

/*
 * What is written is for the guest whose node "vm" says vm (NULL: it has none). If the number is
 * another guest's by then, nothing is written, and STORE_CHANGE_DEVICE is told.
 *
 * Writes the node "state" if it says from; if it does not (any more), STORE_CHANGE_DEVICE is told.
 * Nodes that the toolstack has removed are not made again: it would never remove them.
 */
void store_write_state(Store *store, const DeviceName *name, const char *vm, XenbusState from,
                       XenbusState to);

/*
 * Writes the node "error", a sentence for people, which is cut if it is too long for a node, or
 * removes it if text is NULL. Not if the device is gone.
 */
void store_write_error(Store *store, const DeviceName *name, const char *vm, const char *text);

/* The device is history: what was to be written for it is not meant for one that comes after it. */
void store_forget(Store *store, const DeviceName *name);
