/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/backend/gpio-lines.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/macros.h"

int gpio_lines_open(GpioLines *lines, const char *path)
{
        *lines = (GpioLines){ .chip = -1, .poll = -1 };
        for (unsigned int i = 0; i < GPIO_LINES; i++)
                lines->lines[i].fd = -1;
        if (!path)
                return 0;
        lines->chip = open(path, O_RDWR | O_CLOEXEC);
        if (lines->chip >= 0)
                lines->poll = epoll_create1(EPOLL_CLOEXEC);
        return lines->poll < 0 ? -errno : 0;
}

void gpio_lines_close(GpioLines *lines)
{
        for (unsigned int i = 0; i < GPIO_LINES; i++)
                fd_closep(&lines->lines[i].fd);
        fd_closep(&lines->poll);
        fd_closep(&lines->chip);
}

/* An edge, if the line is an input where one is looked for. */
static void simulated_set(GpioLine *line, uint8_t value)
{
        const uint8_t edge = value ? GPIO_IRQ_RISING : GPIO_IRQ_FALLING;

        if (value != line->value && (line->irq & edge))
                line->pending = true;
        line->value = value;
}

static int simulated_apply(GpioLines *lines, unsigned int n)
{
        const GpioLine *line = &lines->lines[n];

        if (line->direction == GPIO_DIRECTION_OUT && n < GPIO_LINES / 2)
                simulated_set(&lines->lines[n + GPIO_LINES / 2], line->value);
        return 0;
}

static struct gpio_v2_line_config host_config(const GpioLine *line)
{
        struct gpio_v2_line_config config = { .flags = GPIO_V2_LINE_FLAG_INPUT };

        if (line->direction == GPIO_DIRECTION_OUT) {
                config.flags = GPIO_V2_LINE_FLAG_OUTPUT;
                config.num_attrs = 1;
                config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
                config.attrs[0].attr.values = line->value;
                config.attrs[0].mask = 1;
                return config;
        }
        if (line->irq & GPIO_IRQ_RISING)
                config.flags |= GPIO_V2_LINE_FLAG_EDGE_RISING;
        if (line->irq & GPIO_IRQ_FALLING)
                config.flags |= GPIO_V2_LINE_FLAG_EDGE_FALLING;
        return config;
}

/* Linux gives edges only of lines that it was asked for as a whole, so each change asks anew. */
static int host_apply(GpioLines *lines, unsigned int n)
{
        GpioLine *line = &lines->lines[n];
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = n };
        struct gpio_v2_line_request request = {
                .offsets = { n },
                .consumer = "xen-virtio-test",
                .config = host_config(line),
                .num_lines = 1,
        };

        fd_closep(&line->fd);
        if (line->direction == GPIO_DIRECTION_NONE)
                return 0;
        if (ioctl(lines->chip, GPIO_V2_GET_LINE_IOCTL, &request) < 0)
                return -errno;
        line->fd = request.fd;
        return epoll_ctl(lines->poll, EPOLL_CTL_ADD, line->fd, &event) < 0 ? -errno : 0;
}

int gpio_line_apply(GpioLines *lines, unsigned int line)
{
        return lines->chip < 0 ? simulated_apply(lines, line) : host_apply(lines, line);
}

int gpio_line_value(GpioLines *lines, unsigned int line)
{
        struct gpio_v2_line_values values = { .mask = 1 };

        if (lines->chip < 0)
                return lines->lines[line].value;
        if (lines->lines[line].fd < 0)
                return -ENODEV;
        if (ioctl(lines->lines[line].fd, GPIO_V2_LINE_GET_VALUES_IOCTL, &values) < 0)
                return -errno;
        return values.bits & 1;
}

void gpio_lines_read(GpioLines *lines)
{
        struct gpio_v2_line_event edge;
        struct epoll_event event;

        while (epoll_wait(lines->poll, &event, 1, 0) > 0) {
                GpioLine *line = &lines->lines[event.data.u32];

                if (read(line->fd, &edge, sizeof(edge)) != sizeof(edge))
                        return;
                line->pending = true;
        }
}
