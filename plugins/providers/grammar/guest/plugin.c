/* The world asr-provider, answered by one ear and one decoder. The host keeps one instance per session. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "asr_provider.h"
#include "decoder.h"
#include "ear.h"
#include "settings.h"
#include "system.h"

enum {
    QUEUE = 8,
    SLICE_FRAMES = 10, /* 100 ms of sound a call: some five milliseconds of work */
};

typedef exports_trunkline_plugin_asr_asr_event_t event_t;
typedef exports_trunkline_plugin_asr_provider_error_t error_t;
typedef exports_trunkline_plugin_asr_step_t step_t;
typedef exports_trunkline_plugin_asr_word_t word_t;

struct exports_trunkline_plugin_asr_session_t {
    struct ear ear;
    struct settings settings;
    bool interim;
    bool finalizing;
    bool closing;
    bool ended;
    event_t queue[QUEUE];
    size_t queued;
    uint64_t heard_bytes;
    uint64_t reported_ms;
    int interim_frame;
    char interim_text[512];
    struct heard_word words[EAR_WORDS];
};
typedef exports_trunkline_plugin_asr_session_t session_t;

static bool in_use;
/* The grammar in force: the snapshot's own when false. */
static bool custom_grammar;

/* The build calls this once; what it leaves in memory is what every session starts from. */
void __wasm_call_ctors(void);
__attribute__((export_name("trunkline_initialise"))) void initialise(void) {
    static char grammar[SETTINGS_GRAMMAR];
    char error[256];
    __wasm_call_ctors();
    decoder_load();
    if (!settings_default_grammar(grammar, sizeof grammar) || !decoder_use_grammar(grammar, error, sizeof error))
        __builtin_trap();
    system_drop_files_except("words");
}

/* The bindings insist on an object file that describes the world; the build embeds that description itself. */
void __component_type_object_force_link_asr_provider(void) {
}

/* Strings that leave belong to the host, which frees them. */
static asr_provider_string_t owned(const char *text) {
    size_t length = strlen(text);
    uint8_t *copy = malloc(length > 0 ? length : 1);
    memcpy(copy, text, length);
    return (asr_provider_string_t){copy, length};
}

static void note(trunkline_plugin_log_level_t level, const char *text) {
    asr_provider_string_t message = {(uint8_t *)text, strlen(text)};
    trunkline_plugin_log_log(level, &message);
}

static void fail(error_t *error, trunkline_plugin_types_error_code_t code, const char *message) {
    *error = (error_t){.code = code, .message = owned(message)};
}

void exports_trunkline_plugin_lifecycle_describe(exports_trunkline_plugin_lifecycle_plugin_info_t *info) {
    info->name = owned("grammar");
    info->version = owned("0.1.0");
}

bool exports_trunkline_plugin_lifecycle_init(asr_provider_string_t *error) {
    if (decoder_loaded())
        return true;
    *error = owned("the component was built without its model snapshot; build it with build.sh");
    return false;
}

void exports_trunkline_plugin_asr_formats(exports_trunkline_plugin_asr_list_audio_format_t *formats) {
    formats->ptr = malloc(sizeof *formats->ptr);
    formats->len = 1;
    formats->ptr[0] = (trunkline_plugin_types_audio_format_t){TRUNKLINE_PLUGIN_TYPES_ENCODING_L16, EAR_RATE, 1};
}

static bool understands(const exports_trunkline_plugin_asr_list_language_tag_t *languages) {
    for (size_t i = 0; i < languages->len; i++) {
        const asr_provider_string_t *tag = &languages->ptr[i];
        if (tag->len >= 2 && (tag->ptr[0] | 32) == 'e' && (tag->ptr[1] | 32) == 'n')
            return true;
    }
    return languages->len == 0;
}

static bool configure(session_t *session, exports_trunkline_plugin_asr_session_config_t *config, error_t *error) {
    char why[256] = "settings are not valid";
    asr_provider_string_t json;
    trunkline_plugin_settings_get(&json);
    bool fine = settings_read(&session->settings, (const char *)json.ptr, json.len, why, sizeof why);
    asr_provider_string_free(&json);
    if (!fine) {
        fail(error, TRUNKLINE_PLUGIN_TYPES_ERROR_CODE_INVALID_SETTINGS, why);
        return false;
    }
    char before[sizeof session->settings.grammar];
    memcpy(before, session->settings.grammar, sizeof before);
    for (size_t i = 0; i < config->keyterms.len; i++) {
        const asr_provider_string_t *term = &config->keyterms.ptr[i];
        if (!settings_add_phrase(&session->settings, (const char *)term->ptr, term->len))
            note(TRUNKLINE_PLUGIN_LOG_LEVEL_WARN, "a key term was left out: only phrases of letters fit the grammar");
    }
    if (session->settings.grammar[0] == '\0' && custom_grammar)
        settings_default_grammar(session->settings.grammar, sizeof session->settings.grammar);
    if (session->settings.grammar[0] == '\0')
        return true;
    custom_grammar = true;
    if (decoder_use_grammar(session->settings.grammar, why, sizeof why))
        return true;
    /* Key terms are hints: a word without a pronunciation among them must not cost the call its ears. */
    if (config->keyterms.len > 0 && before[0] == '\0')
        settings_default_grammar(before, sizeof before);
    if (config->keyterms.len > 0 && decoder_use_grammar(before, why, sizeof why)) {
        note(TRUNKLINE_PLUGIN_LOG_LEVEL_WARN, "key terms were left out: one of them has no known pronunciation");
        return true;
    }
    fail(error, TRUNKLINE_PLUGIN_TYPES_ERROR_CODE_INVALID_SETTINGS, why);
    return false;
}

bool exports_trunkline_plugin_asr_static_session_open(exports_trunkline_plugin_asr_session_config_t *config,
                                                      exports_trunkline_plugin_asr_own_session_t *opened,
                                                      error_t *error) {
    session_t *session = NULL;
    bool fine = false;
    if (in_use) {
        fail(error, TRUNKLINE_PLUGIN_TYPES_ERROR_CODE_UNAVAILABLE, "one session at a time; use another instance");
    } else if (config->format.encoding != TRUNKLINE_PLUGIN_TYPES_ENCODING_L16 ||
               config->format.sample_rate != EAR_RATE || config->format.channels != 1) {
        fail(error, TRUNKLINE_PLUGIN_TYPES_ERROR_CODE_UNSUPPORTED, "send l16, 8000 Hz, one channel");
    } else if (!understands(&config->languages)) {
        fail(error, TRUNKLINE_PLUGIN_TYPES_ERROR_CODE_UNSUPPORTED, "this recogniser knows English only");
    } else {
        session = calloc(1, sizeof *session);
        fine = configure(session, config, error);
    }
    if (fine) {
        in_use = true;
        ear_open(&session->ear);
        session->interim = config->interim_results;
        session->queue[session->queued++].tag = EXPORTS_TRUNKLINE_PLUGIN_ASR_ASR_EVENT_READY;
        *opened = exports_trunkline_plugin_asr_session_new(session);
    } else {
        free(session);
    }
    exports_trunkline_plugin_asr_session_config_free(config);
    return fine;
}

void exports_trunkline_plugin_asr_session_destructor(session_t *session) {
    ear_close(&session->ear);
    for (size_t i = 0; i < session->queued; i++)
        exports_trunkline_plugin_asr_asr_event_free(&session->queue[i]);
    free(session);
    in_use = false;
}

static bool has_room(const session_t *session) {
    return session->queued + 2 <= QUEUE;
}

static void queue(session_t *session, event_t event) {
    session->queue[session->queued++] = event;
}

/* Measured over synthetic speech: utterances that were heard right lie 2 to 4.6 nats a frame behind the best sounds of
 * any kind, utterances that the grammar does not know 3.6 to 9. One half is where the two meet. */
static float confidence(float distance) {
    return 1 / (1 + expf((distance - 4.8f) * 1.5f));
}

/* A single word so far off was never said, whatever its neighbours are; short words are measured less well. */
static const float farthest_word = 9;

static void report_usage(session_t *session) {
    uint64_t heard_ms = session->heard_bytes / (2 * EAR_RATE / 1000);
    if (heard_ms == session->reported_ms)
        return;
    event_t event = {.tag = EXPORTS_TRUNKLINE_PLUGIN_ASR_ASR_EVENT_USAGE};
    event.val.usage.audio_in_ms.is_some = true;
    event.val.usage.audio_in_ms.val = heard_ms - session->reported_ms;
    session->reported_ms = heard_ms;
    queue(session, event);
}

/* The words of the utterance, or none when they lie too far from what was said; `sure` is the whole's confidence. */
static size_t believed(session_t *session, float *sure) {
    size_t heard = decoder_words(session->words, EAR_WORDS), kept = 0;
    float sum = 0;
    int frames = 0;
    for (size_t i = 0; i < heard; i++) {
        const struct heard_word *word = &session->words[i];
        if (word->filler || word->distance > farthest_word)
            continue;
        int length = word->last_frame - word->first_frame + 1;
        session->words[kept++] = *word;
        sum += word->distance * (float)length;
        frames += length;
    }
    *sure = frames > 0 ? confidence(sum / (float)frames) : 0;
    return *sure < session->settings.min_confidence ? 0 : kept;
}

static void join(const struct heard_word *words, size_t count, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count && used + sizeof words[i].text + 1 < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? "" : " ", words[i].text);
}

static event_t transcript(session_t *session, size_t count, float sure, const char *text, bool final) {
    event_t event = {.tag = EXPORTS_TRUNKLINE_PLUGIN_ASR_ASR_EVENT_TRANSCRIPT};
    exports_trunkline_plugin_asr_transcript_t *out = &event.val.transcript;
    const struct heard_word *words = session->words;
    out->text = owned(text);
    out->is_final = final;
    out->speech_final = final;
    out->start = ear_ms(&session->ear, count > 0 ? words[0].first_frame : 0);
    out->end = ear_ms(&session->ear, count > 0 ? words[count - 1].last_frame + 1 : 0);
    out->confidence.is_some = count > 0;
    out->confidence.val = sure;
    out->words.len = count;
    out->words.ptr = count > 0 ? calloc(count, sizeof(word_t)) : NULL;
    for (size_t i = 0; i < count; i++) {
        word_t *word = &out->words.ptr[i];
        word->text = owned(words[i].text);
        word->start = ear_ms(&session->ear, words[i].first_frame);
        word->end = ear_ms(&session->ear, words[i].last_frame + 1);
        word->confidence.is_some = true;
        word->confidence.val = confidence(words[i].distance);
    }
    return event;
}

/* Ends the utterance; an empty transcript is an answer too when the host asked for one. */
static void conclude(session_t *session, bool even_if_empty) {
    float sure = 0;
    size_t count = ear_finish(&session->ear) ? believed(session, &sure) : 0;
    session->interim_frame = 0;
    session->interim_text[0] = '\0';
    if (count == 0 && !even_if_empty)
        return;
    char text[EAR_WORDS * 16];
    join(session->words, count, text, sizeof text);
    queue(session, transcript(session, count, sure, text, true));
    report_usage(session);
}

static void maybe_interim(session_t *session) {
    if (!session->interim || session->ear.state != EAR_HEARING || !has_room(session))
        return;
    int frames = decoder_frames();
    if (frames - session->interim_frame < (int)session->settings.interim_every_ms / 10)
        return;
    session->interim_frame = frames;
    float sure;
    char text[sizeof session->interim_text];
    size_t count = believed(session, &sure);
    join(session->words, count, text, sizeof text);
    if (count == 0 || strcmp(text, session->interim_text) == 0)
        return;
    strcpy(session->interim_text, text);
    queue(session, transcript(session, count, sure, text, false));
}

static void work(session_t *session, bool *more) {
    bool over = false;
    *more = false;
    if (!has_room(session)) {
        *more = true;
        return;
    }
    *more = ear_work(&session->ear, SLICE_FRAMES, &over);
    if (over)
        conclude(session, false);
    else
        maybe_interim(session);
    if (*more)
        return;
    if (session->finalizing && has_room(session)) {
        session->finalizing = false;
        conclude(session, true);
    }
    if (session->closing && !session->ended && has_room(session)) {
        conclude(session, false);
        report_usage(session);
        if (session->queued < QUEUE) {
            session->ended = true;
            queue(session, (event_t){.tag = EXPORTS_TRUNKLINE_PLUGIN_ASR_ASR_EVENT_ENDED});
        }
    }
}

/* One slice of work, and as many events as the host has room for. */
static bool step(session_t *session, uint32_t credit, step_t *out, error_t *error) {
    bool more = false;
    work(session, &more);
    if (session->ear.failed) {
        fail(error, TRUNKLINE_PLUGIN_TYPES_ERROR_CODE_INTERNAL, system_last_words());
        return false;
    }
    size_t count = session->queued < credit ? session->queued : credit;
    out->events.len = count;
    out->events.ptr = count > 0 ? malloc(count * sizeof(event_t)) : NULL;
    if (count > 0)
        memcpy(out->events.ptr, session->queue, count * sizeof(event_t));
    session->queued -= count;
    memmove(session->queue, session->queue + count, session->queued * sizeof(event_t));
    out->again = more || session->queued > 0 || session->finalizing || (session->closing && !session->ended);
    return true;
}

bool exports_trunkline_plugin_asr_method_session_push_audio(session_t *session,
                                                            exports_trunkline_plugin_asr_list_audio_frame_t *frames,
                                                            uint32_t credit, step_t *out, error_t *error) {
    bool kept = true;
    for (size_t i = 0; i < frames->len && !session->closing; i++) {
        const trunkline_plugin_types_audio_frame_t *frame = &frames->ptr[i];
        session->heard_bytes += frame->payload.len;
        kept &= ear_push(&session->ear, frame->position_us, frame->payload.ptr, frame->payload.len);
    }
    exports_trunkline_plugin_asr_list_audio_frame_free(frames);
    if (!kept)
        note(TRUNKLINE_PLUGIN_LOG_LEVEL_WARN, "sound arrives faster than it is recognised; the oldest was dropped");
    return step(session, credit, out, error);
}

bool exports_trunkline_plugin_asr_method_session_finalize(session_t *session, uint32_t credit, step_t *out,
                                                          error_t *error) {
    session->finalizing = !session->closing;
    return step(session, credit, out, error);
}

bool exports_trunkline_plugin_asr_method_session_on_event(session_t *session,
                                                          exports_trunkline_plugin_asr_event_t *event,
                                                          uint32_t credit, step_t *out, error_t *error) {
    /* Nothing was asked for, so nothing is expected. */
    exports_trunkline_plugin_asr_event_free(event);
    return step(session, credit, out, error);
}

bool exports_trunkline_plugin_asr_method_session_resume(session_t *session, uint32_t credit, step_t *out,
                                                        error_t *error) {
    return step(session, credit, out, error);
}

bool exports_trunkline_plugin_asr_method_session_close(session_t *session, uint32_t credit, step_t *out,
                                                       error_t *error) {
    session->closing = true;
    return step(session, credit, out, error);
}
