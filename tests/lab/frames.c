/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * "frames INTERFACE" sends frames from each CPU over the card's queue of that CPU, and waits until
 * each has come back: the card's wire leads back.
 */

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_FRAMES 10     /* of each CPU */
#define PROTOCOL 0x88b5 /* for local experiments */
#define HEADER   14     /* of Ethernet */
#define SIZE     1000
#define PATIENCE 20000 /* ms */

static int fail(const char *what)
{
        perror(what);
        return EXIT_FAILURE;
}

/* A socket of the interface, whose frames are put into the queue of the CPU that sends them. */
static int card_open(const char *interface)
{
        const struct sockaddr_ll address = {
                .sll_family = AF_PACKET,
                .sll_protocol = htons(PROTOCOL),
                .sll_ifindex = (int)if_nametoindex(interface),
        };
        const int s = socket(AF_PACKET, SOCK_RAW, htons(PROTOCOL)), one = 1;

        if (s < 0 || setsockopt(s, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0 ||
            bind(s, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return -1;
        return s;
}

static void frame_make(unsigned char frame[SIZE], int cpu, int number)
{
        memset(frame, 0xff, HEADER - 2);
        frame[6] = 2; /* from nobody */
        frame[HEADER - 2] = PROTOCOL >> 8;
        frame[HEADER - 1] = PROTOCOL & 0xff;
        for (int i = HEADER; i < SIZE; i++)
                frame[i] = (unsigned char)(cpu + 7 * number + i);
}

/* Sends a frame, and waits for it; what is sent is seen, too. Returns whether it came back. */
static int frame_exchange(int s, int cpu, int number)
{
        unsigned char sent[SIZE], got[SIZE + 1];
        struct pollfd readable = { .fd = s, .events = POLLIN };

        frame_make(sent, cpu, number);
        if (send(s, sent, sizeof(sent), 0) != sizeof(sent))
                return 0;
        while (poll(&readable, 1, PATIENCE) == 1) {
                struct sockaddr_ll from;
                socklen_t length = sizeof(from);
                const ssize_t n =
                        recvfrom(s, got, sizeof(got), 0, (struct sockaddr *)&from, &length);

                if (from.sll_pkttype != PACKET_OUTGOING)
                        return n == SIZE && memcmp(sent, got, SIZE) == 0;
        }
        return 0;
}

static int cpu_use(int s, int cpu)
{
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
                return fail("sched_setaffinity");
        for (int i = 0; i < N_FRAMES; i++) {
                if (!frame_exchange(s, cpu, i)) {
                        fprintf(stderr, "frame %d of CPU %d is lost\n", i, cpu);
                        return EXIT_FAILURE;
                }
        }
        return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        const long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
        int s;

        if (argc != 2)
                return EXIT_FAILURE;
        s = card_open(argv[1]);
        if (s < 0)
                return fail(argv[1]);
        for (int cpu = 0; cpu < n_cpus; cpu++) {
                if (cpu_use(s, cpu) != EXIT_SUCCESS)
                        return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
