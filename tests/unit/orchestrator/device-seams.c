/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tests/unit/orchestrator/device-seams.h"

#include "common/macros.h"
#include "orchestrator/claim.h"

void store_write_state(Store *store G_GNUC_UNUSED, const DeviceName *name G_GNUC_UNUSED,
                       const char *vm G_GNUC_UNUSED, XenbusState from G_GNUC_UNUSED,
                       XenbusState to G_GNUC_UNUSED)
{
}

void store_write_error(Store *store, const DeviceName *name, const char *vm G_GNUC_UNUSED,
                       const char *text)
{
        g_free(store->errors[name->devid]);
        store->errors[name->devid] = g_strdup(text);
}

int claims_take_result;

int claims_take(Claims *claims G_GNUC_UNUSED, uint16_t domid G_GNUC_UNUSED,
                uint64_t base G_GNUC_UNUSED, uint16_t *ret_server)
{
        *ret_server = 0;
        return claims_take_result;
}

int claims_join(Claims *claims G_GNUC_UNUSED, uint16_t domid G_GNUC_UNUSED,
                uint16_t server G_GNUC_UNUSED, uint64_t base G_GNUC_UNUSED)
{
        g_assert_not_reached(); /* see test-shared.c */
}

int claims_leave(Claims *claims G_GNUC_UNUSED, uint16_t domid G_GNUC_UNUSED,
                 uint16_t server G_GNUC_UNUSED, uint64_t base G_GNUC_UNUSED)
{
        g_assert_not_reached();
}

int claims_release(Claims *claims G_GNUC_UNUSED, uint16_t domid G_GNUC_UNUSED,
                   uint16_t server G_GNUC_UNUSED)
{
        return 0;
}

void claims_drop(Claims *claims G_GNUC_UNUSED, uint16_t domid G_GNUC_UNUSED,
                 uint64_t base G_GNUC_UNUSED, uint32_t known G_GNUC_UNUSED)
{
}

Unit *unit_new(Units *units, const char *name, UnitHandler *handler G_GNUC_UNUSED,
               void *userdata G_GNUC_UNUSED)
{
        Unit *unit = g_new0(Unit, 1);

        unit->name = g_strdup(name);
        unit->phase = UNIT_DOWN;
        g_ptr_array_add(units->list, unit);
        return unit;
}

Unit *unit_free(Unit *unit G_GNUC_UNUSED)
{
        return NULL;
}

const char *unit_name(const Unit *unit)
{
        return unit->name;
}

UnitPhase unit_phase(const Unit *unit)
{
        return unit->phase;
}

void unit_start(Unit *unit)
{
        unit->n_starts++;
        unit->phase = UNIT_UP;
}

void unit_stop(Unit *unit)
{
        unit->phase = UNIT_STOPPING;
}

void unit_end(Unit *unit)
{
        unit->phase = UNIT_DOWN;
}

void unit_reload(Unit *unit G_GNUC_UNUSED)
{
        g_assert_not_reached();
}

ReloadPhase unit_reload_phase(const Unit *unit G_GNUC_UNUSED)
{
        g_assert_not_reached();
}

void units_stop_other(Units *units G_GNUC_UNUSED, const char *name G_GNUC_UNUSED)
{
        g_assert_not_reached();
}

bool unit_end_is_refusal(const Unit *unit G_GNUC_UNUSED)
{
        return false;
}

char *unit_describe_end(const Unit *unit G_GNUC_UNUSED)
{
        return g_strdup("ended");
}

void unit_destroy(void *data)
{
        Unit *unit = data;

        g_free(unit->name);
        g_free(unit);
}
