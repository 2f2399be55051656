/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All that files say of devices: profiles and discovery files, read once, and guest files, read
 * when a device of the guest is started. And what comes of it for one device.
 */

#include "orchestrator/config-file.h"
#include "orchestrator/device-options.h"
#include "orchestrator/profile-list.h"
#include "orchestrator/settings.h"

typedef struct Configuration {
        Settings settings;
        Profiles *profiles;
        char **guest_folders; /* the first one wins; ends with NULL */
} Configuration;

/*
 * Reads the configuration below root ("" for the system's own). What cannot be used is told to the
 * reporter.
 */
Configuration *configuration_load(const char *root, ProfileReporter *reporter, void *userdata);

Configuration *configuration_free(Configuration *configuration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Configuration, configuration_free)

/* What is run for one device. */
typedef struct DeviceChoice {
        const Profile *profile;            /* belongs to the configuration */
        char *guest_file;                  /* what says so; NULL: nobody */
        DeviceOptions options;             /* complete */
        char *values[PROFILE_OPTIONS_MAX]; /* of the profile's options; NULL: their default */
} DeviceChoice;

/*
 * Makes up for a device whose type is not in xl.cfg ("virtio,device"): it is that of the profile
 * which the guest's file names for it. Returns 0, or a negative errno with one sentence in
 * *ret_message.
 */
int configuration_find_type(const Configuration *configuration, DeviceSpec *spec,
                            char **ret_message) _warn_unused_;

/*
 * Looks up what is to be run for a device. order is as for guest_file_find().
 *
 * Returns 0, or a negative errno with one sentence in *ret_message. *ret_choice is to be cleared in
 * either case.
 */
int configuration_choose(const Configuration *configuration, const DeviceSpec *spec, int order,
                         DeviceChoice *ret_choice, char **ret_message) _warn_unused_;

/*
 * The same for a device of the type that a section of a guest file is about; without the defaults
 * of the type, which take a device. section may be NULL: nobody says anything about the device.
 */
int configuration_choose_section(const Configuration *configuration, const ConfigFile *file,
                                 const ConfigSection *section, uint32_t device_id,
                                 DeviceChoice *ret_choice, char **ret_message) _warn_unused_;

void device_choice_clear(DeviceChoice *choice);
