/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A device's range: which server gets it, and the record under /run that says so. */

#include "orchestrator/device-internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "orchestrator/claim-intent.h"
#include "orchestrator/dropin.h"
#include "orchestrator/placement.h"
#include "orchestrator/run-state.h"
#include "orchestrator/unit-fields.h"

/*
 * What the configuration says of the device, as far as the frontend has to know. Mistakes in it are
 * told when the backend is to be started.
 */
static void launch_configure(Device *device, Launch *launch)
{
        const DeviceServices *services = device->services;
        g_autofree char *message = NULL;
        DeviceChoice choice;
        int order = services->order(services->userdata, device);

        if (configuration_choose(services->configuration, device->spec, order, &choice, &message) >=
            0) {
                launch->memory = choice.profile->memory;
                device_options_hand_over(&choice.options, &launch->config);
                launch->config.size = choice.profile->config_size;
        }
        device_choice_clear(&choice);
}

static Launch launch_make(const DeviceSpec *spec)
{
        Launch launch = {
                .base = spec->base,
                .irq = spec->irq,
                .device_id = spec->device_id,
                .memory_kib = spec->memory_kib,
                .grant_usage = spec->grant_usage,
        };

        g_strlcpy(launch.uuid, spec->uuid, sizeof(launch.uuid));
        launch_set_domain(&launch, spec->domain);
        return launch;
}

/* Claims the range, for the shared server if that is not NULL, and says so. */
static int range_take(Device *device, const SharedFrontend *shared, Launch *launch)
{
        const DeviceServices *services = device->services;
        const uint16_t domid = device->name.domid;
        double msec;
        int r;

        if (shared) {
                launch->server = shared_frontend_server(shared);
                r = claims_join(services->claims, domid, launch->server, launch->base);
        } else {
                r = claims_take(services->claims, domid, launch->base, &launch->server);
        }
        msec = device_msec_since_seen(device);
        if (r >= 0)
                histogram_add(services->claim_times, (uint64_t)(msec * (double)USEC_PER_MSEC));
        device_introduce(device);
        if (r < 0)
                return r;
        device_log(device, LOG_INFO, LOG_ID_DEVICE_CLAIMED, 0,
                   "claimed MMIO range %#" PRIx64 " as IOREQ server %u, "
                   "%.1f ms after the node was seen",
                   launch->base, (unsigned int)launch->server, msec);
        return 0;
}

/*
 * The shared frontend that a server just made is for, or NULL if that is the device's own. Returns
 * 0 or a negative errno; -ESTALE as long as the one of the domain that had the number before is
 * there. One device must not have the last server for itself: all later ones would get none.
 */
static int shared_open(const Device *device, const Launch *launch, SharedFrontend **ret_shared)
{
        const DeviceServices *services = device->services;
        const SharedFrontend *former = shared_frontends_find(services->shared, device->name.domid);

        *ret_shared = NULL;
        if (!placement_opens_shared(launch->server,
                                    services->configuration->settings.reserved_servers) ||
            !placement_can_share(launch))
                return 0;
        if (former)
                return shared_frontend_is_of(former, launch->uuid) ? 0 : -ESTALE;
        return shared_frontends_open(services->shared, device->name.domid, launch, ret_shared);
}

/*
 * The guest's lives, or the number is another domain's by now: its servers are not ours, unless it
 * had the number already when we claimed the range. And then the server was not made for a device
 * that has joined it.
 */
static int range_give_back(Device *device, uint16_t server, bool guest_lives)
{
        SharedMember *member = steal_pointer(device->member);
        const bool is_made = !member || shared_member_is_first(member);

        if (!guest_lives && !device->confirmed)
                claims_drop(device->services->claims, device->name.domid, device->launch.base,
                            is_made ? ~(1U << server) : UINT32_MAX);
        if (member)
                return shared_member_release(member, guest_lives);
        if (!guest_lives)
                return 0;
        return claims_release(device->services->claims, device->name.domid, server);
}

/* Writes the record of a range that was taken, for the shared server if that is not NULL. */
static int claim_record(Device *device, SharedFrontend *shared, const Launch *launch)
{
        const DeviceServices *services = device->services;
        int r;

        if (!shared) {
                r = shared_open(device, launch, &shared);
                if (r < 0)
                        return r;
        }
        if (shared)
                device_frontend_join(device, shared, launch->base);
        return run_state_create(services->rundir, device->instance, launch);
}

/* Takes the range and writes the record, or leaves nothing behind. */
static int claim_take(Device *device)
{
        const DeviceServices *services = device->services;
        SharedFrontend *shared = shared_frontends_find(services->shared, device->name.domid);
        const bool is_further = shared;
        Launch launch = launch_make(device->spec);
        int r;

        /* Files are read before the claim only where it depends on what they say. */
        if (is_further)
                launch_configure(device, &launch);
        if (is_further && !(placement_can_share(&launch) && shared_frontend_fits(shared, &launch)))
                shared = NULL;
        r = range_take(device, shared, &launch);
        if (r < 0)
                return r;
        if (!is_further)
                launch_configure(device, &launch);
        r = claim_record(device, shared, &launch);
        if (r < 0) {
                range_give_back(device, launch.server, true);
                return r;
        }
        device->launch = launch;
        device->claimed = true;
        device->confirmed = false;
        return 0;
}

int device_claim_take(Device *device)
{
        const DeviceServices *services = device->services;
        const uint64_t base = device->spec->base;
        int r;

        /* A claim that nobody could read: another one would take the guest's accesses from it. */
        r = run_state_is_claimed(services->rundir, device->instance);
        if (r != 0)
                return r < 0 ? r : -EEXIST;
        /* And this one would take a neighbour's. */
        if (services->holder(services->userdata, device, base))
                return -EADDRINUSE;

        r = claim_intent_begin(services->rundir, device->name.domid, base, device->spec->uuid);
        if (r < 0)
                return r;
        r = claim_take(device);
        if (r < 0)
                claim_intent_end(services->rundir, device->name.domid, base);
        return r;
}

static bool launch_is_same(const Launch *one, const Launch *other)
{
        char texts[2][LAUNCH_FILE_LIMIT];

        return launch_format(one, texts[0], sizeof(texts[0])) > 0 &&
               launch_format(other, texts[1], sizeof(texts[1])) > 0 &&
               strcmp(texts[0], texts[1]) == 0;
}

void device_claim_configure(Device *device)
{
        const DeviceServices *services = device->services;
        Launch launch = device->launch;
        int r;

        if (device->answered || device->member)
                return;
        launch.memory = MEMORY_AUTO;
        launch.config = (LaunchConfig){ 0 };
        launch_configure(device, &launch);
        if (launch_is_same(&launch, &device->launch))
                return;
        r = run_state_create(services->rundir, device->instance, &launch);
        if (r < 0) {
                device_log(device, LOG_WARNING, NULL, r, "cannot write the launch file: %m");
                return;
        }
        device->launch = launch;
        device_unit_restart(device->frontend, &device->frontend_restart);
}

static int files_remove(Device *device)
{
        const DeviceServices *services = device->services;
        int r;

        unit_fields_remove(services->unitdir, unit_name(device->backend));
        unit_fields_remove(services->unitdir, unit_name(device->frontend));
        r = dropin_remove(services->unitdir, unit_name(device->backend));
        if (r < 0) {
                device_log(device, LOG_WARNING, NULL, r, "cannot remove the unit's drop-in: %m");
                return r;
        }
        r = run_state_remove(services->rundir, device->instance);
        if (r < 0)
                device_log(device, LOG_WARNING, NULL, r, "cannot remove the device's folder: %m");
        return r;
}

/* Our record goes before Xen's: a number in it that is free again may be another device's. */
static int claim_release(Device *device)
{
        /* A part of a shared server is given back once: later it may be another device's. */
        const bool is_part = device->member;
        int r;

        r = files_remove(device);
        if (r < 0)
                return r;
        r = range_give_back(device, device->launch.server, device_claim_is_current(device));
        if (r < 0)
                device_log(device, LOG_WARNING, NULL, r, "cannot give back IOREQ server %u: %m",
                           (unsigned int)device->launch.server);
        return is_part ? 0 : r;
}

int device_claim_release(Device *device)
{
        const DeviceServices *services = device->services;
        const uint64_t base = device->launch.base;
        int r;

        r = claim_intent_begin(services->rundir, device->name.domid, base, device->launch.uuid);
        if (r < 0) {
                device_log(device, LOG_WARNING, NULL, r, "cannot give back the MMIO range: %m");
                return r;
        }
        r = claim_release(device);
        claim_intent_end(services->rundir, device->name.domid, base);
        return r;
}

/* The note that the claim has left goes with what it stands for. */
void device_claim_settle(Device *device)
{
        if (device->leftover && device->claimed)
                claim_intent_end(device->services->rundir, device->name.domid, device->launch.base);
        device->leftover = false;
}
