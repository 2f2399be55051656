/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One thing to ask of xenstored or to tell it: a few requests, of which the later ones depend on
 * the answers to the first. It can be begun anew at any time, on another connection, too.
 */

#include <glib.h>

#include "orchestrator/spec.h"
#include "orchestrator/xenstore-wire.h"

typedef enum StoreTaskKind {
        STORE_TASK_LIST,   /* name.domid's devices, or those of STORE_ALL_GUESTS */
        STORE_TASK_DOMAIN, /* whether name.domid exists */
        STORE_TASK_READ,   /* the device's nodes, and whether its domain exists */
        STORE_TASK_STATE,  /* writes "state", if it says from */
        STORE_TASK_ERROR,  /* writes "error", or removes it */
} StoreTaskKind;

typedef struct StoreTask StoreTask;

/*
 * Told of the end, with 0 or, of those that write, -ENOENT if the device is not there, -ESTALE if
 * "state" says something else or the guest is another one, or another negative errno; of all that
 * need a transaction, -EAGAIN if the nodes changed faster than they could be read. The task is not
 * used after that.
 */
typedef void StoreTaskDone(void *userdata, StoreTask *task, int result);

struct StoreTask {
        /* What to do. */
        StoreTaskKind kind;
        DeviceName name;
        char *vm;             /* those that write: of the guest that they are for */
        XenbusState from, to; /* STATE */
        char *text;           /* ERROR; NULL removes */

        /* How far it is. */
        XenstoreWire *wire;
        StoreTaskDone *done;
        void *userdata;
        bool answered; /* something was: what changes from now on may not be in what comes of it */
        uint32_t transaction;
        unsigned int n_tries;
        unsigned int n_awaited; /* answers */
        int result;

        /* What comes of it. */
        NodeSet nodes;
        unsigned int n_nodes; /* that have been read */
        bool exists;          /* the domain */
        GArray *names;        /* of the devices that were found */
        GArray *folders;      /* those to look into, as names without devid */
        unsigned int n_folders;
};

StoreTask *store_task_new(StoreTaskKind kind, const DeviceName *name);
StoreTask *store_task_free(StoreTask *task);

/* For a hash table of tasks that are about the same thing: kind and name. */
guint store_task_hash(const void *task);
gboolean store_task_equal(const void *a, const void *b);

/*
 * Queues the first requests. userdata and the task have to stay until done() or the end of the
 * connection.
 */
void store_task_begin(StoreTask *task, XenstoreWire *wire, StoreTaskDone *done, void *userdata);

/* Forgets how far it is: the connection is gone. */
void store_task_reset(StoreTask *task);
