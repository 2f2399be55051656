/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Claiming a device's registers: an IOREQ server of the guest's whose MMIO range they are. From
 * then on the guest's accesses wait for an answer, where before they would have hit nothing and
 * killed the guest.
 *
 * Xen ties a server to the domain that made it, not to the process (ioreq_server_create() in
 * xen/common/ioreq.c): it outlives this one, and the device's frontend adopts it by its number.
 * Only destroying it, or the guest's end, undoes the claim.
 */

#include <stdint.h>

#include "common/macros.h"

typedef struct Claims Claims;

/* Opens what claims need, once for all of them. Returns 0 or a negative errno. */
int claims_open(Claims **ret_claims) _warn_unused_;

Claims *claims_close(Claims *claims);

/*
 * Asks Xen whether it has IOREQ servers, and whether we may have one, without making any. Returns
 * 0; -ENOSYS or -EOPNOTSUPP if it was built without; -EPERM if this domain or process may not; or
 * another negative errno.
 */
int claims_probe(Claims *claims) _warn_unused_;

/*
 * Makes a server for the range of VIRTIO_MMIO_RANGE_SIZE bytes at base and enables it.
 *
 * Returns 0 and the server's number; -EUSERS if the guest has as many servers as Xen allows (which
 * says ENOSPC, as a file system does); or the negative errno of another hypercall that failed. Then
 * nothing is left behind.
 */
int claims_take(Claims *claims, uint16_t domid, uint64_t base, uint16_t *ret_server) _warn_unused_;

/*
 * Gives another range of the same size to a server of ours, which goes on meanwhile. Returns 0,
 * also if it has that range already, or a negative errno.
 */
int claims_join(Claims *claims, uint16_t domid, uint16_t server, uint64_t base) _warn_unused_;

/*
 * Takes the range from the server. Returns 0, also if it has no such range, or there is no such
 * server or guest any more; or a negative errno.
 */
int claims_leave(Claims *claims, uint16_t domid, uint16_t server, uint64_t base);

/*
 * Takes the range from whichever server of ours has it, and destroys that server unless known, a
 * bit for each number, has it. For what a process that was killed has left, or
 * what was made in a guest that was not meant.
 */
void claims_drop(Claims *claims, uint16_t domid, uint64_t base, uint32_t known);

/*
 * Destroys the server, and its ranges with it. Returns 0, also if there is no such server or no
 * such guest any more, or a negative errno.
 */
int claims_release(Claims *claims, uint16_t domid, uint16_t server);
