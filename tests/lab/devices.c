/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a guest's shell cannot do with its devices: "devices edge CHIP LINE" waits for a rising edge
 * of a GPIO line, "devices key EVENT" for a key. Both say when they are ready, and what came.
 */

#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/input.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int fail(const char *what)
{
        perror(what);
        return EXIT_FAILURE;
}

static int edge_wait(const char *path, const char *line)
{
        struct gpio_v2_line_request request = {
                .offsets = { (unsigned int)atoi(line) },
                .consumer = "devices",
                .config.flags = GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING,
                .num_lines = 1,
        };
        struct gpio_v2_line_event event;
        const int chip = open(path, O_RDWR);

        if (chip < 0 || ioctl(chip, GPIO_V2_GET_LINE_IOCTL, &request) < 0)
                return fail(path);
        puts("guest: waits for an edge");
        fflush(stdout);
        if (read(request.fd, &event, sizeof(event)) != sizeof(event))
                return fail("edge");
        printf("guest: edge of line %u\n", event.offset);
        return EXIT_SUCCESS;
}

static int key_wait(const char *path)
{
        struct input_event event;
        const int fd = open(path, O_RDONLY);

        if (fd < 0)
                return fail(path);
        puts("guest: waits for a key");
        fflush(stdout);
        do {
                if (read(fd, &event, sizeof(event)) != sizeof(event))
                        return fail("key");
        } while (event.type != EV_KEY);
        printf("guest: key %u, %d\n", event.code, event.value);
        return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        if (argc == 4 && strcmp(argv[1], "edge") == 0)
                return edge_wait(argv[2], argv[3]);
        if (argc == 3 && strcmp(argv[1], "key") == 0)
                return key_wait(argv[2]);
        return EXIT_FAILURE;
}
