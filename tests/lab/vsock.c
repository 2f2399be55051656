/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a guest of the lab does with its virtio socket; its busybox knows no AF_VSOCK.
 *
 *   vsock cid               prints the guest's own CID
 *   vsock connect CID PORT  sends what it reads, then prints what it gets
 *   vsock listen PORT       takes one connection: prints what it gets, then sends what it reads
 */

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static void check(bool good, const char *what)
{
        if (good)
                return;
        perror(what);
        exit(1);
}

static void copy(int from, int to)
{
        static char data[65536];
        ssize_t n;

        while ((n = read(from, data, sizeof(data))) > 0) {
                for (ssize_t done = 0, w; done < n; done += w) {
                        w = write(to, data + done, (size_t)(n - done));
                        check(w > 0, "write");
                }
        }
        check(n == 0, "read");
}

static void print_cid(void)
{
        unsigned int cid;
        int fd = open("/dev/vsock", O_RDONLY);

        check(fd >= 0 && ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) == 0, "/dev/vsock");
        printf("%u\n", cid);
}

int main(int argc, char **argv)
{
        struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
        int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

        check(fd >= 0, "socket");
        if (argc == 2) {
                print_cid();
        } else if (argc == 4) {
                address.svm_cid = (unsigned int)atoi(argv[2]);
                address.svm_port = (unsigned int)atoi(argv[3]);
                check(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
                copy(STDIN_FILENO, fd);
                shutdown(fd, SHUT_WR);
                copy(fd, STDOUT_FILENO);
        } else if (argc == 3) {
                address.svm_port = (unsigned int)atoi(argv[2]);
                check(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "bind");
                check(listen(fd, 1) == 0, "listen");
                fputs("guest: listening\n", stderr);
                fd = accept(fd, NULL, NULL);
                check(fd >= 0, "accept");
                copy(fd, STDOUT_FILENO);
                copy(STDIN_FILENO, fd);
        }
        return 0;
}
