/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/manager.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include "common/log.h"
#include "orchestrator/clock.h"
#include "orchestrator/control.h"
#include "orchestrator/device-table.h"
#include "orchestrator/device.h"
#include "orchestrator/run-state.h"

struct Manager {
        DeviceServices services;
        sd_event *event;
        sd_event_source *watch; /* xenstore has something to say */
        sd_event_source *pass;  /* the queue is not empty */
        Control *control;

        GHashTable *devices; /* DeviceName → Device */
        GHashTable *queue;   /* Device → whether its nodes have to be read */

        /* What xenstore has said since the last pass. */
        bool list_due, domains_due;
        uint64_t list_seen_usec;

        Histogram claim_times;
        bool ready; /* the first pass is over */
        char *status;
};

static void manager_schedule(void *userdata)
{
        const Manager *manager = userdata;
        int r;

        r = sd_event_source_set_enabled(manager->pass, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error_errno(NULL, r, "cannot schedule a pass: %m");
}

static void manager_enqueue(void *userdata, Device *device, bool read)
{
        Manager *manager = userdata;

        if (g_hash_table_lookup(manager->queue, device))
                read = true;
        g_hash_table_insert(manager->queue, device, GINT_TO_POINTER(read));
        manager_schedule(manager);
}

static void manager_add(Manager *manager, Device *device)
{
        g_hash_table_insert(manager->devices, (void *)device_name(device), device);
        manager_enqueue(manager, device, true);
}

/* Notes that a device's nodes have to be read, seen for the first time or again. */
static void manager_see(Manager *manager, const DeviceName *name, uint64_t seen_usec)
{
        Device *device = g_hash_table_lookup(manager->devices, name);

        if (device)
                manager_enqueue(manager, device, true);
        else if (g_hash_table_size(manager->devices) < STORE_DEVICES_MAX)
                manager_add(manager, device_new(&manager->services, name, seen_usec));
}

static void manager_on_change(void *userdata, StoreChange change, const DeviceName *name)
{
        Manager *manager = userdata;
        uint64_t now = clock_now_usec();

        switch (change) {
        case STORE_CHANGE_DEVICE:
                manager_see(manager, name, now);
                break;
        case STORE_CHANGE_LIST:
                if (!manager->list_due)
                        manager->list_seen_usec = now;
                manager->list_due = true;
                manager_schedule(manager);
                break;
        case STORE_CHANGE_DOMAINS:
                manager->domains_due = true;
                manager_schedule(manager);
                break;
        }
}

static int manager_on_watch(sd_event_source *source _unused_, int fd _unused_,
                            uint32_t events _unused_, void *userdata)
{
        Manager *manager = userdata;
        int r;

        r = store_dispatch(manager->services.store);
        if (r < 0)
                log_error_errno(NULL, r, "lost the connection to xenstore: %m");
        return r;
}

/* Devices that may have come, and devices that may have gone: a complete listing says. */
static int manager_list(Manager *manager)
{
        _cleanup_free_ DeviceName *names = NULL;
        GHashTableIter iter;
        Device *device;
        int n;

        manager->list_due = false;
        n = store_list(manager->services.store, &names);
        if (n < 0)
                return n;
        g_hash_table_iter_init(&iter, manager->devices);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&device))
                manager_enqueue(manager, device, true);
        for (int i = 0; i < n; i++)
                manager_see(manager, &names[i], manager->list_seen_usec);
        return 0;
}

/* A domain has ended, and the event does not say which. */
static int manager_check_domains(Manager *manager)
{
        GHashTableIter iter;
        Device *device;

        manager->domains_due = false;
        g_hash_table_iter_init(&iter, manager->devices);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&device)) {
                bool exists;
                int r;

                r = store_domain_exists(manager->services.store, device_name(device)->domid,
                                        &exists);
                if (r < 0)
                        return r;
                if (!exists)
                        manager_enqueue(manager, device, true);
        }
        return 0;
}

/* Reads a device's nodes; a new device is claimed here. */
static int manager_read(Manager *manager, Device *device)
{
        _cleanup_(node_set_clear) NodeSet nodes = { 0 };
        const DeviceName *name = device_name(device);
        bool exists = false;
        int r;

        r = store_read(manager->services.store, name, &nodes, &exists);
        if (r == -EAGAIN) {
                manager_enqueue(manager, device, true);
                return 0;
        }
        if (r < 0)
                return r;
        device_update(device, &nodes, exists);
        return 0;
}

/* With the last device of a guest goes the guest's slice. */
static void manager_stop_guest(Manager *manager, uint16_t domid)
{
        char slice[DEVICE_UNIT_MAX];
        GHashTableIter iter;
        Device *device;

        g_hash_table_iter_init(&iter, manager->devices);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&device)) {
                if (device_name(device)->domid == domid && device_state(device) != DEVICE_RELEASED)
                        return;
        }
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
        g_hash_table_remove(manager->queue, device);
        g_hash_table_remove(manager->devices, device_name(device));
        device_free(device);
}

/* One line for people: "systemctl status xen-virtiod" shows it. */
static void manager_report(Manager *manager)
{
        char *status = device_table_describe(manager->devices);

        if (!manager->ready || g_strcmp0(status, manager->status) != 0)
                sd_notifyf(0, "%sSTATUS=%s", manager->ready ? "" : "READY=1\n", status);
        manager->ready = true;
        g_free(manager->status);
        manager->status = status;
}

static int device_compare(const void *a, const void *b)
{
        return device_name_compare(device_name(a), device_name(b));
}

/*
 * Looks at every device in the queue. All are read, and the new ones claimed, before anything is
 * started for one of them: a claim has milliseconds until the guest runs, the rest has seconds.
 */
static int manager_on_pass(sd_event_source *source _unused_, void *userdata)
{
        g_autoptr(GHashTable) queue = NULL;
        g_autoptr(GList) devices = NULL;
        Manager *manager = userdata;
        bool listed = manager->list_due;
        int r = 0;

        shared_frontends_observe(manager->services.shared);
        if (listed)
                r = manager_list(manager);
        if (r >= 0 && manager->domains_due)
                r = manager_check_domains(manager);
        queue = manager->queue;
        manager->queue = g_hash_table_new(NULL, NULL);

        /* What comes before a device says which of its guest's it is, as soon as it is claimed. */
        devices = g_list_sort(g_hash_table_get_keys(queue), device_compare);
        for (const GList *i = devices; i && r >= 0; i = i->next) {
                if (GPOINTER_TO_INT(g_hash_table_lookup(queue, i->data)))
                        r = manager_read(manager, i->data);
        }
        if (r < 0) {
                log_error_errno(NULL, r, "cannot read xenstore: %m");
                return r;
        }
        for (const GList *i = devices; i; i = i->next)
                manager_reconcile(manager, i->data);
        if (listed)
                shared_frontends_sweep(manager->services.shared);
        shared_frontends_reconcile(manager->services.shared);
        manager_report(manager);

        /* What came along with answers makes no descriptor readable any more. */
        if (store_has_event(manager->services.store))
                r = store_dispatch(manager->services.store);
        return r;
}

/* What was claimed is unknown. Only with the domain it is certainly over. */
static void manager_on_unreadable(const Manager *manager, const char *instance, uint16_t domid)
{
        bool exists = true;
        int r;

        r = store_domain_exists(manager->services.store, domid, &exists);
        if (r >= 0 && !exists)
                run_state_remove(manager->services.rundir, instance);
}

static void manager_on_found(void *userdata, const char *instance, const Launch *launch)
{
        Manager *manager = userdata;
        DeviceName name;

        if (device_name_parse(instance, &name) < 0)
                return;
        if (launch)
                manager_add(manager, device_adopt(&manager->services, &name, launch));
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

/* What an earlier orchestrator has claimed; devices find their shared frontends. */
static int manager_adopt(Manager *manager)
{
        const int rundir = manager->services.rundir;
        int r;

        r = run_state_list(rundir, manager_on_found_shared, manager);
        return r < 0 ? r : run_state_list(rundir, manager_on_found, manager);
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

static int manager_restart(void *userdata, const char *instance, bool backend, bool frontend)
{
        Manager *manager = userdata;
        Device *device;
        DeviceName name;

        if (device_name_parse(instance, &name) < 0)
                return -ENODEV;
        device = g_hash_table_lookup(manager->devices, &name);
        if (!device || device_state(device) == DEVICE_RELEASED)
                return -ENODEV;
        return device_restart(device, backend, frontend);
}

static const ControlOps control_ops = {
        .list = manager_visit,
        .metrics = manager_metrics,
        .status = manager_status,
        .restart = manager_restart,
};

static void manager_on_changed(void *userdata, const Device *device)
{
        Manager *manager = userdata;
        DeviceReport report;

        device_describe(device, &report);
        control_announce(manager->control, &report);
}

static int manager_order(void *userdata, const Device *device)
{
        const Manager *manager = userdata;

        return device_table_order(manager->devices, device);
}

static int manager_open(Manager *manager)
{
        DeviceServices *services = &manager->services;
        int r;

        r = device_services_open(services, manager_on_change, manager_schedule);
        if (r < 0)
                return r;
        r = control_new(manager->event, services->rundir, &control_ops, manager, &manager->control);
        if (r < 0)
                log_error_errno(NULL, r, "cannot listen for xen-virtioctl: %m");
        return r;
}

static int manager_start(Manager *manager)
{
        int r;

        r = sd_event_add_defer(manager->event, &manager->pass, manager_on_pass, manager);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->pass, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_io(manager->event, &manager->watch,
                                    store_fd(manager->services.store), EPOLLIN, manager_on_watch,
                                    manager);
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(manager->watch, true);
        if (r >= 0)
                r = sd_event_source_set_exit_on_failure(manager->pass, true);
        if (r >= 0)
                r = manager_adopt(manager);
        /* The watches' first events, which make the first pass, may have come already. */
        if (r >= 0)
                r = store_dispatch(manager->services.store);
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
        manager->services = (DeviceServices){
                .event = event,
                .claim_times = &manager->claim_times,
                .enqueue = manager_enqueue,
                .order = manager_order,
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
        log_info(NULL, "serving the devices of domain %u", store_domid(manager->services.store));

        *ret_manager = manager;
        return 0;
}

void manager_reload(Manager *manager)
{
        GHashTableIter iter;
        Device *device;

        sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_usec());
        log_info(NULL, "reading the configuration again");
        device_services_reload(&manager->services);
        g_hash_table_iter_init(&iter, manager->devices);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&device))
                device_retry(device);
        sd_notify(0, "READY=1");
}

Manager *manager_free(Manager *manager)
{
        GHashTableIter iter;
        Device *device;

        if (!manager)
                return NULL;
        g_hash_table_iter_init(&iter, manager->devices);
        while (g_hash_table_iter_next(&iter, NULL, (void **)&device))
                device_free(device);
        g_hash_table_unref(manager->devices);
        g_hash_table_unref(manager->queue);
        control_free(manager->control);
        sd_event_source_disable_unref(manager->pass);
        sd_event_source_disable_unref(manager->watch);
        device_services_close(&manager->services);
        g_free(manager->status);
        sd_event_unref(manager->event);
        g_free(manager);
        return NULL;
}
