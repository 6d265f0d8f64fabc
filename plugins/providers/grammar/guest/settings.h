/* What an agent may set, read from its JSON. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { SETTINGS_GRAMMAR = 16 * 1024, SETTINGS_DEFAULT_INTERIM_MS = 300 };
#define SETTINGS_DEFAULT_CONFIDENCE 0.5f

struct settings {
    /* The whole JSGF to listen for; empty when the built-in grammar is to stay as the snapshot has it. */
    char grammar[SETTINGS_GRAMMAR];
    float min_confidence;
    unsigned interim_every_ms;
};

/* Parses `json`; `keyterms` join the grammar's phrases. On failure `error` names the field and what it takes. */
bool settings_read(struct settings *settings, const char *json, size_t length, char *error, size_t error_size);

/* Adds a phrase; false when there is no room or it holds what a grammar cannot. */
bool settings_add_phrase(struct settings *settings, const char *phrase, size_t length);

/* The grammar of the snapshot: every built-in rule. Written to `out`. */
bool settings_default_grammar(char *out, size_t size);
