/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A device's relation to its backend over any number of connections: connects and negotiates until
 * it works, starts and stops the rings, and starts over when the connection is lost.
 */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "common/device-type.h"
#include "common/macros.h"
#include "frontend/vhost-user.h"
#include "frontend/virtio.h"

typedef struct VhostSession VhostSession;

/*
 * VHOST_SESSION_DISCONNECTED
 *     Operations: none. A timer tries to connect, for as long as it takes.
 * VHOST_SESSION_NEGOTIATING
 *     Operations: none. Ends with ops.ready, or in DISCONNECTED.
 * VHOST_SESSION_IDLE
 *     Operations: vhost_session_start().
 * VHOST_SESSION_STARTING
 *     Operations: none. Ends with ops.started.
 *     Caveats: the driver must not get an answer to its DRIVER_OK before.
 * VHOST_SESSION_RUNNING
 *     Operations: vhost_session_stop(), vhost_session_queue_stop().
 * VHOST_SESSION_STOPPING
 *     Operations: none. Goes on to DRAINING, or ends with ops.stopped if only one queue was
 * stopped. Caveats: the backend may still use the rings; the driver must not get an answer before.
 * VHOST_SESSION_DRAINING
 *     Operations: none. Ends with ops.ready, or with ops.stopped where nobody serves the socket.
 *     Caveats: as above. Not every backend waits for the requests that it has begun before it says
 *     that a ring is stopped (QEMU's does not). That it serves a new connection, or that it is
 * gone, is the only proof that it has let go of the guest's memory; so a reset ends the connection.
 *
 * From every state but the first the session may fall back to DISCONNECTED: ops.lost.
 */
typedef enum VhostSessionState {
        VHOST_SESSION_DISCONNECTED,
        VHOST_SESSION_NEGOTIATING,
        VHOST_SESSION_IDLE,
        VHOST_SESSION_STARTING,
        VHOST_SESSION_RUNNING,
        VHOST_SESSION_STOPPING,
        VHOST_SESSION_DRAINING,
        _VHOST_SESSION_STATE_MAX,
} VhostSessionState;

/* What the backend can do, as far as the driver may know. */
typedef struct VhostOffer {
        uint64_t features;
        uint16_t n_queues;
        uint32_t config_size;
        uint8_t config[VHOST_USER_CONFIG_MAX];
} VhostOffer;

typedef struct VhostSessionOps {
        void (*ready)(void *userdata, const VhostOffer *offer);
        void (*started)(void *userdata);
        void (*stopped)(void *userdata);
        /* The backend is gone, or not as it should be; running rings are lost. */
        void (*lost)(void *userdata, int error, const char *reason);
} VhostSessionOps;

/* The guest's memory, as it is sent to every backend: a borrowed descriptor for each bank. */
typedef struct VhostMemory {
        const MemoryBank *banks;
        const int *fds;
        unsigned int n_banks;
} VhostMemory;

/*
 * socket is a path that is short enough for a socket address (-ENAMETOOLONG otherwise); it, type,
 * memory and ops are borrowed for the session's life. Returns 0 or a negative errno.
 */
int vhost_session_new(sd_event *event, const char *socket, const DeviceType *type,
                      const VhostMemory *memory, const VhostSessionOps *ops, void *userdata,
                      VhostSession **ret_session) _warn_unused_;
VhostSession *vhost_session_free(VhostSession *session);

/* Begins to connect. Nothing is sent to a backend before. */
void vhost_session_open(VhostSession *session);

VhostSessionState vhost_session_state(const VhostSession *session);

/* Whether a driver's write has to wait: the session is starting, stopping or draining. */
bool vhost_session_is_busy(const VhostSession *session);

/*
 * Starts the queues that are ready, with the features that the driver chose. kick_fds has a
 * borrowed descriptor for each queue, call_fd serves all. In state IDLE only.
 */
void vhost_session_start(VhostSession *session, const VirtioDevice *device, const int *kick_fds,
                         int call_fd);

/*
 * Stops all rings, or one; in state RUNNING only. Ends with ops.stopped, which is never called from
 * within these functions, or with ops.lost.
 */
void vhost_session_stop(VhostSession *session);
void vhost_session_queue_stop(VhostSession *session, uint16_t queue);

/* The guest's memory has changed: a backend has to map it anew before the next start. */
void vhost_session_memory_changed(VhostSession *session);
