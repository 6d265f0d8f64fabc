/* Drives PocketSphinx: a finite-state search over a JSGF grammar, with pronunciations looked up as words come. */
#include "decoder.h"

#include <math.h>
#include <pocketsphinx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acmod.h"
#include "bin_mdef.h"
#include "dict.h"
#include "hmm.h"
#include "lm/fsg_model.h"
#include "lm/jsgf.h"
#include "pocketsphinx_internal.h"
#include "system.h"

/* Mean cepstra of telephone speech, so that the first word of a call is heard as well as the tenth: without it the
 * engine's live normalisation needs seconds of speech to settle. Measured over synthetic speech through mu-law. */
#define TELEPHONE_CEPSTRA "36.32,-5.57,4.79,6.39,-1.36,-4.09,2.20,-5.86,-0.33,0.80,0.01,4.98,0.64"

enum { MAX_PRONUNCIATIONS = 4, SAMPLES_PER_CALL = 3200 };

static ps_decoder_t *decoder;
static char current[16];
static unsigned grammars;

/* The engine scores only the sounds that the grammar allows at the moment, relative to the best of them, so that
 * everything it hears looks like a good match. Having it score every phone without context as well makes the best
 * sound of any language the reference: a word that lies far behind it was not said. The link step sends the engine's
 * calls here. */
void __real_acmod_clear_active(acmod_t *acmod);
void __wrap_acmod_clear_active(acmod_t *acmod);
void __wrap_acmod_clear_active(acmod_t *acmod) {
    __real_acmod_clear_active(acmod);
    for (int senone = 0; senone < acmod->mdef->n_ci_sen; senone++)
        bitvec_set(acmod->senone_active_vec, senone);
}

void decoder_load(void) {
    system_listen_to_engine();
    ps_config_t *config = ps_config_init(NULL);
    ps_config_set_str(config, "hmm", "hmm");
    ps_config_set_str(config, "lm", NULL);
    ps_config_set_str(config, "dict", NULL);
    ps_config_set_str(config, "loglevel", "ERROR");
    ps_config_set_bool(config, "mmap", FALSE);
    ps_config_set_str(config, "cmn", "live");
    ps_config_set_str(config, "cmninit", TELEPHONE_CEPSTRA);
    /* Beams and word penalty by measurement: the default beams cost twice the time for the same words. */
    ps_config_set_float(config, "beam", 1e-40);
    ps_config_set_float(config, "pbeam", 1e-40);
    ps_config_set_float(config, "wbeam", 1e-26);
    ps_config_set_float(config, "wip", 0.1);
    ps_config_set_int(config, "topn", 8);
    ps_config_set_bool(config, "bestpath", FALSE);
    decoder = ps_init(config);
    ps_config_free(config);
    if (decoder == NULL)
        __builtin_trap();
}

bool decoder_loaded(void) {
    return decoder != NULL;
}

/* First byte of the line of `words` that begins with `key`, or NULL; lines are sorted by byte. */
static const char *find_line(const char *words, size_t length, const char *key) {
    size_t low = 0, high = length, key_length = strlen(key);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        while (middle > low && words[middle - 1] != '\n')
            middle--;
        size_t left = length - middle;
        int order = memcmp(words + middle, key, left < key_length ? left : key_length);
        if (order == 0)
            return words + middle;
        if (order < 0) {
            const char *end = memchr(words + middle, '\n', left);
            low = end == NULL ? length : (size_t)(end - words) + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* Adds every pronunciation of `word`; false when the dictionary has none. */
static bool learn(const char *word) {
    size_t length;
    const char *words = system_file("words", &length);
    if (words == NULL)
        return false;
    for (int variant = 1; variant <= MAX_PRONUNCIATIONS; variant++) {
        char name[64], key[68], phones[160];
        int written = variant == 1 ? snprintf(name, sizeof name, "%s", word)
                                   : snprintf(name, sizeof name, "%s(%d)", word, variant);
        if (written < 0 || (size_t)written >= sizeof name)
            return false;
        snprintf(key, sizeof key, "%s ", name);
        const char *line = find_line(words, length, key);
        if (line == NULL)
            return variant > 1;
        const char *from = line + strlen(key);
        const char *end = memchr(from, '\n', (size_t)(words + length - from));
        size_t size = end == NULL ? 0 : (size_t)(end - from);
        if (size == 0 || size >= sizeof phones)
            return variant > 1;
        memcpy(phones, from, size);
        phones[size] = '\0';
        if (ps_add_word(decoder, name, phones, FALSE) < 0)
            return variant > 1;
    }
    return true;
}

bool decoder_use_grammar(const char *jsgf, char *error, size_t error_size) {
    system_forget_words();
    jsgf_t *parsed = jsgf_parse_string(jsgf, NULL);
    jsgf_rule_t *rule = parsed == NULL ? NULL : jsgf_get_public_rule(parsed);
    fsg_model_t *model = rule == NULL ? NULL : jsgf_build_fsg(parsed, rule, decoder->lmath, 1.0f);
    if (model == NULL) {
        snprintf(error, error_size, "the grammar is not valid JSGF with a public rule: %.120s", system_last_words());
        jsgf_grammar_free(parsed);
        return false;
    }
    bool fine = true;
    for (int i = 0; fine && i < fsg_model_n_word(model); i++) {
        const char *word = fsg_model_word_str(model, i);
        if (dict_wordid(decoder->dict, word) == BAD_S3WID && !learn(word)) {
            snprintf(error, error_size, "no pronunciation is known for \"%.40s\"; use lower-case English words", word);
            fine = false;
        }
    }
    char name[sizeof current];
    snprintf(name, sizeof name, "g%u", grammars + 1);
    if (fine && (ps_add_fsg(decoder, name, model) < 0 || ps_activate_search(decoder, name) < 0)) {
        snprintf(error, error_size, "the engine refused the grammar: %.120s", system_last_words());
        ps_remove_search(decoder, name);
        if (current[0] != '\0')
            ps_activate_search(decoder, current);
        fine = false;
    }
    if (fine) {
        if (current[0] != '\0')
            ps_remove_search(decoder, current);
        strcpy(current, name);
        grammars++;
    }
    fsg_model_free(model);
    jsgf_grammar_free(parsed);
    return fine;
}

void decoder_begin(void) {
    ps_set_cmn(decoder, TELEPHONE_CEPSTRA);
    ps_start_utt(decoder);
}

bool decoder_hear(const int16_t *samples, size_t count) {
    while (count > 0) {
        size_t part = count < SAMPLES_PER_CALL ? count : SAMPLES_PER_CALL;
        if (ps_process_raw(decoder, samples, part, FALSE, FALSE) < 0)
            return false;
        samples += part;
        count -= part;
    }
    return true;
}

bool decoder_finish(void) {
    return ps_end_utt(decoder) >= 0;
}

int decoder_frames(void) {
    return ps_get_n_frames(decoder);
}

size_t decoder_words(struct heard_word *words, size_t capacity) {
    size_t count = 0;
    for (ps_seg_t *segment = ps_seg_iter(decoder); segment != NULL; segment = ps_seg_next(segment)) {
        const char *text = ps_seg_word(segment);
        if (text == NULL || text[0] == '<' || text[0] == '(' || count == capacity)
            continue;
        struct heard_word *word = &words[count];
        int32 acoustic;
        ps_seg_frames(segment, &word->first_frame, &word->last_frame);
        ps_seg_prob(segment, &acoustic, NULL, NULL);
        snprintf(word->text, sizeof word->text, "%s", text);
        word->filler = text[0] == '[';
        char *variant = word->filler ? NULL : strchr(word->text, '(');
        if (variant != NULL)
            *variant = '\0';
        int frames = word->last_frame - word->first_frame + 1;
        double nats = (double)acoustic * (1 << SENSCR_SHIFT) * log(logmath_get_base(decoder->lmath));
        word->distance = (float)(-nats / (frames > 0 ? frames : 1));
        count++;
    }
    return count;
}
