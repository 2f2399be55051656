/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A device's relation to its backend over any number of connections: connects and negotiates until
 * it works, starts and stops the rings, and starts over when the connection is lost.
 */

#include <stdint.h>

#include "common/device-type.h"
#include "common/macros.h"
#include "frontend/loop.h"
#include "frontend/vhost-kept.h"
#include "frontend/vhost-negotiate.h"
#include "frontend/vhost-rings.h"

typedef struct VhostSession VhostSession;

/*
 * VHOST_SESSION_DISCONNECTED
 *     Operations: vhost_session_stop(). A timer tries to connect, for as long as it takes.
 * VHOST_SESSION_NEGOTIATING
 *     Operations: vhost_session_stop(). Ends with ops.ready.
 * VHOST_SESSION_IDLE
 *     Operations: vhost_session_start(), vhost_session_stop().
 * VHOST_SESSION_STARTING
 *     Operations: vhost_session_stop(). Ends with ops.started.
 *     Caveats: the driver should not get an answer to its DRIVER_OK before.
 * VHOST_SESSION_RUNNING
 *     Operations: vhost_session_stop(), vhost_session_queue_start(), vhost_session_queue_stop(),
 *     vhost_session_pairs_set(), vhost_session_hand_over().
 * VHOST_SESSION_STOPPING
 *     Operations: none. Goes on to DRAINING.
 *     Caveats: the backend may still use the rings; the driver must not get an answer before.
 * VHOST_SESSION_DRAINING
 *     Operations: vhost_session_stop(), which changes nothing. Ends with ops.ready, or with
 *     ops.stopped when the backend's process has.
 *     Caveats: as above. Not every backend waits for the requests that it has begun before it says
 *     that a ring is stopped (QEMU's does not). That it serves a new connection, or that it is
 *     gone, is the only proof that it has let go of the guest's memory; so a reset ends the
 *     connection. This may take for ever.
 * VHOST_SESSION_CHANGING
 *     Operations: none. One queue is started or stopped, or pairs are enabled; ends with
 *     ops.stopped, in RUNNING.
 *     Caveats: as in STOPPING.
 *
 * When the connection is lost, ops.lost is called, and the session is DISCONNECTED; or DRAINING, if
 * it was that or STOPPING. The rings are given to another process only when the one that had them
 * is gone.
 */
typedef enum VhostSessionState {
        VHOST_SESSION_DISCONNECTED,
        VHOST_SESSION_NEGOTIATING,
        VHOST_SESSION_IDLE,
        VHOST_SESSION_STARTING,
        VHOST_SESSION_RUNNING,
        VHOST_SESSION_STOPPING,
        VHOST_SESSION_DRAINING,
        VHOST_SESSION_CHANGING,
        _VHOST_SESSION_STATE_MAX,
} VhostSessionState;

typedef struct VhostSessionOps {
        void (*ready)(void *userdata, const VhostOffer *offer);
        /* resumed: the rings go on where an earlier backend has stopped */
        void (*started)(void *userdata, bool resumed);
        /* What was ordered is done; or, while there is no connection, vhost_session_holder() is
         * gone. */
        void (*stopped)(void *userdata);
        /* The backend has changed its configuration space. */
        void (*config_changed)(void *userdata, const VhostOffer *offer);
        /* The backend has sent a request of its own that is not served. */
        void (*refused)(void *userdata, uint32_t request);
        /*
         * The backend is gone, or not as it should be. -EACCES: it does not accept what the driver
         * chose, which has to reset the device.
         */
        void (*lost)(void *userdata, int error, const char *reason);
} VhostSessionOps;

/* What a session is made of. All is borrowed for its life. */
typedef struct VhostSessionParts {
        Loop *loop;
        int folder;         /* of the socket */
        const char *socket; /* its name; short enough for a socket address */
        const DeviceType *type;
        const LaunchConfig *config; /* of the configuration space */
        const VhostMemory *memory;
        const VirtioDevice *device;
        const int *kick_fds;     /* for each queue; to be valid when the rings start */
        int call_fd;             /* for all queues */
        VhostProgress *progress; /* only the session writes it, */
        int progress_file;       /* and what it is about: see vhost-inflight.h */
        VhostKept *kept;         /* and this; see vhost-kept.h */
        DescriptorStore *store;  /* NULL: connections end with the process */
        const VhostSessionOps *ops;
        void *userdata;
} VhostSessionParts;

/* Returns 0 or a negative errno; -ENAMETOOLONG for a socket that is too long. */
int vhost_session_new(const VhostSessionParts *parts, VhostSession **ret_session) _warn_unused_;
VhostSession *vhost_session_free(VhostSession *session);

/*
 * Begins to connect, or goes on with the connection of a former process: then ops.ready and
 * ops.started are called as for a new one, but the rings run, and the backend does not notice.
 * Nothing is sent to a backend before.
 */
void vhost_session_open(VhostSession *session);

VhostSessionState vhost_session_state(const VhostSession *session);

/*
 * The process that may use what the rings named, also when its connection has ended: a process id,
 * VHOST_PEER_UNKNOWN, or 0. It has let go when it serves a new connection (ops.ready) or is gone.
 */
int32_t vhost_session_holder(const VhostSession *session);

/*
 * NULL, or why the driver cannot go on with the backend that answered, in state IDLE; or why it
 * cannot go on with any backend, in other states. Then it has to reset the device.
 */
const char *vhost_session_refusal(const VhostSession *session);

/*
 * Starts the queues that are ready, with the features that the driver chose; where a backend has
 * begun with them before, goes on. In state IDLE, and not after a refusal.
 *
 * Returns 0, or -EMFILE as vhost_rings_start().
 */
int vhost_session_start(VhostSession *session) _warn_unused_;

/*
 * The driver resets the device: stops all rings, and forgets how far they have come. Returns
 * whether the reset takes until ops.ready or ops.stopped (neither is called from within).
 */
bool vhost_session_stop(VhostSession *session);

/* The driver has made a queue anew: forgets how far the one before has come. */
void vhost_session_queue_forget(VhostSession *session, uint16_t queue);

/*
 * A queue that the driver has made ready since the rings were started, which can be started by
 * itself; or -1. In other states than RUNNING that is left to vhost_session_start().
 */
int vhost_session_queue_next(const VhostSession *session);
void vhost_session_queue_start(VhostSession *session, uint16_t queue);

/* Stops a queue, in state RUNNING; there is nothing to do of one that the backend does not know. */
void vhost_session_queue_stop(VhostSession *session, uint16_t queue);

/*
 * The driver of a network card, which has the device's n_pairs in use, is to have so many: tells
 * the backend, in state RUNNING. The device has to be told only after this was called: if the
 * process ends before, the next one goes on with the connection, and believes the device.
 */
void vhost_session_pairs_set(VhostSession *session, uint16_t n_pairs);

/*
 * Stops the rings, so that the session of the next process starts them where they are, whatever the
 * backend is: progress then says that all requests before are done. In state RUNNING; there is
 * nothing to do with this session after that. Takes until ops.ready or, where it fails,
 * ops.stopped.
 */
void vhost_session_hand_over(VhostSession *session);

/* Whether the process could end now, and the next one go on with the rings as they run. */
bool vhost_session_is_kept(const VhostSession *session);

/*
 * The driver has written size bytes at an offset of the configuration space. Where the backend does
 * not take them, ops.config_changed brings back what it has. Ignored while there is no backend.
 */
void vhost_session_config_write(VhostSession *session, uint32_t offset, const void *bytes,
                                uint32_t size);

/*
 * Reads the configuration space again, as it is after what was written. Returns whether
 * ops.config_changed will say when this is done, or ops.lost that it will not be.
 */
bool vhost_session_config_read(VhostSession *session) _warn_unused_;

/* The guest's memory has changed: a backend has to map it anew before the next start. */
void vhost_session_memory_changed(VhostSession *session);
