/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The channel on which a backend sends requests of its own (vhost-user.rst, "Back-end
 * communication"). Only CONFIG_CHANGE is served; any other request is refused. A backend that sends
 * more than a few is read no faster, and waits.
 */

#include <stdint.h>

#include "common/macros.h"
#include "frontend/loop.h"

typedef struct VhostChannel VhostChannel;

typedef struct VhostChannelOps {
        void (*config_changed)(void *userdata);
        /* A request that is not served, for the log. */
        void (*refused)(void *userdata, uint32_t request);
} VhostChannelOps;

/* Requests that are read in a window of time, after which there is a pause until its end. */
#define VHOST_CHANNEL_REQUESTS    32
#define VHOST_CHANNEL_WINDOW_USEC UINT64_C(100000)

/*
 * Makes a channel. ret_backend_end is the backend's end, which the caller owns. Returns 0 or a
 * negative errno.
 */
int vhost_channel_new(Loop *loop, const VhostChannelOps *ops, void *userdata, int *ret_backend_end,
                      VhostChannel **ret_channel) _warn_unused_;

/* The same of an end of ours (which it owns from then on, also when this fails). */
int vhost_channel_adopt(Loop *loop, const VhostChannelOps *ops, void *userdata, int fd,
                        VhostChannel **ret_channel) _warn_unused_;

/*
 * Says in *hearing (0 or 1, borrowed), from now on, whether a part of a request was read that was
 * not served yet.
 */
void vhost_channel_note(VhostChannel *channel, uint8_t *hearing);

/* Our end, for who keeps another descriptor of it. */
int vhost_channel_fd(const VhostChannel *channel);

/* NULL is fine. Not to be called from within ops. */
VhostChannel *vhost_channel_free(VhostChannel *channel);
