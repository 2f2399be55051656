/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * An I2C adapter (virtio 1.3, section 5.16). It has one chip of its own: 256 registers at 0x50,
 * with a pointer that a write sets and a read moves on. Or it is an adapter of the host's; messages
 * become SMBus transfers then, since i2c-stub knows nothing else.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests/backend/personality.h"

#define I2C_F_ZERO_LENGTH_REQUEST 0
#define I2C_FLAGS_M_RD            UINT32_C(0x2)
#define CHIP_ADDRESS              0x50
#define MESSAGE_MAX               256

typedef struct I2cHeader {
        uint16_t address; /* seven bits, one to the left */
        uint16_t padding;
        uint32_t flags;
} I2cHeader;

static uint8_t registers[256], pointer;

static int i2c_open(const PersonalityOptions *options, Personality *personality)
{
        personality->n_queues = 1;
        personality->features = BIT(I2C_F_ZERO_LENGTH_REQUEST);
        if (!options->path)
                return 0;
        personality->fd = open(options->path, O_RDWR | O_CLOEXEC);
        return personality->fd < 0 ? -errno : 0;
}

static void i2c_close(Personality *personality)
{
        fd_closep(&personality->fd);
}

/* The simulated chip; of a write the first byte is the register. */
static int chip_transfer(uint16_t address, bool is_read, uint8_t *data, size_t size)
{
        if (address != CHIP_ADDRESS)
                return -ENXIO;
        for (size_t i = 0; i < size; i++) {
                if (is_read)
                        data[i] = registers[pointer++];
                else if (i == 0)
                        pointer = data[i];
                else
                        registers[pointer++] = data[i];
        }
        return 0;
}

static int smbus(int fd, uint8_t direction, uint8_t command, uint32_t size,
                 union i2c_smbus_data *data)
{
        struct i2c_smbus_ioctl_data arguments = { direction, command, size, data };

        return ioctl(fd, I2C_SMBUS, &arguments) < 0 ? -errno : 0;
}

/* The host's adapter. */
static int host_transfer(int fd, uint16_t address, bool is_read, uint8_t *data, size_t size)
{
        union i2c_smbus_data value = { 0 };
        int r = 0;

        if (ioctl(fd, I2C_SLAVE, (unsigned long)address) < 0)
                return -errno;
        if (size == 0)
                return smbus(fd, is_read ? I2C_SMBUS_READ : I2C_SMBUS_WRITE, 0, I2C_SMBUS_QUICK,
                             NULL);
        for (size_t i = 0; is_read && i < size && r == 0; i++) {
                r = smbus(fd, I2C_SMBUS_READ, 0, I2C_SMBUS_BYTE, &value);
                data[i] = value.byte;
        }
        if (!is_read && size == 1)
                return smbus(fd, I2C_SMBUS_WRITE, data[0], I2C_SMBUS_BYTE, NULL);
        for (size_t i = 1; !is_read && i < size && r == 0; i++) {
                value.byte = data[i];
                r = smbus(fd, I2C_SMBUS_WRITE, (uint8_t)(data[0] + i - 1), I2C_SMBUS_BYTE_DATA,
                          &value);
        }
        return r;
}

static int i2c_serve(Personality *personality, uint32_t queue _unused_, const Memory *memory,
                     const Chain *chain, uint32_t *ret_written)
{
        uint8_t data[MESSAGE_MAX], status; /* OK or ERR: 0 or 1 */
        I2cHeader header;
        uint64_t size;
        bool is_read;
        int r;

        if (chain->readable < sizeof(header) || chain->writable == 0)
                return -EPROTO;
        r = chain_read(chain, memory, 0, &header, sizeof(header));
        if (r < 0)
                return r;
        is_read = header.flags & I2C_FLAGS_M_RD;
        size = is_read ? chain->writable - 1 : chain->readable - sizeof(header);
        if (size > sizeof(data))
                return -EPROTO;
        if (!is_read)
                r = chain_read(chain, memory, sizeof(header), data, size);
        if (r < 0)
                return r;
        r = personality->fd < 0
                    ? chip_transfer(header.address >> 1, is_read, data, size)
                    : host_transfer(personality->fd, header.address >> 1, is_read, data, size);
        status = r < 0;
        if (is_read)
                r = chain_write(chain, memory, 0, data, size);
        *ret_written = (uint32_t)chain->writable;
        return chain_write(chain, memory, chain->writable - 1, &status, sizeof(status));
}

const PersonalityOps i2c_ops = {
        .name = "i2c",
        .open = i2c_open,
        .close = i2c_close,
        .serve = i2c_serve,
};
