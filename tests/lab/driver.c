/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A driver in a program, for a device that the guest's kernel has no driver for: "driver ADDRESS"
 * drives the loop-back of the tests' backend, whose registers are there, and "driver ADDRESS
 * grants" lets dom0 see no more than what it grants. It reads the configuration space, sends
 * through all queues that the device has (with grants three, ARCHITECTURE.md says why), resets the
 * device, and says how many they were.
 */

#include <endian.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <xen/gntalloc.h>

/* A private type's; the largest of xl.cfg. */
#define DEVICE_ID   0x3f
#define CONFIG_SIZE 64
#define PAGE_SIZE   4096U

/* Linux' grant DMA addresses (drivers/xen/grant-dma-ops.c): this bit, and the grant's page. */
#define GRANT_ADDRESS (1ULL << 63)

/* The ring is in one page, with the three parts where the specification wants them aligned. */
enum {
        QUEUE_SIZE = 16,
        AVAIL_OFFSET = QUEUE_SIZE * sizeof(struct vring_desc),
        USED_OFFSET = PAGE_SIZE / 2,
        REQUESTS = 2 * QUEUE_SIZE, /* so that the indices wrap */
        GRANT_QUEUES = 3,
        SECONDS = 20,
};

typedef struct Page {
        uint8_t *data;
        uint64_t address; /* as the device has it */
} Page;

static volatile uint8_t *registers;

static void fail(const char *what)
{
        perror(what);
        exit(EXIT_FAILURE);
}

static void check(bool right, const char *what)
{
        if (right)
                return;
        fprintf(stderr, "driver: wrong: %s\n", what);
        exit(EXIT_FAILURE);
}

static uint32_t reg_read(uint32_t reg)
{
        return le32toh(*(volatile uint32_t *)(registers + reg));
}

static void reg_write(uint32_t reg, uint32_t value)
{
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        *(volatile uint32_t *)(registers + reg) = htole32(value);
}

static void registers_map(const char *word)
{
        const unsigned long address = strtoul(word, NULL, 16);
        const int fd = open("/dev/mem", O_RDWR | O_SYNC);
        uint8_t *page;

        page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                    (off_t)(address & ~(PAGE_SIZE - 1UL)));
        if (fd < 0 || page == MAP_FAILED)
                fail("/dev/mem");
        close(fd);
        registers = page + address % PAGE_SIZE;
}

/* A page that the device may be told of by its place in the guest's memory. */
static Page page_find(void)
{
        Page page;
        uint64_t entry;
        const int fd = open("/proc/self/pagemap", O_RDONLY);

        page.data = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
        if (page.data == MAP_FAILED ||
            pread(fd, &entry, sizeof(entry),
                  (off_t)((uintptr_t)page.data / PAGE_SIZE * sizeof(entry))) != sizeof(entry))
                fail("pagemap");
        close(fd);
        /* Documentation/admin-guide/mm/pagemap.rst: the frame number is bits 0 to 54. */
        page.address = (entry & ((1ULL << 55) - 1)) * PAGE_SIZE;
        return page;
}

/* A page that dom0 is granted. */
static Page page_grant(void)
{
        static int fd = -1;
        struct ioctl_gntalloc_alloc_gref grant = { .flags = GNTALLOC_FLAG_WRITABLE, .count = 1 };
        Page page;

        if (fd < 0)
                fd = open("/dev/xen/gntalloc", O_RDWR);
        if (fd < 0 || ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &grant) < 0)
                fail("/dev/xen/gntalloc");
        page.data =
                mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)grant.index);
        if (page.data == MAP_FAILED)
                fail("gntalloc's page");
        page.address = GRANT_ADDRESS | (uint64_t)grant.gref_ids[0] * PAGE_SIZE;
        return page;
}

static Page page_new(bool grants)
{
        return grants ? page_grant() : page_find();
}

static void address_write(uint32_t low, uint64_t address)
{
        reg_write(low, (uint32_t)address);
        reg_write(low + 4, (uint32_t)(address >> 32));
}

static uint32_t features_read(uint32_t half)
{
        reg_write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, half);
        return reg_read(VIRTIO_MMIO_DEVICE_FEATURES);
}

/* Virtio 1.2, section 3.1.1, steps 1 to 6. */
static void device_begin(bool grants)
{
        const uint32_t version = 1U << (VIRTIO_F_VERSION_1 - 32);
        const uint32_t platform = 1U << (VIRTIO_F_ACCESS_PLATFORM - 32);
        uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER, high;

        check(reg_read(VIRTIO_MMIO_MAGIC_VALUE) == 0x74726976, "magic value");
        check(reg_read(VIRTIO_MMIO_VERSION) == 2, "version");
        check(reg_read(VIRTIO_MMIO_DEVICE_ID) == DEVICE_ID, "device ID");
        reg_write(VIRTIO_MMIO_STATUS, 0);
        check(reg_read(VIRTIO_MMIO_STATUS) == 0, "reset");
        reg_write(VIRTIO_MMIO_STATUS, status);
        high = features_read(1);
        check(high & version, "no VERSION_1");
        check(!!(high & platform) == grants, "ACCESS_PLATFORM");
        for (uint32_t half = 0; half < 2; half++) {
                reg_write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
                reg_write(VIRTIO_MMIO_DRIVER_FEATURES, half ? high & (version | platform) : 0);
        }
        status |= VIRTIO_CONFIG_S_FEATURES_OK;
        reg_write(VIRTIO_MMIO_STATUS, status);
        check(reg_read(VIRTIO_MMIO_STATUS) == status, "FEATURES_OK");
}

/* The backend has it so that each byte but the first says where it is. */
static void config_check(void)
{
        const uint32_t generation = reg_read(VIRTIO_MMIO_CONFIG_GENERATION);

        for (uint32_t i = 1; i < CONFIG_SIZE; i++)
                check(registers[VIRTIO_MMIO_CONFIG + i] == i, "configuration space");
        check(reg_read(VIRTIO_MMIO_CONFIG_GENERATION) == generation, "generation");
}

/* Of the queue that is selected. */
static Page queue_begin(bool grants)
{
        const Page ring = page_new(grants);

        check(reg_read(VIRTIO_MMIO_QUEUE_READY) == 0, "queue is ready already");
        check(reg_read(VIRTIO_MMIO_QUEUE_NUM_MAX) >= QUEUE_SIZE, "queue's size");
        reg_write(VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE);
        address_write(VIRTIO_MMIO_QUEUE_DESC_LOW, ring.address);
        address_write(VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring.address + AVAIL_OFFSET);
        address_write(VIRTIO_MMIO_QUEUE_USED_LOW, ring.address + USED_OFFSET);
        reg_write(VIRTIO_MMIO_QUEUE_READY, 1);
        return ring;
}

static void used_wait(volatile struct vring_used *used, uint16_t index)
{
        const time_t end = time(NULL) + SECONDS;

        while (le16toh(used->idx) != index)
                check(time(NULL) < end, "no answer");
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* A request of two buffers: the device copies what it reads in the one to the other. */
static void request_send(uint32_t queue, Page ring, Page from, Page to, uint16_t number)
{
        const uint16_t head = (uint16_t)(2 * number % QUEUE_SIZE);
        const uint32_t size = PAGE_SIZE - number;
        struct vring_desc *table = (struct vring_desc *)ring.data;
        struct vring_avail *avail = (struct vring_avail *)(ring.data + AVAIL_OFFSET);
        struct vring_used *used = (struct vring_used *)(ring.data + USED_OFFSET);

        memset(to.data, 0, PAGE_SIZE);
        for (uint32_t i = 0; i < PAGE_SIZE; i++)
                from.data[i] = (uint8_t)(1 + i + i / 251 + 31 * number + 7 * queue);
        table[head] = (struct vring_desc){ .addr = htole64(from.address),
                                           .len = htole32(size),
                                           .flags = htole16(VRING_DESC_F_NEXT),
                                           .next = htole16(head + 1) };
        table[head + 1] = (struct vring_desc){ .addr = htole64(to.address),
                                               .len = htole32(size),
                                               .flags = htole16(VRING_DESC_F_WRITE) };
        avail->ring[number % QUEUE_SIZE] = htole16(head);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        avail->idx = htole16(number + 1);
        reg_write(VIRTIO_MMIO_QUEUE_NOTIFY, queue);
        used_wait(used, (uint16_t)(number + 1));
        check(le32toh(used->ring[number % QUEUE_SIZE].id) == head, "answer to something else");
        check(le32toh(used->ring[number % QUEUE_SIZE].len) == size, "answer's size");
        check(memcmp(from.data, to.data, size) == 0, "data");
        for (uint32_t i = size; i < PAGE_SIZE; i++)
                check(to.data[i] == 0, "bytes behind the buffer");
}

/* The interrupt comes behind the answer, by another way. */
static void interrupt_take(void)
{
        const time_t end = time(NULL) + SECONDS;

        while (!(reg_read(VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING))
                check(time(NULL) < end, "no interrupt");
        reg_write(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
}

int main(int argc, char **argv)
{
        const bool grants = argc == 3 && strcmp(argv[2], "grants") == 0;
        Page rings[64], from, to;
        uint32_t n = 0;

        if (argc < 2)
                return EXIT_FAILURE;
        registers_map(argv[1]);
        device_begin(grants);
        config_check();
        from = page_new(grants);
        to = page_new(grants);
        for (; n < 64 && !(grants && n == GRANT_QUEUES); n++) {
                reg_write(VIRTIO_MMIO_QUEUE_SEL, n);
                if (reg_read(VIRTIO_MMIO_QUEUE_NUM_MAX) == 0)
                        break;
                rings[n] = queue_begin(grants);
        }
        reg_write(VIRTIO_MMIO_STATUS, reg_read(VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
        for (uint16_t number = 0; number < REQUESTS; number++) {
                for (uint32_t queue = 0; queue < n; queue++)
                        request_send(queue, rings[queue], from, to, number);
        }
        interrupt_take();
        reg_write(VIRTIO_MMIO_STATUS, 0);
        check(reg_read(VIRTIO_MMIO_STATUS) == 0, "reset at the end");
        printf("guest: sent through %u queues\n", n);
        return EXIT_SUCCESS;
}
