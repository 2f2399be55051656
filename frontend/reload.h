/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How a frontend that serves several devices gets at new ones. It has given up what opening their
 * files takes: the folders, the guest's grants and the hypervisor are root's. So each reload of its
 * unit runs a short-lived process as root, which looks at the list, opens everything, and hands the
 * descriptors over through a socket that only root can write to. The frontend itself opens nothing.
 *
 * A message is a letter and a text, with descriptors:
 *   RELOAD_LIST    the text of the list; the first message of each look
 *   RELOAD_DEVICE  a device's instance, with its files in the order of DeviceFile, and those for
 *                  grants; there is none for a device whose files cannot be opened
 *   RELOAD_END     nothing, with a descriptor whose end says that all before it was dealt with
 */

#include "common/device-list.h"
#include "common/macros.h"
#include "frontend/device-files.h"
#include "frontend/loop.h"

#define RELOAD_LIST   'L'
#define RELOAD_DEVICE 'D'
#define RELOAD_END    'E'

/* In FRONTEND_FOLDER of the frontend's own folder. */
#define RELOAD_SOCKET "reload.sock"

typedef struct ReloadOps {
        void (*listed)(void *userdata, const DeviceList *list);
        /* The files are to be taken over. */
        void (*opened)(void *userdata, const DeviceName *name, DeviceFiles *files);
} ReloadOps;

/*
 * Makes the socket in the frontend's folder, in the place of a former process's. It changes the
 * working directory. To be called as root. Returns 0 or a negative errno.
 */
int reload_socket_open(int folder, int *ret_fd) _warn_unused_;

/* A receiver of messages. */
typedef struct Reload {
        uint16_t domid;
        int fd; /* the socket, borrowed as is the following */
        const LogContext *log;
        const ReloadOps *ops;
        void *userdata;
} Reload;

/* Begins to receive. reload is borrowed for the life of the loop. Returns 0 or a negative errno. */
int reload_receive(Reload *reload, Loop *loop) _warn_unused_;

/*
 * Opens the files of all devices in the list, which are in the folder rundir, and hands them over
 * to the frontend whose folder it is; returns when that has dealt with all. It changes the working
 * directory.
 *
 * Returns 0, also if devices were left out, which has been logged; -ECONNREFUSED or -ENOENT if the
 * frontend does not run; -ETIMEDOUT if it does not answer; or another negative errno.
 */
int reload_send(int rundir, int folder, const DeviceList *list) _warn_unused_;
