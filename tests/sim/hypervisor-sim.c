/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * frontend/hypervisor.h without Xen. The test (tests/sim/xen.py) plays Xen: it made the shared
 * page, the guest's memory and the pipes, and hands them over by inheritance. XEN_VIRTIO_SIM tells
 * the descriptors' numbers, "page:5,events:6,notify:7,irq:8,vcpus:2,ram0:9,ram1:10".
 *
 * events is a stream socket that behaves as /dev/xen/evtchn: reading gives the 32-bit numbers of
 * pending ports, which are then masked, and writing them unmasks. The port of a vCPU is the vCPU's
 * number. To notify and irq go 32-bit numbers of vCPUs and interrupts. How many interrupts there
 * were stands in the pad of the page's last slot, and in that of a vCPU's slot how many when it was
 * answered.
 *
 * kernel, which may be absent, is a packet socket for what the kernel does by itself: it takes
 * struct Binding with an eventfd, and gives 0 or a negative errno.
 *
 * What the frontend may not do ends it with a message, so that the test fails.
 */

#include "frontend/hypervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/parse.h"

#define ENVIRONMENT "XEN_VIRTIO_SIM"
#define PAGE_SIZE   4096

/* struct ioreq of xen/public/hvm/ioreq.h, written down again: a test that shares the real header
 * would not see that the real code uses it wrongly. */
typedef struct Slot {
        uint64_t addr;
        uint64_t data;
        uint32_t count;
        uint32_t size;
        uint32_t vp_eport;
        uint16_t pad;
        uint8_t state : 4;
        uint8_t data_is_ptr : 1;
        uint8_t dir : 1; /* 1: read */
        uint8_t df : 1;
        uint8_t unused : 1;
        uint8_t type;
} Slot;
_Static_assert(sizeof(Slot) == 32, "128 slots make a page");

#define LAST_SLOT (PAGE_SIZE / sizeof(Slot) - 1)

enum {
        STATE_NONE,
        STATE_READY,
        STATE_INPROCESS,
        STATE_RESPONSE
};

struct Hypervisor {
        Slot *slots;
        int page, events, notify, irq, kernel;
        int ram[MEMORY_BANKS_MAX];
        uint32_t n_vcpus;
        uint32_t masked[HYPERVISOR_VCPUS_MAX];
        unsigned int n_masked;
};

static bool restricted; /* this process */

#define broken(...)                                                                                \
        ({                                                                                         \
                fprintf(stderr, "hypervisor-sim: " __VA_ARGS__);                                   \
                fputc('\n', stderr);                                                               \
                abort();                                                                           \
        })

/* Reads "name:number" pairs; what is missing stays as it is. */
static void environment_read(Hypervisor *hypervisor)
{
        const struct {
                const char *name;
                void *number;
        } members[] = {
                { "page", &hypervisor->page },     { "events", &hypervisor->events },
                { "notify", &hypervisor->notify }, { "irq", &hypervisor->irq },
                { "ram0", &hypervisor->ram[0] },   { "ram1", &hypervisor->ram[1] },
                { "vcpus", &hypervisor->n_vcpus }, { "kernel", &hypervisor->kernel },
        };
        const char *text = getenv(ENVIRONMENT);
        _cleanup_free_ char *copy = text ? strdup(text) : NULL;
        char *rest = copy, *name;

        while ((name = strsep(&rest, ","))) {
                char *number_text = strchr(name, ':');
                uint64_t number;

                if (!number_text)
                        broken("no number in %s", name);
                *number_text++ = '\0';
                if (parse_unsigned(number_text, INT32_MAX, &number) < 0)
                        broken("%s is no number", number_text);
                for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                        if (strcmp(name, members[i].name) == 0)
                                memcpy(members[i].number, &(int32_t){ (int32_t)number },
                                       sizeof(int32_t));
                }
        }
}

static void number_send(int fd, uint32_t number)
{
        if (write(fd, &number, sizeof(number)) != sizeof(number))
                broken("the test does not read what the frontend does: %m");
}

int hypervisor_open(uint16_t domid _unused_, uint16_t server _unused_, Hypervisor **ret_hypervisor)
{
        _cleanup_(hypervisor_closep) Hypervisor *hypervisor = calloc(1, sizeof(*hypervisor));

        if (!hypervisor)
                return -ENOMEM;
        hypervisor->page = hypervisor->ram[0] = hypervisor->ram[1] = hypervisor->kernel = -1;
        environment_read(hypervisor);
        if (hypervisor->page < 0) /* as on a domain that has no such server */
                return -ENODEV;

        hypervisor->slots =
                mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, hypervisor->page, 0);
        if (hypervisor->slots == MAP_FAILED) {
                hypervisor->slots = NULL;
                return -errno;
        }

        *ret_hypervisor = steal_pointer(hypervisor);
        return 0;
}

Hypervisor *hypervisor_close(Hypervisor *hypervisor)
{
        if (!hypervisor)
                return NULL;
        if (hypervisor->slots)
                munmap(hypervisor->slots, PAGE_SIZE);
        free(hypervisor);
        return NULL;
}

int hypervisor_memory_open(Hypervisor *hypervisor, unsigned int index, const MemoryBank *bank,
                           int *ret_fd)
{
        char path[sizeof("/proc/self/fd/") + 10];
        _cleanup_fd_ int fd = -1;

        if (restricted)
                broken("guest memory is opened after the restriction");
        if (index >= MEMORY_BANKS_MAX || hypervisor->ram[index] < 0)
                broken("the guest has no bank %u", index);
        if (lseek(hypervisor->ram[index], 0, SEEK_END) != (off_t)bank->size)
                broken("bank %u has another size", index);

        snprintf(path, sizeof(path), "/proc/self/fd/%d", hypervisor->ram[index]);
        fd = open(path, O_RDWR | O_CLOEXEC); /* another open file */
        if (fd < 0)
                return -errno;
        *ret_fd = steal_fd(&fd);
        return 0;
}

/* Tests look at what is sent; nothing can be mapped through it. */
int hypervisor_grants_open(int *ret_fd)
{
        int fd;

        if (restricted)
                broken("grants are opened after the restriction");
        fd = memfd_create("gntdev", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

int hypervisor_restrict(Hypervisor *hypervisor _unused_)
{
        restricted = true;
        return 0;
}

unsigned int hypervisor_n_vcpus(const Hypervisor *hypervisor)
{
        return hypervisor->n_vcpus;
}

int hypervisor_event_fd(const Hypervisor *hypervisor)
{
        return hypervisor->events;
}

int hypervisor_events_take(Hypervisor *hypervisor)
{
        const size_t room = ARRAY_SIZE(hypervisor->masked) - hypervisor->n_masked;
        ssize_t n = read(hypervisor->events, hypervisor->masked + hypervisor->n_masked,
                         room * sizeof(uint32_t));

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -ENODEV; /* Xen, that is the test, is gone */
        if (n % (ssize_t)sizeof(uint32_t) != 0)
                broken("part of a port");
        hypervisor->n_masked += (unsigned int)((size_t)n / sizeof(uint32_t));
        return (int)((size_t)n / sizeof(uint32_t));
}

int hypervisor_events_unmask(Hypervisor *hypervisor)
{
        const size_t size = hypervisor->n_masked * sizeof(uint32_t);

        if (size > 0 && write(hypervisor->events, hypervisor->masked, size) != (ssize_t)size)
                broken("cannot unmask: %m");
        hypervisor->n_masked = 0;
        return 0;
}

static Slot *slot_of(const Hypervisor *hypervisor, unsigned int vcpu)
{
        if (!restricted)
                broken("the guest is served before the restriction");
        if (vcpu >= hypervisor->n_vcpus)
                broken("the guest has no vCPU %u", vcpu);
        return &hypervisor->slots[vcpu];
}

int hypervisor_request_take(Hypervisor *hypervisor, unsigned int vcpu, IoRequest *ret_request)
{
        volatile Slot *slot = slot_of(hypervisor, vcpu);

        if (slot->state != STATE_READY && slot->state != STATE_INPROCESS)
                return 0;
        atomic_thread_fence(memory_order_acquire);
        *ret_request = (IoRequest){
                .address = slot->addr,
                .data = slot->data,
                .size = slot->size,
                .count = slot->count,
                .type = slot->type,
                .is_read = slot->dir,
                .data_is_pointer = slot->data_is_ptr,
        };
        slot->state = STATE_INPROCESS;
        return 1;
}

int hypervisor_request_complete(Hypervisor *hypervisor, unsigned int vcpu, uint64_t data)
{
        volatile Slot *slot = slot_of(hypervisor, vcpu);

        if (slot->state != STATE_INPROCESS)
                broken("vCPU %u is answered in state %u", vcpu, slot->state);
        if (slot->dir)
                slot->data = data;
        slot->pad = hypervisor->slots[LAST_SLOT].pad;
        atomic_thread_fence(memory_order_release);
        slot->state = STATE_RESPONSE;
        number_send(hypervisor->notify, vcpu);
        return 0;
}

int hypervisor_interrupt(Hypervisor *hypervisor, uint32_t irq)
{
        hypervisor->slots[LAST_SLOT].pad++;
        number_send(hypervisor->irq, irq);
        return 0;
}

/* Where an Arm guest's banks are: tests/sim/memory.py. */
int hypervisor_page_map(Hypervisor *hypervisor, uint64_t address, void **ret_page)
{
        const unsigned int bank = address >= GUEST_BANK1_BASE;
        const uint64_t offset = address - (bank ? GUEST_BANK1_BASE : GUEST_BANK0_BASE);
        struct stat status;
        void *page;

        if (!restricted)
                broken("guest memory is mapped before the restriction");
        if (offset % PAGE_SIZE != 0)
                broken("a page that begins at %#llx", (unsigned long long)address);
        if (hypervisor->ram[bank] < 0 || fstat(hypervisor->ram[bank], &status) < 0 ||
            offset >= (uint64_t)status.st_size)
                return -EFAULT;
        page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, hypervisor->ram[bank],
                    (off_t)offset);
        if (page == MAP_FAILED)
                return -errno;
        *ret_page = page;
        return 0;
}

void hypervisor_page_unmap(Hypervisor *hypervisor _unused_, void *page)
{
        munmap(page, PAGE_SIZE);
}

void hypervisor_notify_probe(Hypervisor *hypervisor, NotifyProbe *ret_probe)
{
        if (restricted)
                broken("the kernel is probed after the restriction");
        *ret_probe = (NotifyProbe){ .release = "6.12.0" };
        if (hypervisor->kernel < 0)
                ret_probe->irqfd = ret_probe->ioeventfd = -ENOTTY;
}

typedef struct Binding {
        uint64_t base;   /* 0: a call, else a kick */
        uint32_t number; /* of interrupt or queue */
        uint32_t is_bound;
} Binding;

static int binding_send(const Hypervisor *hypervisor, Binding binding, int event_fd)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
                                  .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS } };
        struct iovec data = { &binding, sizeof(binding) };
        struct msghdr message = { .msg_iov = &data,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = sizeof(control.space) };
        int32_t result;

        memcpy(CMSG_DATA(&control.header), &event_fd, sizeof(event_fd));
        if (sendmsg(hypervisor->kernel, &message, 0) < 0 ||
            read(hypervisor->kernel, &result, sizeof(result)) != sizeof(result))
                return -EIO; /* the test is over */
        return result;
}

int hypervisor_call_bind(Hypervisor *hypervisor, int call_fd, uint32_t irq)
{
        return binding_send(hypervisor, (Binding){ .number = irq, .is_bound = true }, call_fd);
}

void hypervisor_call_unbind(Hypervisor *hypervisor, int call_fd)
{
        int r = binding_send(hypervisor, (Binding){ 0 }, call_fd);

        (void)r;
}

int hypervisor_kick_bind(Hypervisor *hypervisor, uint64_t base, uint16_t queue, int kick_fd)
{
        return binding_send(hypervisor, (Binding){ base, queue, true }, kick_fd);
}

void hypervisor_kick_unbind(Hypervisor *hypervisor, uint64_t base, uint16_t queue, int kick_fd)
{
        int r = binding_send(hypervisor, (Binding){ base, queue, false }, kick_fd);

        (void)r;
}
