/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Stream sockets of AF_UNIX for fake-descriptor.h, and the one process that may listen where the
 * frontend connects: socket(), connect(), socketpair(), sendmsg(), recvmsg(), read(),
 * getsockopt(SO_PEERCRED), pidfd_open(). Nothing blocks; descriptors come with the first byte of
 * what they were sent with, and a receive ends behind them (unix(7)).
 */

#include <stdbool.h>

/* Somebody listens from now on, or nobody. Who still waits to be accepted is hung up on. */
void fake_socket_listen(bool listens);

/* Returns the end of the oldest connection that waits, or -1. */
int fake_socket_accept(void);

/* The process that listens ends; what listens next is another one. */
void fake_process_end(void);
