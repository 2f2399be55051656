/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A guest's end of a stream: "stream tcp ADDRESS PORT" and "stream vsock CID PORT" connect,
 * "stream vsock listen PORT" waits for somebody. What comes from standard input is sent, and the
 * sending half closed at its end, while what is received goes to standard output. "stream cid" says
 * the guest's own.
 */

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * What is written at once. Of a vsock packet that Linux (6.17 or newer) spreads over several
 * descriptors, as it does from 32 KiB on, vhost-device-vsock 0.3.0 takes nothing.
 */
enum {
        TCP_CHUNK = 65536,
        VSOCK_CHUNK = 16384,
};

static int fail(const char *what)
{
        perror(what);
        return EXIT_FAILURE;
}

static int cid_print(void)
{
        unsigned int cid;
        const int device = open("/dev/vsock", O_RDONLY);

        if (device < 0 || ioctl(device, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0)
                return fail("/dev/vsock");
        printf("%u\n", cid);
        return EXIT_SUCCESS;
}

static int tcp_connect(const char *host, int port)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_port = htons((uint16_t)port),
        };
        const int s = socket(AF_INET, SOCK_STREAM, 0);

        if (inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
            connect(s, (struct sockaddr *)&address, sizeof(address)) < 0)
                return -1;
        return s;
}

static int vsock_connect(const char *cid, int port)
{
        struct sockaddr_vm address = {
                .svm_family = AF_VSOCK,
                .svm_cid = (unsigned int)strtoul(cid, NULL, 10),
                .svm_port = (unsigned int)port,
        };
        /* Linux' own is 2 s, which is little for an emulated host that is busy. */
        const struct timeval patience = { .tv_sec = 60 };
        const int s = socket(AF_VSOCK, SOCK_STREAM, 0);

        setsockopt(s, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &patience, sizeof(patience));
        return connect(s, (struct sockaddr *)&address, sizeof(address)) < 0 ? -1 : s;
}

static int vsock_accept(int port)
{
        struct sockaddr_vm address = {
                .svm_family = AF_VSOCK,
                .svm_cid = VMADDR_CID_ANY,
                .svm_port = (unsigned int)port,
        };
        const int s = socket(AF_VSOCK, SOCK_STREAM, 0);

        if (bind(s, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(s, 1) < 0)
                return -1;
        fputs("guest: listens\n", stderr);
        return accept(s, NULL, NULL);
}

/* Returns 0 when from has come to its end. */
static int copy(int from, int to, size_t chunk)
{
        static char buffer[TCP_CHUNK];
        ssize_t n;

        while ((n = read(from, buffer, chunk)) > 0) {
                for (ssize_t done = 0; done < n;) {
                        const ssize_t written = write(to, buffer + done, (size_t)(n - done));

                        if (written <= 0)
                                return -1;
                        done += written;
                }
        }
        return n < 0 ? -1 : 0;
}

/* Both directions at once: else two ends that only send would wait for each other. */
static int stream(int s, size_t chunk)
{
        int sent;
        const pid_t sender = fork();

        if (sender == 0)
                _exit(copy(STDIN_FILENO, s, chunk) < 0 || shutdown(s, SHUT_WR) < 0);
        if (sender < 0 || copy(s, STDOUT_FILENO, chunk) < 0)
                return fail("receiving");
        if (waitpid(sender, &sent, 0) != sender || sent != 0)
                return fail("sending");
        return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        size_t chunk = VSOCK_CHUNK;
        int s;

        if (argc == 2 && strcmp(argv[1], "cid") == 0)
                return cid_print();
        if (argc != 4)
                return EXIT_FAILURE;
        if (strcmp(argv[1], "tcp") == 0) {
                s = tcp_connect(argv[2], atoi(argv[3]));
                chunk = TCP_CHUNK;
        } else if (strcmp(argv[2], "listen") == 0) {
                s = vsock_accept(atoi(argv[3]));
        } else {
                s = vsock_connect(argv[2], atoi(argv[3]));
        }
        return s < 0 ? fail(argv[2]) : stream(s, chunk);
}
