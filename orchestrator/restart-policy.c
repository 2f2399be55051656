/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "orchestrator/restart-policy.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "common/macros.h"
#include "common/parse.h"

#define MSEC_PER_SEC 1000
#define DIGITS       3

static const struct {
        const char *name;
        size_t offset;
} keys[] = {
        { "DelaySec", offsetof(RestartPolicy, delay_usec) },
        { "MaxDelaySec", offsetof(RestartPolicy, delay_max_usec) },
        { "HealthySec", offsetof(RestartPolicy, healthy_usec) },
};

/* The field's offset, or a negative value. */
static int key_find(const char *key)
{
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                if (strcmp(keys[i].name, key) == 0)
                        return (int)keys[i].offset;
        }
        return -ENOENT;
}

bool restart_policy_has(const char *key)
{
        return key_find(key) >= 0;
}

/* "1.25" are 1250. */
static int parse_msec(const char *value, uint64_t *ret_msec)
{
        const char *point = strchr(value, '.');
        const char *digits = point ? point + 1 : "";
        g_autofree char *whole = g_strndup(value, point ? (gsize)(point - value) : strlen(value));
        char fraction[DIGITS + 1] = "000";
        uint64_t seconds, msec;

        if (strlen(digits) > DIGITS || (point && *digits == '\0') ||
            digits[strspn(digits, "0123456789")] != '\0' ||
            whole[strspn(whole, "0123456789")] != '\0')
                return -EINVAL;
        memcpy(fraction, digits, strlen(digits));
        msec = g_ascii_strtoull(fraction, NULL, 10);
        if (parse_unsigned(whole, UINT32_MAX, &seconds) < 0)
                return -EINVAL;
        *ret_msec = seconds * MSEC_PER_SEC + msec;
        return 0;
}

int restart_policy_set(RestartPolicy *policy, const char *key, const char *value, char **ret_reason)
{
        const int offset = key_find(key);
        uint64_t msec;

        if (offset < 0 || parse_msec(value, &msec) < 0 ||
            msec < RESTART_POLICY_MIN_USEC / USEC_PER_MSEC ||
            msec > RESTART_POLICY_MAX_USEC / USEC_PER_MSEC) {
                *ret_reason = g_strdup_printf("\"%s\" are no seconds from 0.01 to 3600", value);
                return -EINVAL;
        }
        *(uint64_t *)(void *)((char *)policy + offset) = msec * USEC_PER_MSEC;
        return 0;
}
