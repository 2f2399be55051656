/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A virtio device as its driver sees it, whatever the transport: status, features and queues
 * (virtio 1.3, sections 2 and 3). Pure: no I/O, no clock. A transport calls in, and what has to
 * happen outside comes back as a VirtioEvent for the one who called.
 */

#include <stdint.h>

#include "common/guest-memory.h"
#include "common/macros.h"

/* Device status bits (section 2.1). */
#define VIRTIO_STATUS_ACKNOWLEDGE UINT8_C(0x01)
#define VIRTIO_STATUS_DRIVER      UINT8_C(0x02)
#define VIRTIO_STATUS_DRIVER_OK   UINT8_C(0x04)
#define VIRTIO_STATUS_FEATURES_OK UINT8_C(0x08)
#define VIRTIO_STATUS_NEEDS_RESET UINT8_C(0x40)
#define VIRTIO_STATUS_FAILED      UINT8_C(0x80)

/* Device-independent feature bits (section 6). */
#define VIRTIO_F_VERSION_1         32
#define VIRTIO_F_ACCESS_PLATFORM   33
#define VIRTIO_F_RING_PACKED       34
#define VIRTIO_F_NOTIFICATION_DATA 38
#define VIRTIO_F_RING_RESET        40

/* Causes of an interrupt (section 4.2.2, InterruptStatus). */
#define VIRTIO_INTERRUPT_QUEUE  UINT32_C(0x1)
#define VIRTIO_INTERRUPT_CONFIG UINT32_C(0x2)

#define VIRTIO_QUEUES_MAX      64
#define VIRTIO_CONFIG_SIZE_MAX 256

/*
 * A queue. The driver sets size and addresses while ready is 0; they are checked, and fixed, when
 * it sets ready.
 */
typedef struct VirtioQueue {
        uint64_t descriptor_area; /* the descriptor table */
        uint64_t driver_area;     /* the available ring */
        uint64_t device_area;     /* the used ring */
        uint16_t size;
        uint8_t ready;       /* 0 or 1 */
        uint8_t reset;       /* 1: the driver has reset it, and not made it ready since */
        uint8_t reserved[4]; /* 0 */
} VirtioQueue;

/*
 * All that defines the device, free of pointers and descriptors. Only virtio.c writes it. Its
 * layout is fixed and has no holes, so that it can outlast the process (see VirtioMmio).
 *
 * The life of a device, by the driver's writes to the status register:
 *
 * status 0
 *     Operations: the driver reads identity, features and configuration.
 *     Caveats: nothing runs, and the backend may be absent.
 * ACKNOWLEDGE, DRIVER
 *     Operations: the driver chooses features.
 * FEATURES_OK
 *     Operations: the driver sets up queues.
 *     Caveats: features are fixed. The bit stays clear if they were not acceptable.
 * DRIVER_OK
 *     Operations: the queues that are ready run, however few they are; the driver notifies.
 *     Caveats: a queue may be taken away (ready = 0, or a reset); only one that was reset comes
 *     back, and none is added.
 * NEEDS_RESET, at any time
 *     Operations: the driver can only reset.
 *     Caveats: only the device sets this bit; it lasts until status 0.
 */
typedef struct VirtioDevice {
        uint32_t device_id;
        uint16_t n_queues;
        uint16_t queue_size_max;
        uint64_t device_features;
        uint64_t driver_features;
        uint32_t interrupt_status;
        uint32_t config_generation; /* never goes back, not even at a reset */
        uint32_t config_size;
        uint32_t n_banks;
        uint8_t status;
        uint8_t config_writable;   /* 0 or 1 */
        uint8_t interrupts_unseen; /* 0 or 1: see virtio_interrupts_unseen() */
        uint8_t control_queue;     /* a network card's that the device itself serves; 0: none */
        uint8_t n_pairs;           /* with one: pairs of queues in use, from 1 on; else 0 */
        uint8_t reserved[3];       /* 0 */
        uint8_t config[VIRTIO_CONFIG_SIZE_MAX];
        VirtioQueue queues[VIRTIO_QUEUES_MAX];
        MemoryBank banks[MEMORY_BANKS_MAX]; /* where rings may lie */
} VirtioDevice;

/* What a driver's access means for the world outside. */
typedef enum VirtioEventType {
        VIRTIO_EVENT_NONE,
        VIRTIO_EVENT_START,        /* DRIVER_OK was set: start the rings that are ready */
        VIRTIO_EVENT_RESET,        /* status 0, and it was not: stop all rings, if any run */
        VIRTIO_EVENT_QUEUE_STOP,   /* queue: ready was cleared or it was reset, after DRIVER_OK */
        VIRTIO_EVENT_QUEUE_START,  /* queue: was reset, and is ready again: start its ring */
        VIRTIO_EVENT_NOTIFY,       /* queue: there is something in it */
        VIRTIO_EVENT_CONFIG_WRITE, /* offset, size: the driver wrote these bytes of config */
        VIRTIO_EVENT_BROKEN,       /* the driver broke a rule: NEEDS_RESET has been set */
} VirtioEventType;

typedef struct VirtioEvent {
        VirtioEventType type;
        uint16_t queue;
        uint32_t offset, size;
} VirtioEvent;

/*
 * A device that offers nothing yet, whose rings may lie in these banks (at most MEMORY_BANKS_MAX).
 */
void virtio_init(VirtioDevice *device, const MemoryBank *banks, unsigned int n_banks);

/*
 * Sets what the device is before its driver looks: features (with VERSION_1, and never with
 * NOTIFICATION_DATA, which no kick carries), queues and the configuration space. Also used when a
 * backend has come back with something else to offer; then only while status is 0. n_queues and
 * config_size must not exceed the limits above; no queue is larger than the specification allows.
 */
void virtio_offer(VirtioDevice *device, uint64_t features, uint16_t n_queues,
                  uint16_t queue_size_max, const void *config, uint32_t config_size);

/*
 * Says, after virtio_offer(), that the last queue is a network card's control queue, which no
 * backend serves, behind pairs of queues: its even number, not 0. The driver has one pair in use
 * until it asks for more, and again after a reset (section 5.1.6.5.6).
 */
void virtio_control_queue_set(VirtioDevice *device, uint16_t queue);

/* The driver has so many pairs of queues in use: 1 to those before the control queue. */
void virtio_pairs_set(VirtioDevice *device, uint16_t n_pairs);

/*
 * The device changes its configuration space; size must not exceed VIRTIO_CONFIG_SIZE_MAX. If
 * anything is different, the generation changes, and a driver that is up is told (section 2.5).
 *
 * Returns whether an interrupt is due: its cause has been raised.
 */
bool virtio_config_change(VirtioDevice *device, const void *config, uint32_t size);

/* Whether the driver may write to the configuration space. At first it may not. */
void virtio_config_set_writable(VirtioDevice *device, bool writable);

/*
 * The driver writes size bytes (1, 2 or 4) of the configuration space; value is in the host's byte
 * order, the space is little-endian. The generation stays: it tells of the device's own changes.
 *
 * Returns CONFIG_WRITE each time, also if nothing is different (some fields act when written), or
 * NONE if the space is read-only or the bytes do not lie within it.
 */
VirtioEvent virtio_config_write(VirtioDevice *device, uint32_t offset, uint32_t size,
                                uint32_t value);

/*
 * The driver writes the status register (section 3.1.1). Bits that the device owns are kept, bits
 * that were set stay set until status 0, and FEATURES_OK is refused where section 3.1.1 step 6
 * says. Writing the same value twice does nothing the second time.
 */
VirtioEvent virtio_status_write(VirtioDevice *device, uint8_t value);

/* Whether driver and device have agreed on a feature, which FEATURES_OK made final. */
bool virtio_has_feature(const VirtioDevice *device, unsigned int bit);

/* The driver writes one half (0: bits 0-31, 1: 32-63) of its features; ignored once fixed. */
void virtio_driver_features_write(VirtioDevice *device, uint32_t half, uint32_t value);

/*
 * The driver sets or clears a queue's ready. A queue whose size or addresses are not acceptable
 * does not become ready, and breaks the device; so does one that is made ready after DRIVER_OK, but
 * was not reset. Writing the same value twice does nothing the second time.
 */
VirtioEvent virtio_queue_ready_write(VirtioDevice *device, uint16_t queue, bool ready);

/*
 * The driver resets a queue (section 2.6.1), which takes RING_RESET: it is not ready, and its size
 * and addresses are 0. The reset is over when the caller has stopped the ring. Doing it twice does
 * nothing the second time.
 */
VirtioEvent virtio_queue_reset(VirtioDevice *device, uint16_t queue);

/* A part of a queue's ring: where it begins, how long it is in bytes, and how it has to be aligned.
 */
typedef struct VirtioArea {
        uint64_t address, length, alignment;
} VirtioArea;

#define VIRTIO_QUEUE_AREAS 3

/* The descriptor, driver and device area of a queue, with the features that were agreed on. */
void virtio_queue_areas(const VirtioDevice *device, const VirtioQueue *queue,
                        VirtioArea ret_areas[VIRTIO_QUEUE_AREAS]);

/* The driver says that a queue has work. Queues that do not run are ignored. */
VirtioEvent virtio_notify(const VirtioDevice *device, uint32_t queue);

/* Whether the rings of the device are to run. */
bool virtio_is_running(const VirtioDevice *device);

/* The device is at fault or lost its backend: the driver must reset it (section 2.1.2). */
void virtio_break(VirtioDevice *device);

/* Raises a cause of interrupt. The transport's driver reads and acknowledges it. */
void virtio_interrupt_raise(VirtioDevice *device, uint32_t cause);
void virtio_interrupt_acknowledge(VirtioDevice *device, uint32_t causes);

/*
 * Whether a device that was kept in a file is one that this code could have left there. What it
 * says of the host (banks, device_id) is for the caller to compare.
 */
bool virtio_is_consistent(const VirtioDevice *device);

/*
 * Says whether the driver may be interrupted for its queues behind our back, by the kernel. While
 * it may, any interrupt may be one of these, so QUEUE is always among the causes. A driver has to
 * expect an interrupt that finds no used buffer, and looks at its queues to know. Acknowledging
 * QUEUE then changes nothing; nor does it have to, because the interrupt is edge-triggered: it is
 * not asserted until the acknowledgement, but raised by every call. Lasts until a reset at most.
 */
void virtio_interrupts_unseen(VirtioDevice *device, bool unseen);

/* What the driver reads as the causes of its interrupt (section 4.2.2, InterruptStatus). */
uint32_t virtio_interrupt_causes(const VirtioDevice *device);
