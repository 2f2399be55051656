/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A disk (virtio 1.3, section 5.2) over a file or a block device. */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/backend/personality.h"

#define SECTOR UINT64_C(512)

#define BLK_F_SEG_MAX    2
#define BLK_F_RO         5
#define BLK_F_BLK_SIZE   6
#define BLK_F_FLUSH      9
#define BLK_F_MQ         12
#define BLK_F_DISCARD    13
#define BLK_SEGMENTS_MAX 126
#define BLK_DISCARD_MAX  (UINT32_C(1) << 15) /* sectors */

#define BLK_IN      0
#define BLK_OUT     1
#define BLK_FLUSH   4
#define BLK_GET_ID  8
#define BLK_DISCARD 11

#define BLK_OK          UINT8_C(0)
#define BLK_IOERR       UINT8_C(1)
#define BLK_UNSUPPORTED UINT8_C(2)

#define ID_SIZE 20

typedef struct BlockConfig {
        uint64_t capacity; /* sectors */
        uint32_t size_max;
        uint32_t seg_max;
        uint8_t geometry[4];
        uint32_t blk_size;
        uint8_t topology[8];
        uint8_t writeback;
        uint8_t unused;
        uint16_t num_queues;
        uint32_t max_discard_sectors;
        uint32_t max_discard_seg;
        uint32_t discard_sector_alignment;
        uint8_t write_zeroes[12];
} BlockConfig;
_Static_assert(offsetof(BlockConfig, num_queues) == 34 && sizeof(BlockConfig) == 64, "layout");
#define CONFIG_SIZE 60 /* the last four bytes are padding of ours */

typedef struct BlockHeader {
        uint32_t type;
        uint32_t reserved;
        uint64_t sector;
} BlockHeader;

typedef struct BlockDiscard {
        uint64_t sector;
        uint32_t n_sectors;
        uint32_t flags;
} BlockDiscard;

/* A file's size; a block device has none of its own, but an end. */
static int64_t image_size(int fd)
{
        struct stat status;

        if (fstat(fd, &status) < 0)
                return -errno;
        return S_ISBLK(status.st_mode) ? lseek(fd, 0, SEEK_END) : status.st_size;
}

static int block_open(const PersonalityOptions *options, Personality *personality)
{
        BlockConfig config = {
                .seg_max = BLK_SEGMENTS_MAX,
                .blk_size = SECTOR,
                .max_discard_sectors = BLK_DISCARD_MAX,
                .max_discard_seg = 1,
                .discard_sector_alignment = 8,
        };
        int64_t size;

        personality->read_only = options->read_only;
        personality->fd = open(options->path, (options->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (personality->fd < 0)
                return -errno;
        size = image_size(personality->fd);
        if (size < 0)
                return (int)size;

        personality->n_queues = options->n_queues ? options->n_queues : 1;
        personality->features = BIT(BLK_F_SEG_MAX) | BIT(BLK_F_BLK_SIZE) | BIT(BLK_F_FLUSH) |
                                BIT(BLK_F_MQ) | BIT(BLK_F_DISCARD);
        if (options->read_only)
                personality->features |= BIT(BLK_F_RO);
        config.capacity = (uint64_t)size / SECTOR;
        config.num_queues = (uint16_t)personality->n_queues;
        personality->config_size = CONFIG_SIZE;
        memcpy(personality->config, &config, CONFIG_SIZE);
        return 0;
}

static void block_close(Personality *personality)
{
        fd_closep(&personality->fd);
}

static uint64_t capacity(const Personality *personality)
{
        uint64_t sectors;

        memcpy(&sectors, personality->config, sizeof(sectors));
        return sectors;
}

typedef struct Transfer {
        int fd;
        uint64_t start; /* of the transfer, in the image */
        bool is_write;
} Transfer;

static int piece_transfer(void *userdata, uint8_t *data, size_t size, uint64_t position)
{
        const Transfer *transfer = userdata;
        size_t done = 0;

        while (done < size) {
                const off_t place = (off_t)(transfer->start + position + done);
                ssize_t n = transfer->is_write
                                    ? pwrite(transfer->fd, data + done, size - done, place)
                                    : pread(transfer->fd, data + done, size - done, place);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                done += (size_t)n;
        }
        return 0;
}

static bool is_inside(const Personality *personality, uint64_t sector, uint64_t size)
{
        const uint64_t sectors = capacity(personality);

        return size % SECTOR == 0 && sector <= sectors && size / SECTOR <= sectors - sector;
}

static uint8_t transfer_serve(Personality *personality, const Memory *memory, const Chain *chain,
                              const BlockHeader *header, uint64_t size)
{
        Transfer transfer = {
                .fd = personality->fd,
                .start = header->sector * SECTOR,
                .is_write = header->type == BLK_OUT,
        };

        if (!is_inside(personality, header->sector, size) ||
            (transfer.is_write && personality->read_only))
                return BLK_IOERR;
        return chain_each(chain, memory, !transfer.is_write,
                          transfer.is_write ? sizeof(*header) : 0, size, piece_transfer,
                          &transfer) == 0
                       ? BLK_OK
                       : BLK_IOERR;
}

static uint8_t discard_serve(Personality *personality, const Memory *memory, const Chain *chain)
{
        BlockDiscard discard;

        if (chain->readable != sizeof(BlockHeader) + sizeof(discard) ||
            chain_read(chain, memory, sizeof(BlockHeader), &discard, sizeof(discard)) < 0)
                return BLK_UNSUPPORTED;
        if (discard.flags != 0 || personality->read_only)
                return BLK_UNSUPPORTED;
        if (discard.n_sectors > BLK_DISCARD_MAX ||
            !is_inside(personality, discard.sector, discard.n_sectors * SECTOR))
                return BLK_IOERR;
        /* A hint: a file system that cannot do it keeps the data. */
        if (fallocate(personality->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      (off_t)(discard.sector * SECTOR), (off_t)(discard.n_sectors * SECTOR)) < 0 &&
            errno != EOPNOTSUPP)
                return BLK_IOERR;
        return BLK_OK;
}

static uint8_t id_serve(const Memory *memory, const Chain *chain, uint64_t size)
{
        const char id[ID_SIZE] = "xen-virtio-test";

        return size == ID_SIZE && chain_write(chain, memory, 0, id, sizeof(id)) == 0 ? BLK_OK
                                                                                     : BLK_IOERR;
}

static int block_serve(Personality *personality, uint32_t queue _unused_, const Memory *memory,
                       const Chain *chain, uint32_t *ret_written)
{
        BlockHeader header;
        uint64_t size;
        uint8_t status;
        int r;

        if (chain->writable == 0 || chain->readable < sizeof(header))
                return -EPROTO;
        r = chain_read(chain, memory, 0, &header, sizeof(header));
        if (r < 0)
                return r;
        size = chain->writable - 1; /* the status byte comes last */

        switch (header.type) {
        case BLK_IN:
                status = transfer_serve(personality, memory, chain, &header, size);
                break;
        case BLK_OUT:
                status = transfer_serve(personality, memory, chain, &header,
                                        chain->readable - sizeof(header));
                break;
        case BLK_FLUSH:
                status = fdatasync(personality->fd) == 0 ? BLK_OK : BLK_IOERR;
                break;
        case BLK_GET_ID:
                status = id_serve(memory, chain, size);
                break;
        case BLK_DISCARD:
                status = discard_serve(personality, memory, chain);
                break;
        default:
                status = BLK_UNSUPPORTED;
        }
        *ret_written = (uint32_t)chain->writable;
        return chain_write(chain, memory, size, &status, sizeof(status));
}

/* The image may have grown or shrunk. */
static bool block_refresh(Personality *personality)
{
        const int64_t size = image_size(personality->fd);
        const uint64_t sectors = (uint64_t)size / SECTOR;

        if (size < 0 || sectors == capacity(personality))
                return false;
        memcpy(personality->config, &sectors, sizeof(sectors));
        return true;
}

const PersonalityOps block_ops = {
        .name = "block",
        .needs_path = true,
        .open = block_open,
        .close = block_close,
        .serve = block_serve,
        .refresh = block_refresh,
};
