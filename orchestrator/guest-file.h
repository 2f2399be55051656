/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Guest files: what the devices of one guest are. NAME.conf or UUID.conf, by the domain's name or
 * UUID.
 *
 *   [fs]                         all devices of a type, by its name or number
 *   Backend=virtiofsd            the profile; without it the first one of the type
 *   tag=data                     what devices of the type have (device-options.h)
 *   shared_dir=/srv/data         what the profile takes ([Options])
 *
 *   [net.1]                      the type's second "virtio=" entry in xl.cfg: they count from 0
 *   [virtio-3]                   the device with devid 3, as "xen-virtioctl list" has it
 *   [disk-51712]                 likewise a disk
 *
 * The section that says most about which device it means counts, alone.
 */

#include "orchestrator/config-file.h"
#include "orchestrator/spec.h"

#define GUEST_KEY_BACKEND "Backend"

/* What the heading of a section says. */
typedef struct GuestSelector {
        uint32_t device_id; /* 0: by devid */
        int order;          /* -1: all of the type */
        DeviceKind kind;    /* of the device that is meant by its devid */
        uint32_t devid;
} GuestSelector;

/* Reads a heading, without its brackets. Returns 0 or -EINVAL. */
int guest_selector_parse(const char *heading, GuestSelector *ret_selector) _warn_unused_;

/*
 * Reads the text of a guest file, and checks its headings. Returns 0, or -EINVAL with one sentence
 * in *ret_message that begins with FILE:LINE:COLUMN.
 */
int guest_file_parse(const char *path, const char *text, gsize size, ConfigFile **ret_file,
                     char **ret_message) _warn_unused_;

/*
 * Finds and reads the guest's file in the folders, of which the first one wins; the one of the UUID
 * before the one of the name. Returns 0; a positive value if there is none; or a negative errno
 * with one sentence in *ret_message.
 */
int guest_file_read(const char *const *folders, const char *domain, const char *uuid,
                    ConfigFile **ret_file, char **ret_message) _warn_unused_;

/* Whether the section is for the device, among others perhaps; order as for guest_file_find(). */
bool guest_section_is_for(const ConfigSection *section, const DeviceSpec *spec, int order);

/*
 * The section for a device, or NULL in *ret_section. order is the device's place among the guest's
 * "virtio=" devices of its type, by devid; negative if that is not known, as for disks.
 *
 * Returns 0, or -EINVAL with one sentence in *ret_message: the order has to be known for this file.
 */
int guest_file_find(const ConfigFile *file, const DeviceSpec *spec, int order,
                    const ConfigSection **ret_section, char **ret_message) _warn_unused_;
