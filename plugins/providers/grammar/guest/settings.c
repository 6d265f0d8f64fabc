/* Settings choose built-in rules, add phrases, or replace the grammar altogether. */
#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSMN_STATIC
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-function"
#pragma clang diagnostic ignored "-Wsign-compare"
#pragma clang diagnostic ignored "-Wunused-parameter"
#include "jsmn.h"
#pragma clang diagnostic pop
#include "system.h"

enum { MAX_TOKENS = 512 };

/* The built-in rules by the names that settings use for them; grammar.jsgf defines each. */
static const char *const rules[] = {"numbers", "answers", "commands"};
enum { RULES = sizeof rules / sizeof rules[0] };

/* The rules file lives in the snapshot, because the build drops every other file. */
static char rule_text[4096];

static const char *built_in_rules(void) {
    if (rule_text[0] == '\0') {
        size_t length;
        const char *file = system_file("grammar.jsgf", &length);
        if (file == NULL || length >= sizeof rule_text)
            __builtin_trap();
        memcpy(rule_text, file, length);
    }
    return rule_text;
}

/* Writes the built-in rules and opens the public one with those of `chosen`. */
static bool open_grammar(char *out, size_t size, unsigned chosen) {
    int used = snprintf(out, size, "%s\npublic <utterance> =", built_in_rules());
    bool first = true;
    for (int i = 0; i < RULES; i++) {
        if ((chosen & 1u << i) == 0)
            continue;
        used += snprintf(out + used, size - (size_t)used, "%s <%s>", first ? "" : " |", rules[i]);
        first = false;
    }
    return (size_t)used < size;
}

bool settings_default_grammar(char *out, size_t size) {
    if (!open_grammar(out, size, ~0u))
        return false;
    return strlen(out) + 2 < size && strcat(out, ";") != NULL;
}

bool settings_add_phrase(struct settings *settings, const char *phrase, size_t length) {
    char *grammar = settings->grammar;
    if (length == 0 || length > 120)
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = phrase[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '\'' || c == ' '))
            return false;
    }
    if (grammar[0] == '\0' && !open_grammar(grammar, SETTINGS_GRAMMAR, ~0u))
        return false;
    size_t used = strlen(grammar);
    if (used + length + 8 > SETTINGS_GRAMMAR)
        return false;
    if (used > 0 && grammar[used - 1] == ';')
        used--;
    bool first = used > 0 && grammar[used - 1] == '=';
    used += (size_t)snprintf(grammar + used, 4, "%s", first ? " " : " | ");
    for (size_t i = 0; i < length; i++)
        grammar[used++] = (char)(phrase[i] >= 'A' && phrase[i] <= 'Z' ? phrase[i] + 32 : phrase[i]);
    grammar[used++] = ';';
    grammar[used] = '\0';
    return true;
}

static bool is(const char *json, const jsmntok_t *token, const char *text) {
    size_t length = (size_t)(token->end - token->start);
    return token->type == JSMN_STRING && strlen(text) == length && memcmp(json + token->start, text, length) == 0;
}

/* The token after `index` and all that it holds. */
static int skip(const jsmntok_t *tokens, int count, int index) {
    int end = tokens[index].end;
    index++;
    while (index < count && tokens[index].start < end)
        index++;
    return index;
}

/* Decodes a JSON string's escapes; a grammar needs no others. */
static bool unescape(const char *json, const jsmntok_t *token, char *out, size_t size) {
    size_t used = 0;
    for (int i = token->start; i < token->end; i++) {
        char c = json[i];
        if (c == '\\') {
            i++;
            c = json[i] == 'n' ? '\n' : json[i] == 't' || json[i] == 'r' ? ' ' : json[i];
            if (c == 'u' || c == 'b' || c == 'f')
                return false;
        }
        if (used + 1 >= size)
            return false;
        out[used++] = c;
    }
    out[used] = '\0';
    return true;
}

static bool number(const char *json, const jsmntok_t *token, double low, double high, double *out) {
    char text[32];
    size_t length = (size_t)(token->end - token->start);
    if (token->type != JSMN_PRIMITIVE || length >= sizeof text)
        return false;
    memcpy(text, json + token->start, length);
    text[length] = '\0';
    char *end;
    *out = strtod(text, &end);
    return *end == '\0' && *out >= low && *out <= high;
}

struct lists {
    const jsmntok_t *rules;
    const jsmntok_t *phrases;
    const jsmntok_t *grammar;
};

static bool read_rules(const char *json, const jsmntok_t *list, unsigned *chosen) {
    *chosen = 0;
    for (int i = 1; i <= list->size; i++) {
        int found = -1;
        for (int r = 0; r < RULES; r++)
            if (is(json, &list[i], rules[r]))
                found = r;
        if (found < 0)
            return false;
        *chosen |= 1u << found;
    }
    return true;
}

static bool compose(struct settings *settings, const char *json, const struct lists *lists, char *error,
                    size_t error_size) {
    if (lists->grammar != NULL) {
        if (lists->rules != NULL || lists->phrases != NULL) {
            snprintf(error, error_size, "grammar replaces everything: leave rules and phrases out beside it");
            return false;
        }
        if (lists->grammar->type != JSMN_STRING ||
            !unescape(json, lists->grammar, settings->grammar, sizeof settings->grammar)) {
            snprintf(error, error_size, "grammar: expected JSGF text of at most %d bytes", SETTINGS_GRAMMAR - 1);
            return false;
        }
        return true;
    }
    if (lists->rules != NULL) {
        unsigned chosen;
        if (lists->rules->type != JSMN_ARRAY || !read_rules(json, lists->rules, &chosen) ||
            (chosen == 0 && (lists->phrases == NULL || lists->phrases->size == 0))) {
            snprintf(error, error_size, "rules: expected names among numbers, answers, commands, or phrases instead");
            return false;
        }
        if (!open_grammar(settings->grammar, sizeof settings->grammar, chosen))
            return false;
        if (chosen != 0)
            strcat(settings->grammar, ";");
    }
    for (int i = 1; lists->phrases != NULL && i <= lists->phrases->size; i++) {
        const jsmntok_t *phrase = &lists->phrases[i];
        if (lists->phrases->type != JSMN_ARRAY || phrase->type != JSMN_STRING ||
            !settings_add_phrase(settings, json + phrase->start, (size_t)(phrase->end - phrase->start))) {
            snprintf(error, error_size, "phrases: expected a list of English phrases in letters, %d bytes in all",
                     SETTINGS_GRAMMAR);
            return false;
        }
    }
    return true;
}

bool settings_read(struct settings *settings, const char *json, size_t length, char *error, size_t error_size) {
    settings->grammar[0] = '\0';
    settings->min_confidence = SETTINGS_DEFAULT_CONFIDENCE;
    settings->interim_every_ms = SETTINGS_DEFAULT_INTERIM_MS;
    jsmn_parser parser;
    jsmntok_t *tokens = calloc(MAX_TOKENS, sizeof *tokens);
    jsmn_init(&parser);
    int count = jsmn_parse(&parser, json, length, tokens, MAX_TOKENS);
    if (count == 0 || length == 0) {
        free(tokens);
        return true;
    }
    bool fine = count > 0 && tokens[0].type == JSMN_OBJECT;
    if (!fine)
        snprintf(error, error_size, "settings: expected a JSON object with at most %d values", MAX_TOKENS);
    struct lists lists = {0};
    for (int i = 1; fine && i + 1 < count; i = skip(tokens, count, i + 1)) {
        const jsmntok_t *value = &tokens[i + 1];
        double amount;
        if (is(json, &tokens[i], "grammar")) {
            lists.grammar = value;
        } else if (is(json, &tokens[i], "rules")) {
            lists.rules = value;
        } else if (is(json, &tokens[i], "phrases")) {
            lists.phrases = value;
        } else if (is(json, &tokens[i], "min_confidence")) {
            fine = number(json, value, 0, 1, &amount);
            settings->min_confidence = (float)amount;
            if (!fine)
                snprintf(error, error_size, "min_confidence: expected a number from 0 to 1");
        } else if (is(json, &tokens[i], "interim_every_ms")) {
            fine = number(json, value, 100, 5000, &amount);
            settings->interim_every_ms = (unsigned)amount;
            if (!fine)
                snprintf(error, error_size, "interim_every_ms: expected milliseconds from 100 to 5000");
        } else {
            fine = false;
            snprintf(error, error_size, "settings: no field is called \"%.*s\"", tokens[i].end - tokens[i].start,
                     json + tokens[i].start);
        }
    }
    fine = fine && compose(settings, json, &lists, error, error_size);
    free(tokens);
    return fine;
}
