/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Descriptors that outlast the process: systemd keeps them for its unit (sd_notify(3), FDSTORE=1)
 * as long as that is about to be started again, and hands them to the next process. Each has a name
 * of ours. One that is a socket whose other end is closed is thrown away by systemd itself.
 */

#include "common/log.h"
#include "common/macros.h"
#include "frontend/virtio.h"

/* The names; those of kicks have their queue's number behind. */
#define STORE_CONNECTION "connection" /* sockets: to the backend, and its own channel */
#define STORE_CHANNEL    "channel"
#define STORE_CALL       "call" /* eventfds: of all queues, and of each */
#define STORE_KICK       "kick"

#define STORE_NAME_MAX 16

/* The unit's FileDescriptorStoreMax=. */
#define STORE_MAX (3 + VIRTIO_QUEUES_MAX)

typedef struct StoredDescriptor {
        int fd; /* owned */
        char name[STORE_NAME_MAX];
} StoredDescriptor;

/* All zero, it is one that keeps nothing. */
typedef struct DescriptorStore {
        bool is_on;     /* what is put is kept */
        unsigned int n; /* what a former process has left, and nobody has taken yet */
        StoredDescriptor found[STORE_MAX];
} DescriptorStore;

/*
 * Takes over what systemd hands to this process. What is not of the kind that its name says is
 * closed, which is logged with the context, as is what has another name. To be called before
 * anything else is opened, and while /proc can be read. Returns 0 or a negative errno.
 */
int descriptor_store_open(DescriptorStore *store, const LogContext *context) _warn_unused_;

/* What nobody has taken stays systemd's, for the next process. */
void descriptor_store_close(DescriptorStore *store);

/* A descriptor that was left, which stays the store's, or becomes the caller's. -1: there is none.
 */
int descriptor_store_find(const DescriptorStore *store, const char *name);
int descriptor_store_take(DescriptorStore *store, const char *name);

/* Has a descriptor (borrowed) kept, and what is kept by that name thrown away. Nobody answers. */
void descriptor_store_put(const DescriptorStore *store, const char *name, int fd);
void descriptor_store_remove(const DescriptorStore *store, const char *name);

/* Throws away what was left and nobody has taken. Connections end, whoever else has them. */
void descriptor_store_clear(DescriptorStore *store);

/* The name of a queue's kick. */
typedef struct StoreName {
        char text[STORE_NAME_MAX];
} StoreName;

StoreName descriptor_store_kick(uint16_t queue);
