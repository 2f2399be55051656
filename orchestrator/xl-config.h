/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The syntax of xl.cfg(5), and where everything in it stands. Pure. Strict: what xl would warn of
 * and go on is an error here.
 */

#include "orchestrator/position.h"

typedef struct XlValue {
        char *text;  /* without quotes and escapes; UTF-8. NULL: a list within a list */
        Position at; /* of its first character; with quotes, of what follows the quote */
        bool plain;  /* it stands in the file as it is: columns can be counted */
} XlValue;

typedef struct XlSetting {
        char *name;
        Position at;
        bool is_list;
        GPtrArray *values; /* of XlValue; exactly one if it is no list */
} XlSetting;

typedef struct XlConfig {
        char *path;
        GPtrArray *settings; /* of XlSetting, each name once */
} XlConfig;

/*
 * Reads the text of a file. Returns 0, or -EINVAL with one sentence in *ret_message that begins
 * with FILE:LINE:COLUMN. The caller owns both.
 */
int xl_config_parse(const char *path, const char *text, gsize size, XlConfig **ret_config,
                    char **ret_message) _warn_unused_;

XlConfig *xl_config_free(XlConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(XlConfig, xl_config_free)

/* NULL if it is not there. */
const XlSetting *xl_config_find(const XlConfig *config, const char *name);
