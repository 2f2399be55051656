/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The lines behind the GPIO device: those of a chip of the host's (linux/gpio.h), or simulated
 * ones, of which each of the first half is connected to one of the second.
 */

#include <stdbool.h>
#include <stdint.h>

#define GPIO_LINES 8

/* As the driver sets them: virtio 1.3, section 5.18.6. */
#define GPIO_DIRECTION_NONE UINT8_C(0)
#define GPIO_DIRECTION_OUT  UINT8_C(1)
#define GPIO_DIRECTION_IN   UINT8_C(2)
#define GPIO_IRQ_NONE       UINT8_C(0)
#define GPIO_IRQ_RISING     UINT8_C(1)
#define GPIO_IRQ_FALLING    UINT8_C(2)
#define GPIO_IRQ_LEVEL_HIGH UINT8_C(4)
#define GPIO_IRQ_LEVEL_LOW  UINT8_C(8)

typedef struct GpioLine {
        uint8_t direction;
        uint8_t value; /* of an output; of a simulated line, whatever it is */
        uint8_t irq;   /* edges that are looked for; levels are not simulated */
        bool pending;  /* one was seen */
        int fd;        /* of a line of the host's; -1: not taken */
} GpioLine;

typedef struct GpioLines {
        GpioLine lines[GPIO_LINES];
        int chip; /* of the host; -1: simulated */
        int poll; /* readable when there are edges of the host's lines */
} GpioLines;

/* path: NULL for simulated lines. Returns 0 or a negative errno. */
int gpio_lines_open(GpioLines *lines, const char *path);
void gpio_lines_close(GpioLines *lines);

/* Makes a line what its direction, value and irq say. Returns 0 or a negative errno. */
int gpio_line_apply(GpioLines *lines, unsigned int line);
/* 0, 1 or a negative errno. */
int gpio_line_value(GpioLines *lines, unsigned int line);
/* Looks for edges of the host's lines, and notes them as pending. */
void gpio_lines_read(GpioLines *lines);
