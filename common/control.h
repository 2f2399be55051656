/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The D-Bus interface of xen-virtiod: what xen-virtioctl asks and xen-virtiod answers. It is spoken
 * over a socket of its own, from peer to peer, so that it works without a message bus.
 */

#define CONTROL_SOCKET "control"
#define CONTROL_PATH   "/org/xenvirtio1"
#define CONTROL_NAME   "org.xenvirtio1.Manager"

/*
 * ListDevices() → an array of: instance (5-disk-51712), domid, name of the domain, virtio device
 * id, state (seen, claimed, ready, failed, stopping), MMIO base, IOREQ server, what is wrong ("").
 */
#define CONTROL_DEVICE "(susustus)"
