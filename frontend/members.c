/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frontend/members.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "frontend/mmio-map.h"

struct Members {
        DeviceParts parts;
        Launch common;
        MmioMap map;      /* of struct Member */
        LoopTimer reaper; /* frees devices that have failed */
        bool leaving;     /* the process is going to end */
};

typedef struct Member {
        Members *members;
        DeviceName name;
        uint64_t base;
        uint32_t irq;
        Device *device;
        bool has_failed; /* there is no device then, or not for long */
        bool has_left;   /* the next process can go on with it */
} Member;

static void device_ready(void *userdata)
{
        const Member *member = userdata;
        const DeviceParts *parts = &member->members->parts;

        parts->ops->ready(parts->userdata);
}

static void device_unblocked(void *userdata)
{
        const Member *member = userdata;
        const DeviceParts *parts = &member->members->parts;

        parts->ops->unblocked(parts->userdata);
}

/* For devices that have failed nobody waits. */
static void leave_go_on(Members *members)
{
        const DeviceParts *parts = &members->parts;

        if (!members->leaving)
                return;
        for (unsigned int i = 0; i < members->map.n; i++) {
                const Member *member = members->map.ranges[i].device;

                if (member && !member->has_failed && !member->has_left)
                        return;
        }
        parts->ops->left(parts->userdata);
}

static void device_left(void *userdata)
{
        Member *member = userdata;

        member->has_left = true;
        leave_go_on(member->members);
}

/* The device is in the middle of something, so it cannot be freed from here. */
static void device_failed(void *userdata, int error)
{
        Member *member = userdata;
        const DeviceParts *parts = &member->members->parts;

        member->has_failed = true;
        loop_timer_start(&member->members->reaper, 0);
        leave_go_on(member->members);
        parts->ops->failed(parts->userdata, error);
}

static const DeviceOps device_ops = {
        .ready = device_ready,
        .unblocked = device_unblocked,
        .left = device_left,
        .failed = device_failed,
};

static void devices_reap(void *userdata)
{
        Members *members = userdata;

        for (unsigned int i = 0; i < members->map.n; i++) {
                Member *member = members->map.ranges[i].device;

                if (member && member->has_failed)
                        member->device = device_free(member->device);
        }
}

int members_new(const DeviceParts *parts, const Launch *common, Members **ret_members)
{
        Members *members;

        members = calloc(1, sizeof(*members));
        if (!members)
                return -ENOMEM;
        members->parts = *parts;
        members->common = *common;
        loop_timer_init(&members->reaper, parts->loop, devices_reap, members);
        *ret_members = members;
        return 0;
}

static void member_free(Member *member)
{
        mmio_map_remove(&member->members->map, member->base);
        device_free(member->device);
        free(member);
}

/* Frees all devices that are not in the list. */
static void members_clear(Members *members, const DeviceList *list)
{
        for (unsigned int i = 0; i < members->map.n; i++) {
                Member *member = members->map.ranges[i].device;

                if (member && !device_list_has(list, &member->name))
                        member_free(member);
        }
}

Members *members_free(Members *members)
{
        if (!members)
                return NULL;
        members_clear(members, &(DeviceList){ 0 });
        loop_timer_stop(&members->reaper);
        free(members);
        return NULL;
}

void members_keep(Members *members, const DeviceList *list)
{
        if (!members->leaving)
                members_clear(members, list);
}

/* NULL, or why there cannot be a device with such a launch file. */
static const char *launch_refusal(const Members *members, const Launch *launch)
{
        const Launch *common = &members->common;

        if (strcmp(launch->uuid, common->uuid) != 0 || launch->memory_kib != common->memory_kib)
                return "it is another guest's";
        if (launch->server != common->server)
                return "it has another IOREQ server";
        if (launch->memory == MEMORY_SEED && !launch->grant_usage && !members->parts.memory->sets)
                return "only one that is served alone can have seeded memory";
        for (unsigned int i = 0; i < members->map.n; i++) {
                const Member *other = members->map.ranges[i].device;

                if (other && (other->base == launch->base || other->irq == launch->irq))
                        return "its MMIO range or its interrupt is another device's";
        }
        return NULL;
}

static int member_open(Member *member, const Launch *launch, DeviceFiles *files)
{
        DeviceParts parts = member->members->parts;
        int r;

        parts.name = &member->name;
        parts.launch = launch;
        parts.ops = &device_ops;
        parts.userdata = member;
        r = device_new(&parts, files, &member->device);
        if (r < 0)
                return r;
        r = mmio_map_add(&member->members->map, member->base, member);
        if (r >= 0)
                r = device_serve(member->device);
        if (r < 0)
                device_files_set_status(device_files(member->device), STATUS_FAILED);
        return r;
}

static int member_new(Members *members, const DeviceName *name, const Launch *launch,
                      DeviceFiles *files)
{
        Member *member = malloc(sizeof(*member));
        int r;

        if (!member)
                return -ENOMEM;
        *member = (Member){
                .members = members,
                .name = *name,
                .base = launch->base,
                .irq = launch->irq,
        };
        r = member_open(member, launch, files);
        if (r < 0)
                member_free(member);
        return r;
}

static Member *member_find(const Members *members, const DeviceName *name)
{
        for (unsigned int i = 0; i < members->map.n; i++) {
                Member *member = members->map.ranges[i].device;

                if (member && device_name_equal(&member->name, name))
                        return member;
        }
        return NULL;
}

/* Takes the files over if it returns 0; else a negative errno, which has been logged. */
static int member_try(Members *members, const DeviceName *name, DeviceFiles *files)
{
        char instance[DEVICE_INSTANCE_MAX];
        const LogContext context = { .device = instance, .domid = name->domid };
        const char *refusal;
        Launch launch;
        int r;

        device_name_instance(name, instance);
        r = device_files_launch(files, &context, &launch);
        if (r < 0)
                return r;
        refusal = launch_refusal(members, &launch);
        if (refusal) {
                log_error(&context, "the device is not served: %s", refusal);
                return -EINVAL;
        }
        r = member_new(members, name, &launch, files);
        if (r < 0)
                log_error_errno(&context, r, "cannot make the device: %m");
        return r;
}

int members_add(Members *members, const DeviceName *name, DeviceFiles *files)
{
        _cleanup_(device_files_close) DeviceFiles owned = device_files_steal(files);
        Member *former = member_find(members, name);
        int r;

        if (members->leaving)
                return 0;
        if (former && !former->has_failed &&
            device_files_are_same(device_files(former->device), &owned))
                return 0;
        if (former)
                member_free(former);
        r = member_try(members, name, &owned);
        if (r < 0)
                device_files_set_status(&owned, STATUS_FAILED);
        return r;
}

Device *members_find(const Members *members, uint64_t base)
{
        const Member *member = mmio_map_find(&members->map, base);

        return member && !member->has_failed ? member->device : NULL;
}

bool members_may_come(const Members *members, uint64_t base)
{
        return mmio_map_find(&members->map, base) || !mmio_map_knows(&members->map, base);
}

void members_leave(Members *members, bool keep)
{
        members->leaving = true;
        for (unsigned int i = 0; i < members->map.n; i++) {
                const Member *member = members->map.ranges[i].device;

                if (member && !member->has_failed)
                        device_leave(member->device, keep);
        }
        leave_go_on(members);
}

void members_memory_changed(Members *members)
{
        for (unsigned int i = 0; i < members->map.n; i++) {
                const Member *member = members->map.ranges[i].device;

                if (member && member->device)
                        device_memory_changed(member->device);
        }
}
