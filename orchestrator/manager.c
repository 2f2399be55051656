/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/manager.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "common/control.h"
#include "common/log.h"
#include "orchestrator/claim-intent.h"
#include "orchestrator/clock.h"
#include "orchestrator/control.h"
#include "orchestrator/device-table.h"
#include "orchestrator/device.h"
#include "orchestrator/pass.h"
#include "orchestrator/run-state.h"

struct Manager {
        DeviceServices services;
        sd_event *event;
        Pass *pass;
        Control *control;

        DeviceTable *devices;
        GHashTable *queue; /* of Device, to look at in the next pass */

        GHashTable *unreadable; /* instance with a launch file that nobody understands → domid */

        uint64_t list_seen_usec; /* when it was last said that there may be others */

        Histogram claim_times;
        StartBudget starts;
        bool settled; /* the devices that were there at the start have been read */
        bool ready;   /* and looked at */
        char *status;
};

static void manager_schedule(void *userdata)
{
        const Manager *manager = userdata;

        pass_schedule(manager->pass, store_is_awaited(manager->services.store));
}

static void manager_enqueue(void *userdata, Device *device, bool read)
{
        Manager *manager = userdata;

        if (read) {
                store_read(manager->services.store, device_name(device));
                return;
        }
        g_hash_table_add(manager->queue, device);
        manager_schedule(manager);
}

/* The device of that name, which may be new; NULL if there are too many. */
static Device *manager_get(Manager *manager, const DeviceName *name, uint64_t seen_usec)
{
        Device *device = device_table_find(manager->devices, name);

        if (device || device_table_size(manager->devices) >= STORE_DEVICES_MAX)
                return device;
        return device_table_add(manager->devices, device_new(&manager->services, name, seen_usec));
}

/* Has a device's nodes read, seen for the first time or again. */
static void manager_see(Manager *manager, const DeviceName *name, uint64_t seen_usec)
{
        if (manager_get(manager, name, seen_usec))
                store_read(manager->services.store, name);
}

/* A domain has ended, and the event does not say which. */
static void manager_check_domains(Manager *manager)
{
        DeviceIter devices;
        const Device *device;
        GHashTableIter iter;
        void *domid;

        device_iter_init(&devices, manager->devices);
        while ((device = device_iter_next(&devices)))
                store_check_domain(manager->services.store, device_name(device)->domid);
        g_hash_table_iter_init(&iter, manager->unreadable);
        while (g_hash_table_iter_next(&iter, NULL, &domid))
                store_check_domain(manager->services.store, (uint16_t)GPOINTER_TO_UINT(domid));
}

static void manager_on_change(void *userdata, StoreChange change, const DeviceName *name)
{
        Manager *manager = userdata;
        Store *store = manager->services.store;

        switch (change) {
        case STORE_CHANGE_DEVICE:
                manager_see(manager, name, clock_now_usec());
                break;
        case STORE_CHANGE_GUEST:
        case STORE_CHANGE_LIST:
                manager->list_seen_usec = clock_now_usec();
                store_list(store, change == STORE_CHANGE_LIST ? STORE_ALL_GUESTS : name->domid);
                break;
        case STORE_CHANGE_DOMAINS:
                manager_check_domains(manager);
                break;
        }
}

/* Has the known devices of a domain, or of STORE_ALL_GUESTS, read again. */
static void manager_read(Manager *manager, uint16_t domid)
{
        const Device *device;
        DeviceIter iter;

        if (domid == STORE_ALL_GUESTS)
                device_iter_init(&iter, manager->devices);
        else
                device_iter_init_guest(&iter, manager->devices, domid);
        while ((device = device_iter_next(&iter)))
                store_read(manager->services.store, device_name(device));
}

/* Devices that may have come, and devices that may have gone: a complete listing says. */
static void manager_on_listed(void *userdata, uint16_t domid, const DeviceName *names,
                              size_t n_names)
{
        Manager *manager = userdata;

        for (size_t i = 0; i < n_names; i++)
                manager_see(manager, &names[i], manager->list_seen_usec);
        manager_read(manager, domid);
}

static void manager_on_domain(void *userdata, uint16_t domid, bool exists)
{
        Manager *manager = userdata;
        const char *instance;
        GHashTableIter iter;
        void *other;

        if (exists)
                return;
        manager_read(manager, domid);
        /* What was claimed there is unknown. Only with the domain it is certainly over. */
        g_hash_table_iter_init(&iter, manager->unreadable);
        while (g_hash_table_iter_next(&iter, (void **)&instance, &other)) {
                if (GPOINTER_TO_UINT(other) != domid)
                        continue;
                run_state_remove(manager->services.rundir, instance);
                g_hash_table_iter_remove(&iter);
        }
}

/* A device's nodes; a new device is claimed here. */
static void manager_on_nodes(void *userdata, const DeviceName *name, const NodeSet *nodes,
                             bool domain_exists)
{
        Manager *manager = userdata;
        Device *device = device_table_find(manager->devices, name);

        device_table_note_guest(manager->devices, name->domid, nodes->values[NODE_DOMAIN_VM]);
        /* It was forgotten after it was asked for, and yet it has come again. */
        if (!device && node_set_has_device(nodes))
                device = manager_get(manager, name, clock_now_usec());
        if (!device)
                return;
        device_update(device, nodes, domain_exists);
        manager_enqueue(manager, device, false);
}

static void manager_on_settled(void *userdata)
{
        Manager *manager = userdata;

        manager->settled = true;
        manager_schedule(manager);
}

static const StoreOps store_ops = {
        .changed = manager_on_change,
        .nodes = manager_on_nodes,
        .listed = manager_on_listed,
        .domain = manager_on_domain,
        .settled = manager_on_settled,
};

/* With the last device of a guest goes the guest's slice. */
static void manager_stop_guest(Manager *manager, uint16_t domid)
{
        char slice[DEVICE_UNIT_MAX];

        if (device_table_has_guest(manager->devices, domid))
                return;
        device_name_guest_slice(domid, slice);
        units_stop_other(manager->services.units, slice);
}

static void manager_reconcile(Manager *manager, Device *device)
{
        DeviceState before = device_state(device);
        bool lives = device_reconcile(device);

        if (device_state(device) == DEVICE_RELEASED && before != DEVICE_RELEASED)
                manager_stop_guest(manager, device_name(device)->domid);
        if (lives)
                return;
        store_forget(manager->services.store, device_name(device));
        g_hash_table_remove(manager->queue, device);
        device_table_remove(manager->devices, device);
        device_free(device);
}

/* One line for people: "systemctl status xen-virtiod" shows it. */
static void manager_report(Manager *manager)
{
        char *status;

        if (!manager->settled)
                return;
        status = device_table_describe(manager->devices);
        if (!manager->ready || g_strcmp0(status, manager->status) != 0)
                sd_notifyf(0, "%sSTATUS=%s", manager->ready ? "" : "READY=1\n", status);
        manager->ready = true;
        g_free(manager->status);
        manager->status = status;
}

/* Looks at every device in the queue. */
static void manager_on_pass(void *userdata)
{
        g_autoptr(GHashTable) queue = NULL;
        g_autoptr(GList) devices = NULL;
        Manager *manager = userdata;

        shared_frontends_observe(manager->services.shared);
        queue = manager->queue;
        manager->queue = g_hash_table_new(NULL, NULL);
        devices = g_list_sort(g_hash_table_get_keys(queue), device_table_compare);
        for (const GList *i = devices; i; i = i->next)
                manager_reconcile(manager, i->data);
        shared_frontends_reconcile(manager->services.shared);
        manager_report(manager);
}

/* What was claimed is unknown. Only with the domain it is certainly over. */
static void manager_on_unreadable(const Manager *manager, const char *instance, uint16_t domid)
{
        g_hash_table_insert(manager->unreadable, g_strdup(instance), GUINT_TO_POINTER(domid));
        store_check_domain(manager->services.store, domid);
}

static void manager_on_found(void *userdata, const char *instance, const Launch *launch)
{
        Manager *manager = userdata;
        DeviceName name;

        if (device_name_parse(instance, &name) < 0)
                return;
        if (launch)
                device_table_add(manager->devices, device_adopt(&manager->services, &name, launch));
        else
                manager_on_unreadable(manager, instance, name.domid);
}

static void manager_on_found_shared(void *userdata, const char *instance, const Launch *launch)
{
        const Manager *manager = userdata;
        uint16_t domid;

        if (device_name_parse_shared(instance, &domid) < 0)
                return;
        if (launch)
                shared_frontends_adopt(manager->services.shared, domid, launch);
        else
                manager_on_unreadable(manager, instance, domid);
}

/* An earlier orchestrator may have been killed before or after it has told Xen. */
static void manager_on_intent(void *userdata, uint16_t domid, uint64_t base, const char *uuid)
{
        Manager *manager = userdata;
        Device *device = device_table_holder(manager->devices, domid, base, NULL);
        uint32_t known = device_table_servers(manager->devices, domid, uuid);

        if (device) {
                device_expect_leftover(device);
                return;
        }
        claims_drop(manager->services.claims, domid, base, known);
        claim_intent_end(manager->services.rundir, domid, base);
}

/* What an earlier orchestrator has claimed; devices find their shared frontends. */
static int manager_adopt(Manager *manager)
{
        const int rundir = manager->services.rundir;
        int r;

        r = run_state_list(rundir, manager_on_found_shared, manager);
        if (r >= 0)
                r = run_state_list(rundir, manager_on_found, manager);
        if (r < 0)
                return r;
        shared_frontends_sweep(manager->services.shared);
        return claim_intent_list(rundir, manager_on_intent, manager);
}

/* What xen-virtioctl asks for. */

static void manager_visit(void *userdata, ControlVisitor *visit, void *argument)
{
        const Manager *manager = userdata;

        device_table_visit(manager->devices, visit, argument);
}

static char *manager_metrics(void *userdata)
{
        const Manager *manager = userdata;

        return device_table_metrics(manager->devices, &manager->claim_times);
}

static const char *manager_status(void *userdata)
{
        const Manager *manager = userdata;

        return manager->status ? manager->status : "starting";
}

static const Readers *manager_readers(void *userdata)
{
        const Manager *manager = userdata;

        return &manager->services.configuration->settings.readers;
}

static int manager_restart(void *userdata, const char *instance, bool backend, bool frontend)
{
        Manager *manager = userdata;
        Device *device;
        DeviceName name;

        if (device_name_parse(instance, &name) < 0)
                return -ENODEV;
        device = device_table_find(manager->devices, &name);
        if (!device || device_state(device) == DEVICE_RELEASED)
                return -ENODEV;
        return device_restart(device, backend, frontend);
}

static const ControlOps control_ops = {
        .list = manager_visit,
        .metrics = manager_metrics,
        .readers = manager_readers,
        .status = manager_status,
        .restart = manager_restart,
};

static void manager_on_changed(void *userdata, const Device *device)
{
        Manager *manager = userdata;
        DeviceReport report;

        device_table_note_state(manager->devices, device);
        device_describe(device, &report);
        control_announce(manager->control, &report);
}

static int manager_order(void *userdata, const Device *device)
{
        const Manager *manager = userdata;

        return device_table_order(manager->devices, device);
}

static const char *manager_holder(void *userdata, const Device *device, uint64_t base)
{
        const Manager *manager = userdata;
        const Device *holder =
                device_table_holder(manager->devices, device_name(device)->domid, base, device);

        return holder ? device_instance(holder) : NULL;
}

static int manager_open(Manager *manager)
{
        DeviceServices *services = &manager->services;
        int r;

        r = device_services_open(services, &store_ops, manager_schedule);
        if (r < 0)
                return r;
        r = control_new(manager->event, CONTROL_DIRECTORY, &control_ops, manager,
                        &manager->control);
        if (r < 0)
                log_error_errno(NULL, r, "cannot listen for xen-virtioctl: %m");
        return r;
}

static int manager_start(Manager *manager)
{
        int r;

        r = pass_new(manager->event, manager_on_pass, manager, &manager->pass);
        if (r >= 0)
                r = manager_adopt(manager);
        if (r < 0)
                log_error_errno(NULL, r, "cannot start: %m");
        return r;
}

int manager_new(sd_event *event, Manager **ret_manager)
{
        Manager *manager = g_new0(Manager, 1);
        int r;

        manager->event = sd_event_ref(event);
        manager->devices = device_table_new();
        manager->queue = g_hash_table_new(NULL, NULL);
        manager->unreadable = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        manager->services = (DeviceServices){
                .event = event,
                .claim_times = &manager->claim_times,
                .starts = &manager->starts,
                .enqueue = manager_enqueue,
                .order = manager_order,
                .holder = manager_holder,
                .changed = manager_on_changed,
                .userdata = manager,
        };
        r = manager_open(manager);
        if (r >= 0)
                r = manager_start(manager);
        if (r < 0) {
                manager_free(manager);
                return r;
        }
        *ret_manager = manager;
        return 0;
}

void manager_reload(Manager *manager)
{
        DeviceIter iter;
        Device *device;

        sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_usec());
        log_info(NULL, "reading the configuration again");
        device_services_reload(&manager->services);
        device_iter_init(&iter, manager->devices);
        while ((device = device_iter_next(&iter)))
                device_retry(device);
        sd_notify(0, "READY=1");
}

Manager *manager_free(Manager *manager)
{
        DeviceIter iter;
        Device *device;

        if (!manager)
                return NULL;
        device_iter_init(&iter, manager->devices);
        while ((device = device_iter_next(&iter)))
                device_free(device);
        device_table_free(manager->devices);
        g_hash_table_unref(manager->queue);
        g_hash_table_unref(manager->unreadable);
        control_free(manager->control);
        pass_free(manager->pass);
        device_services_close(&manager->services);
        g_free(manager->status);
        sd_event_unref(manager->event);
        g_free(manager);
        return NULL;
}
