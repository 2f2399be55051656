/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The calls that have a second implementation here, as the linker names it and the first one;
 * meson.build has the same list.
 */

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>

/* fake-descriptor.c */
int __real_close(int fd);
int __wrap_close(int fd);
int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __real_fchdir(int fd);
int __wrap_fchdir(int fd);
int __wrap_poll(struct pollfd *fds, nfds_t n_fds, int timeout);

/* fake-file.c */
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t size);
int __wrap_fstat64(int fd, struct stat *ret_status);
int __wrap_fstatfs64(int fd, struct statfs *ret_system);
int __wrap_ftruncate64(int fd, off_t size);
ssize_t __wrap_pread64(int fd, void *bytes, size_t size, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t size, off_t offset);

/* fake-socket.c */
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_pidfd_open(pid_t pid, unsigned int flags);
ssize_t __real_read(int fd, void *bytes, size_t size);
ssize_t __wrap_read(int fd, void *bytes, size_t size);
ssize_t __wrap___read_chk(int fd, void *bytes, size_t size, size_t room); /* of _FORTIFY_SOURCE */
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_socketpair(int domain, int type, int protocol, int fds[2]);
