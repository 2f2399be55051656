/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* systemd as units.h has it: what is known of a unit is what was told, some time after it was so.
 */

#include <glib.h>
#include <string.h>

#include "orchestrator/units.h"
#include "tests/unit/orchestrator/history-seams.h"

typedef enum Order {
        ORDER_NONE,
        ORDER_START,
        ORDER_STOP,
        ORDER_RELOAD,
} Order;

struct Unit {
        char *name;
        UnitHandler *handler;
        void *userdata;
        bool is_slice;
        unsigned int guest, device;
        Process *process; /* NULL: a slice */
        UnitPhase known;
        Order order;
        ReloadPhase reload;
};

#define UNITS_MAX     (N_GUESTS * N_PLACES * 3U)
#define PROCESSES_MAX (N_GUESTS * N_PLACES * 2U)

struct Units {
        Unit *list[UNITS_MAX];
        unsigned int n;
        bool connected; /* systemd is there */
        bool settled;   /* and what it has is known */
};

static struct Units truth;

const char *world_instance(const char *unit)
{
        static char instance[DEVICE_INSTANCE_MAX];
        const char *start = strchr(unit, '@');

        if (start)
                start++;
        else if (g_str_has_prefix(unit, "xen-virtio-"))
                start = unit + strlen("xen-virtio-");
        else
                start = "";
        g_strlcpy(instance, start, sizeof(instance));
        *strchrnul(instance, '.') = '\0';
        return instance;
}

static UnitPhase phase_of(const Unit *unit)
{
        const Process *processes = world.guests[unit->guest].places[unit->device].processes;

        if (unit->process)
                return unit->process->phase;
        if (processes[0].phase == UNIT_DOWN && processes[1].phase == UNIT_DOWN)
                return UNIT_DOWN;
        return UNIT_UP;
}

static void process_set(Process *process, UnitPhase phase)
{
        process->told = process->told && process->phase == phase;
        process->phase = phase;
        if (phase == UNIT_DOWN)
                memset(process->parts, 0, sizeof(process->parts));
}

/* All processes there are, by a number below PROCESSES_MAX. */
static Process *process_at(unsigned int n, unsigned int *ret_guest, unsigned int *ret_device)
{
        *ret_guest = n / (N_PLACES * 2);
        *ret_device = n / 2 % N_PLACES;
        return &world.guests[*ret_guest].places[*ret_device].processes[n % 2];
}

Unit *unit_new(Units *units, const char *name, UnitHandler *handler, void *userdata)
{
        Unit *unit = g_new0(Unit, 1);

        unit->name = g_strdup(name);
        unit->handler = handler;
        unit->userdata = userdata;
        unit->is_slice = g_str_has_suffix(name, ".slice");
        if (!world_find(world_instance(name), &unit->guest, &unit->device))
                g_error("unit %s?", name);
        if (!unit->is_slice)
                unit->process = &world.guests[unit->guest]
                                         .places[unit->device]
                                         .processes[strstr(name, "frontend") != NULL];
        unit->known = UNIT_DOWN;
        units->list[units->n++] = unit;
        return unit;
}

Unit *unit_free(Unit *unit)
{
        for (unsigned int i = 0; i < truth.n; i++) {
                if (truth.list[i] == unit)
                        truth.list[i] = truth.list[--truth.n];
        }
        g_free(unit->name);
        g_free(unit);
        return NULL;
}

const char *unit_name(const Unit *unit)
{
        return unit->name;
}

UnitPhase unit_phase(const Unit *unit)
{
        if (!truth.settled)
                return UNIT_UNKNOWN;
        if (unit->order == ORDER_STOP)
                return UNIT_STOPPING;
        if (unit->order == ORDER_START && unit->known != UNIT_UP)
                return UNIT_STARTING;
        return unit->known;
}

/* A reload that is overtaken has failed. */
static void unit_set_order(Unit *unit, Order order)
{
        if (unit->order == ORDER_RELOAD)
                unit->reload = RELOAD_FAILED;
        unit->order = order;
}

/* What is written down is what it will find. */
static void process_start(const Unit *unit, const Place *place)
{
        Process *process = unit->process;

        if (process->phase != UNIT_UP)
                process_set(process, UNIT_STARTING);
        if (unit->device != SHARED) {
                process->parts[unit->device] = (Part){ place->folder, place->record_life };
                return;
        }
        process->server = place->server;
        process->guest = place->record_guest;
        shared_look(unit->guest);
}

void unit_start(Unit *unit)
{
        const Place *place = &world.guests[unit->guest].places[unit->device];

        if (!truth.connected)
                return;
        unit_set_order(unit, ORDER_START);
        if (!world_acts(unit->name, unit->guest, unit->device))
                return;
        if (!place->record)
                g_strlcpy(world.harm, "start of a unit without a claim", sizeof(world.harm));
        process_start(unit, place);
}

static void process_stop(unsigned int guest, Process *process)
{
        if (process->phase == UNIT_DOWN)
                return;
        for (unsigned int device = 0; device < N_DEVICES; device++) {
                if (process->parts[device].folder)
                        world_harm(guest, device, process->parts[device].life, "stop");
        }
        process_set(process, UNIT_STOPPING);
}

static void device_stop(unsigned int guest, unsigned int device)
{
        Place *place = &world.guests[guest].places[device];

        if (!world_acts("stop", guest, device))
                return;
        process_stop(guest, &place->processes[0]);
        process_stop(guest, &place->processes[1]);
}

void unit_stop(Unit *unit)
{
        if (!truth.connected)
                return;
        unit_set_order(unit, ORDER_STOP);
        if (unit->is_slice)
                device_stop(unit->guest, unit->device);
        else if (world_acts("stop", unit->guest, unit->device))
                process_stop(unit->guest, unit->process);
}

/* A guest's slice, or that of its shared frontend. */
void units_stop_other(Units *units _unused_, const char *name)
{
        const unsigned int number = (unsigned int)g_ascii_strtoull(world_instance(name), NULL, 10);
        unsigned int guest = number - FIRST_DOMID, device = 0;

        if (!truth.connected)
                return;
        if (world_find(world_instance(name), &guest, &device))
                device_stop(guest, device);
        else
                for (; device < N_PLACES; device++)
                        device_stop(guest, device);
}

void unit_reload(Unit *unit)
{
        unit_set_order(unit, ORDER_NONE);
        unit->reload = RELOAD_FAILED;
        if (!truth.connected)
                return;
        unit->order = ORDER_RELOAD;
        unit->reload = RELOAD_RUNNING;
        if (world_acts("reload", unit->guest, unit->device))
                unit->process->reload = RELOAD_RUNNING;
}

ReloadPhase unit_reload_phase(const Unit *unit)
{
        return unit->reload;
}

char *unit_describe_end(const Unit *unit _unused_)
{
        return g_strdup("ended");
}

bool unit_end_is_refusal(const Unit *unit _unused_)
{
        return false;
}

int units_new(sd_event *event _unused_, Units **ret_units)
{
        truth.n = 0;
        truth.settled = false;
        *ret_units = &truth;
        return 0;
}

Units *units_free(Units *units)
{
        if (units && units->n > 0)
                g_error("units are left");
        return NULL;
}

void world_set_systemd(bool connected)
{
        if (truth.connected == connected)
                return;
        world_tell("systemd %s", connected ? "is there" : "is lost");
        truth.connected = connected;
        truth.settled = false;
        for (unsigned int i = 0; i < truth.n; i++)
                unit_set_order(truth.list[i], ORDER_NONE);
}

void world_end_process(Process *process)
{
        if (process->phase == UNIT_DOWN)
                return;
        world_tell("a process ends");
        process_set(process, world_chance(70) ? UNIT_DOWN : UNIT_STOPPING);
}

/* It has been heard, or it has not, and what is told of it may be wrong once more. */
static bool reload_step(unsigned int guest, Process *process)
{
        if (process->reload != RELOAD_RUNNING || process->phase == UNIT_STARTING)
                return false;
        process->reload = RELOAD_FAILED;
        if (process->phase != UNIT_UP || (world.faults && world_chance(10)))
                return true;
        shared_look(guest);
        if (!world.faults || world_chance(90))
                process->reload = RELOAD_DONE;
        return true;
}

static void process_come_up(unsigned int guest, unsigned int device, Process *process)
{
        Place *place = &world.guests[guest].places[device];

        if (device == SHARED && world_chance(50))
                shared_look(guest);
        if (device != SHARED && process == &place->processes[1])
                place->answered_life = process->parts[device].life;
        process_set(process, UNIT_UP);
}

/* Processes go on, whoever listens. */
static bool process_step(unsigned int guest, unsigned int device, Process *process)
{
        if (process->phase == UNIT_STOPPING)
                process_set(process, UNIT_DOWN);
        else if (process->phase != UNIT_STARTING)
                return reload_step(guest, process);
        else if (world.faults && world_chance(20))
                process_set(process, UNIT_DOWN);
        else
                process_come_up(guest, device, process);
        return true;
}

/* An order is carried out when its unit is as it should be, or has failed. */
static bool order_is_done(const Unit *unit)
{
        UnitPhase phase = phase_of(unit);

        if (unit->order == ORDER_START)
                return phase == UNIT_UP || phase == UNIT_DOWN;
        if (unit->order == ORDER_RELOAD)
                return unit->process->reload != RELOAD_RUNNING;
        return unit->order == ORDER_STOP && phase == UNIT_DOWN;
}

/* Signals tell of changes only, and the end of a job only that it is over. */
static bool unit_step(Unit *unit)
{
        const UnitPhase phase = phase_of(unit);
        bool news = unit->known != phase && (!unit->process || !unit->process->told);

        if (news) {
                unit->known = phase;
                if (unit->process)
                        unit->process->told = true;
        } else if (order_is_done(unit)) {
                const bool was_reload = unit->order == ORDER_RELOAD;

                if (unit->order == ORDER_STOP)
                        unit->known = UNIT_DOWN;
                unit_set_order(unit, ORDER_NONE);
                if (was_reload)
                        unit->reload = unit->process->reload;
                news = true;
        }
        if (news) {
                world_tell("unit %s is %d", unit->name, (int)unit_phase(unit));
                unit->handler(unit->userdata);
        }
        return news;
}

static bool is_looked_after(const Process *process)
{
        for (unsigned int i = 0; i < truth.n; i++) {
                if (truth.list[i]->process == process)
                        return true;
        }
        return false;
}

/* As units.c does it. */
static void strays_stop(void)
{
        for (unsigned int n = 0; n < PROCESSES_MAX; n++) {
                unsigned int guest, device;
                Process *process = process_at(n, &guest, &device);

                if (process->phase != UNIT_DOWN && !is_looked_after(process) &&
                    world_acts("stop stray", guest, device))
                        process_stop(guest, process);
        }
}

static void units_settle(void)
{
        strays_stop();
        truth.settled = true;
        for (unsigned int i = 0; i < truth.n; i++) {
                truth.list[i]->known = phase_of(truth.list[i]);
                if (truth.list[i]->process)
                        truth.list[i]->process->told = true;
        }
        for (unsigned int i = 0; i < truth.n; i++)
                truth.list[i]->handler(truth.list[i]->userdata);
}

static bool processes_step(void)
{
        const unsigned int first = world_random(PROCESSES_MAX);

        for (unsigned int i = 0; i < PROCESSES_MAX; i++) {
                unsigned int guest, device;
                Process *process = process_at((first + i) % PROCESSES_MAX, &guest, &device);

                if (process_step(guest, device, process))
                        return true;
        }
        return shared_step();
}

bool world_step_systemd(void)
{
        const unsigned int first = truth.n > 0 ? world_random(truth.n) : 0;

        if (truth.connected && !truth.settled) {
                units_settle();
                return true;
        }
        for (unsigned int i = 0; i < truth.n && truth.settled; i++) {
                if (unit_step(truth.list[(first + i) % truth.n]))
                        return true;
        }
        return processes_step();
}
