/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The contract between the orchestrator and a frontend: the file "launch" in the device's folder.
 *
 * The orchestrator writes it once, after it has claimed the device's MMIO range, and before it
 * starts a process. The frontend reads from it what to adopt; an orchestrator that starts later
 * reads from it what was claimed. It is a list of KEY=VALUE lines; it is written atomically, and
 * every key stands in it exactly once, but for MEMORY and DOMAIN, which may be left out, and those
 * of the configuration space: each may be left out, and stands only in the file of a device whose
 * space has it.
 *
 * A reader refuses keys that it does not know. So a new key that may be left out needs no new
 * version: files without it mean what they meant, and no file is read wrongly.
 *
 * The other way goes, of devices that are served together, STATUS_FILE in FRONTEND_FOLDER, which is
 * empty until there is something to say, and then has one of these words and a newline in it. What
 * a process that has ended has left there means nothing. How a device is that is served alone, its
 * unit says.
 */

#define STATUS_READY  "ready"  /* the backend has answered at least once */
#define STATUS_FAILED "failed" /* the device is not served until the next look (device-list.h) */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/macros.h"
#include "common/memory-choice.h"
#include "common/parse.h"

#define LAUNCH_VERSION     1
#define LAUNCH_UUID_SIZE   37   /* a UUID as text, with its terminator */
#define LAUNCH_DOMAIN_SIZE 64   /* the name of a domain, likewise */
#define LAUNCH_FILE_LIMIT  4096 /* a larger file is refused, whoever wrote it */

/* Guest-physical space that the device's registers take; libxl places devices this far apart. */
#define VIRTIO_MMIO_RANGE_SIZE 0x200U

#define LAUNCH_CONFIG_SIZE 256 /* bytes of a configuration space, at most */
#define LAUNCH_MAC_SIZE    PARSE_MAC_SIZE
#define LAUNCH_FS_TAG_SIZE 36

/*
 * What is to stand in the device's configuration space, whatever its backend says, or because it
 * says nothing. 0 or empty: the file does not say. frontend/config-space.h has what comes of it.
 */
typedef struct LaunchConfig {
        uint8_t net_mac[LAUNCH_MAC_SIZE];    /* unicast, and not 0 */
        uint16_t net_mtu;                    /* 68 to 65535 */
        uint16_t net_queue_pairs;            /* 1 to 31, and a control queue behind them */
        char fs_tag[LAUNCH_FS_TAG_SIZE + 1]; /* without control characters; ends with a NUL */
        uint16_t fs_request_queues;          /* 1 to 63 */
        uint32_t vsock_cid;                  /* 3 to 0xfffffffe: the others are reserved */
        uint16_t size;                       /* of the backend's, 1 to 256; 0: as the type's */
        uint16_t bytes_offset, bytes_size;   /* these bytes, at this offset; within the space */
        uint8_t bytes[LAUNCH_CONFIG_SIZE];
} LaunchConfig;

typedef struct Launch {
        char uuid[LAUNCH_UUID_SIZE];     /* the domain's, since domids are used again */
        uint16_t server;                 /* the claimed IOREQ server (ioservid_t) */
        uint64_t base;                   /* guest address of the register page, multiple of 0x200 */
        uint32_t irq;                    /* interrupt (GIC INTID of an SPI): 32 to 1019 */
        uint32_t device_id;              /* virtio device id, 1 to 63 */
        uint64_t memory_kib;             /* guest RAM at most (static-max), whole pages, not 0 */
        bool grant_usage;                /* the guest's driver hands out grants, not addresses */
        MemoryChoice memory;             /* may be missing: auto */
        char domain[LAUNCH_DOMAIN_SIZE]; /* its name, for people; may be missing: empty */
        LaunchConfig config;             /* keys of another device type are not accepted */
} Launch;

/*
 * Reads and checks the text of a launch file. text need not be terminated.
 *
 * Returns 0; -EINVAL if a key is missing, unknown, repeated, malformed or another device type's;
 * -ERANGE if a value is out of its range; -EPROTO if the file's version is not ours. ret_key, if
 * not NULL, is then the key at fault (a constant string, or "" where none can be named).
 */
int launch_parse(const char *text, size_t size, Launch *ret_launch,
                 const char **ret_key) _warn_unused_;

/* Sets the domain's name, or leaves it empty if it is too long or has control characters in it. */
void launch_set_domain(Launch *launch, const char *name);

/* Writes the text of a launch file. Returns its length, or -ENOSPC if size is too small. */
int launch_format(const Launch *launch, char *text, size_t size) _warn_unused_;

/*
 * Reads the file "launch" in the folder dirfd. Returns as launch_parse(), -EFBIG for a file beyond
 * LAUNCH_FILE_LIMIT, or the negative errno of the open or the read.
 */
int launch_read(int dirfd, Launch *ret_launch, const char **ret_key) _warn_unused_;

/* The same for the file itself, opened for reading. */
int launch_read_fd(int fd, Launch *ret_launch, const char **ret_key) _warn_unused_;

/* Writes it, in a temporary file that then takes its name. Returns 0 or a negative errno. */
int launch_write(int dirfd, const Launch *launch) _warn_unused_;
