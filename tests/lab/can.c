/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A guest at a CAN bus that brings back each frame: "can frames INTERFACE NUMBER" sends that many,
 * of all kinds and sizes, a few of them under way at a time, and compares what comes back; "can
 * busoff INTERFACE" waits until the controller has gone off the bus.
 */

#include <linux/can.h>
#include <linux/can/error.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define UNDER_WAY 24
#define PATIENCE  60 /* seconds */

static const unsigned char fd_lengths[] = { 12, 16, 20, 24, 32, 48, 64, 1 };

static int fail(const char *what)
{
        perror(what);
        return EXIT_FAILURE;
}

/* A raw socket at the interface, or -1. */
static int socket_open(const char *interface)
{
        struct sockaddr_can address = { .can_family = AF_CAN };
        const struct timeval patience = { .tv_sec = PATIENCE };
        const can_err_mask_t errors = CAN_ERR_BUSOFF;
        const int yes = 1;
        const int fd = socket(PF_CAN, SOCK_RAW, CAN_RAW);

        address.can_ifindex = (int)if_nametoindex(interface);
        if (fd < 0 || address.can_ifindex == 0 ||
            setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &yes, sizeof(yes)) < 0 ||
            setsockopt(fd, SOL_CAN_RAW, CAN_RAW_ERR_FILTER, &errors, sizeof(errors)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
            bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -1;
        return fd;
}

/* The frame with this number; returns its size for the socket, which tells of what kind it is. */
static size_t frame_make(unsigned int number, struct canfd_frame *ret_frame)
{
        struct canfd_frame frame = { .len = (unsigned char)(number / 4 % (CAN_MAX_DLEN + 1)) };
        const unsigned int kind = number % 4;

        frame.can_id = number * 2654435761u;
        frame.can_id = kind == 1 ? (frame.can_id & CAN_EFF_MASK) | CAN_EFF_FLAG
                                 : frame.can_id & CAN_SFF_MASK;
        if (kind == 2)
                frame.can_id |= CAN_RTR_FLAG;
        if (kind == 3)
                frame.len = fd_lengths[number / 4 % sizeof(fd_lengths)];
        for (unsigned int i = 0; kind != 2 && i < frame.len; i++)
                frame.data[i] = (unsigned char)(number * 31 + i * 7 + 1);
        *ret_frame = frame;
        return kind == 3 ? CANFD_MTU : CAN_MTU;
}

/* Whether the next frame that comes is the one with this number. */
static bool frame_comes(int fd, unsigned int number)
{
        struct canfd_frame came = { 0 }, sent;
        const size_t size = frame_make(number, &sent);

        if (read(fd, &came, sizeof(came)) != (ssize_t)size)
                return false;
        came.flags = 0;
        return memcmp(&came, &sent, size) == 0;
}

static int frames_exchange(const char *interface, unsigned int n_frames)
{
        const int fd = socket_open(interface);
        unsigned int n_came = 0;

        if (fd < 0)
                return fail(interface);
        for (unsigned int i = 0; i < n_frames + UNDER_WAY; i++) {
                struct canfd_frame frame;
                size_t size;

                if (i >= UNDER_WAY && n_came < n_frames) {
                        if (!frame_comes(fd, n_came))
                                return fail("a frame comes back");
                        n_came++;
                }
                if (i >= n_frames)
                        continue;
                size = frame_make(i, &frame);
                if (write(fd, &frame, size) != (ssize_t)size)
                        return fail("a frame is sent");
        }
        printf("guest: can %u frames\n", n_came);
        return EXIT_SUCCESS;
}

static int bus_off_wait(const char *interface)
{
        const int fd = socket_open(interface);
        struct can_frame frame;

        if (fd < 0)
                return fail(interface);
        puts("guest: waits for bus off");
        fflush(stdout);
        if (read(fd, &frame, sizeof(frame)) != sizeof(frame) ||
            frame.can_id != (CAN_ERR_FLAG | CAN_ERR_BUSOFF))
                return fail("bus off");
        puts("guest: can bus off");
        return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        if (argc == 4 && strcmp(argv[1], "frames") == 0)
                return frames_exchange(argv[2], (unsigned int)atoi(argv[3]));
        if (argc == 3 && strcmp(argv[1], "busoff") == 0)
                return bus_off_wait(argv[2]);
        return EXIT_FAILURE;
}
