/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The D-Bus interface of xen-virtiod: what xen-virtioctl asks and xen-virtiod answers. It is spoken
 * over a socket of its own, from peer to peer, so that it works without a message bus:
 *
 *     busctl --address=unix:path=/run/xen-virtiod/control introspect org.xenvirtio1 /org/xenvirtio1
 *
 * A report is an a{sv} with the fields of orchestrator/device-report.c.
 *
 *     ListDevices() → aa{sv}      a report of each device
 *     GetMetrics() → s            the text format of Prometheus
 *     RestartDevice(s, s)         a device, and "backend", "frontend" or "" for both; root's alone
 *     DeviceChanged(a{sv})        signal: a device has got another state; all connections get it
 *     Version, Status             properties: ours, and the line that systemctl status shows
 */

/* Not below RUN_DIRECTORY, which is root's alone. */
#define CONTROL_DIRECTORY "/run/xen-virtiod"
#define CONTROL_SOCKET    "control"
#define CONTROL_PATH      "/org/xenvirtio1"
#define CONTROL_NAME      "org.xenvirtio1.Manager"

/* The errors of RestartDevice, besides D-Bus's own. */
#define CONTROL_ERROR_NO_DEVICE "org.xenvirtio1.NoSuchDevice"
#define CONTROL_ERROR_BUSY      "org.xenvirtio1.Busy"

#define CONTROL_BACKEND  "backend"
#define CONTROL_FRONTEND "frontend"
