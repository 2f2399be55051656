/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A guest at an SPI bus: "spi WIRED SHOWING" transfers to two chips by their device files. Of the
 * first the output is wired to the input, the second shows with what parameters it is asked.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/spi/spidev.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TRANSFER_MAX 4096
#define FREQUENCY    500000

/* What the chip shows: virtio 1.3, section 5.21, struct virtio_spi_transfer_head. */
typedef struct TransferHead {
        uint8_t chip_select_id, bits_per_word, cs_change, tx_nbits, rx_nbits, reserved[3];
        uint32_t mode, freq;
        uint32_t word_delay_ns, cs_setup_ns, cs_delay_hold_ns, cs_change_delay_inactive_ns;
} TransferHead;

static uint8_t out[TRANSFER_MAX], in[TRANSFER_MAX];

static int fail(const char *what)
{
        perror(what);
        return EXIT_FAILURE;
}

/* A transfer of as much both ways. Returns whether it succeeded; if not, errno says why. */
static bool transfer(int fd, size_t size, uint8_t word_delay_usec)
{
        const struct spi_ioc_transfer both_ways = {
                .tx_buf = (uintptr_t)out,
                .rx_buf = (uintptr_t)in,
                .len = (uint32_t)size,
                .speed_hz = FREQUENCY,
                .word_delay_usecs = word_delay_usec,
        };

        memset(in, 0xff, sizeof(in));
        return ioctl(fd, SPI_IOC_MESSAGE(1), &both_ways) == (int)size;
}

/* Bytes of a size come back; and so do they in one direction at a time, where nothing is sent. */
static bool wired(int fd, size_t size)
{
        static const uint8_t nothing[TRANSFER_MAX];

        for (size_t i = 0; i < size; i++)
                out[i] = (uint8_t)(size * 31 + i * 7 + (i >> 8));
        return transfer(fd, size, 0) && memcmp(in, out, size) == 0 &&
               write(fd, out, size) == (ssize_t)size && read(fd, in, size) == (ssize_t)size &&
               memcmp(in, nothing, size) == 0;
}

/* A mode reaches the chip, and what else it is asked with. */
static bool shown(int fd, uint8_t mode)
{
        TransferHead head;

        if (ioctl(fd, SPI_IOC_WR_MODE, &mode) < 0 || !transfer(fd, sizeof(head), 0))
                return false;
        memcpy(&head, in, sizeof(head));
        return head.chip_select_id == 1 && head.bits_per_word == 8 && head.mode == mode &&
               head.freq == FREQUENCY;
}

/* What the controller refuses is refused here. */
static bool refused(int fd, size_t size, uint8_t word_delay_usec, int error)
{
        return !transfer(fd, size, word_delay_usec) && errno == error;
}

int main(int argc, char **argv)
{
        static const size_t sizes[] = { 1, 2, 31, 512, TRANSFER_MAX - 1, TRANSFER_MAX };
        const int first = argc == 3 ? open(argv[1], O_RDWR) : -1;
        const int second = argc == 3 ? open(argv[2], O_RDWR) : -1;

        if (first < 0 || second < 0)
                return fail("spi");
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                if (!wired(first, sizes[i]))
                        return fail("what was sent comes back");
        }
        for (uint8_t mode = SPI_MODE_0; mode <= SPI_MODE_3; mode++) {
                if (!shown(second, mode))
                        return fail("the chip is asked with the mode that was set");
        }
        if (!refused(first, 1, 1, EINVAL))
                return fail("a delay that the controller cannot do");
        if (!refused(second, sizeof(TransferHead) - 1, 0, EIO))
                return fail("a transfer that fails");
        puts("guest: spi");
        return EXIT_SUCCESS;
}
