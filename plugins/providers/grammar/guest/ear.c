/* A cheap gate in front of the search: silence costs nothing, and an utterance begins shortly before its first
 * sound. The host decides when the caller has finished; only very long silence or speech ends an utterance here. */
#include "ear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    OPENING_FRAMES = 3,   /* loud frames that begin an utterance */
    SILENCE_FRAMES = 250, /* quiet frames after which nobody is going to end it */
    LONGEST_FRAMES = 3000,
    LARGEST_GAP = EAR_RATE * 2, /* lost sound up to this is heard as silence, to keep word times right */
};

/* Root mean square below which nothing is speech: about -50 dB of full scale. */
static const float quietest_speech = 100;

void ear_open(struct ear *ear) {
    memset(ear, 0, sizeof *ear);
    ear->pending = malloc(EAR_PENDING * sizeof *ear->pending);
    ear->floor = quietest_speech / 3;
    widen_reset(&ear->widen);
}

void ear_close(struct ear *ear) {
    if (ear->state == EAR_HEARING)
        ear_finish(ear);
    free(ear->pending);
    ear->pending = NULL;
}

static bool put(struct ear *ear, int16_t sample) {
    bool kept = true;
    if (ear->pending_count == EAR_PENDING) {
        ear->pending_first = (ear->pending_first + 1) % EAR_PENDING;
        ear->pending_count--;
        ear->pending_position++;
        kept = false;
    }
    ear->pending[(ear->pending_first + ear->pending_count++) % EAR_PENDING] = sample;
    return kept;
}

bool ear_push(struct ear *ear, uint64_t position_us, const uint8_t *l16, size_t bytes) {
    bool kept = true;
    uint64_t position = position_us * (EAR_RATE / 1000) / 1000;
    uint64_t expected = ear->pending_position + ear->pending_count;
    if (position > expected + EAR_FRAME) {
        uint64_t gap = position - expected;
        if (gap <= LARGEST_GAP) {
            for (uint64_t i = 0; i < gap; i++)
                kept &= put(ear, 0);
        } else {
            ear->pending_position += gap;
            if (ear->state == EAR_HEARING)
                ear->utterance_position += gap;
        }
    }
    for (size_t i = 0; i + 1 < bytes; i += 2)
        kept &= put(ear, (int16_t)(l16[i] | l16[i + 1] << 8));
    return kept;
}

static bool search(struct ear *ear, const int16_t *samples, size_t count) {
    int16_t wide[2 * EAR_FRAME];
    for (size_t at = 0; at < count; at += EAR_FRAME) {
        widen_run(&ear->widen, samples + at, EAR_FRAME, wide);
        if (!decoder_hear(wide, 2 * EAR_FRAME))
            return false;
    }
    return true;
}

static bool loud(struct ear *ear, const int16_t *frame) {
    float energy = 0;
    for (int i = 0; i < EAR_FRAME; i++)
        energy += (float)frame[i] * (float)frame[i];
    float level = sqrtf(energy / EAR_FRAME);
    /* The floor follows noise up within seconds and down within a few frames; speech must not raise it. */
    float rise = ear->state == EAR_HEARING ? 0 : 0.002f;
    ear->floor += (level < ear->floor ? 0.2f : rise) * (level - ear->floor);
    float threshold = ear->floor * 3;
    return level > (threshold > quietest_speech ? threshold : quietest_speech);
}

static void keep(struct ear *ear, const int16_t *frame) {
    if (ear->preroll_frames == EAR_PREROLL) {
        memmove(ear->preroll, ear->preroll + EAR_FRAME, sizeof ear->preroll - EAR_FRAME * sizeof *frame);
        ear->preroll_frames--;
    }
    memcpy(ear->preroll + ear->preroll_frames * EAR_FRAME, frame, EAR_FRAME * sizeof *frame);
    ear->preroll_frames++;
}

static void begin(struct ear *ear) {
    ear->state = EAR_HEARING;
    ear->utterance_position = ear->pending_position - ear->preroll_frames * EAR_FRAME;
    ear->utterance_frames = ear->preroll_frames;
    ear->quiet_frames = 0;
    widen_reset(&ear->widen);
    decoder_begin();
    ear->failed |= !search(ear, ear->preroll, ear->preroll_frames * EAR_FRAME);
    ear->preroll_frames = 0;
}

static void hear(struct ear *ear, const int16_t *frame) {
    bool is_loud = loud(ear, frame);
    if (ear->state == EAR_HEARING) {
        ear->failed |= !search(ear, frame, EAR_FRAME);
        ear->utterance_frames++;
        ear->quiet_frames = is_loud ? 0 : ear->quiet_frames + 1;
        return;
    }
    keep(ear, frame);
    ear->loud_frames = is_loud ? ear->loud_frames + 1 : 0;
    if (ear->loud_frames >= OPENING_FRAMES)
        begin(ear);
}

bool ear_work(struct ear *ear, unsigned frames, bool *utterance_over) {
    *utterance_over = false;
    while (frames > 0 && ear->pending_count >= EAR_FRAME && !ear->failed) {
        int16_t frame[EAR_FRAME];
        for (int i = 0; i < EAR_FRAME; i++)
            frame[i] = ear->pending[(ear->pending_first + (size_t)i) % EAR_PENDING];
        ear->pending_first = (ear->pending_first + EAR_FRAME) % EAR_PENDING;
        ear->pending_count -= EAR_FRAME;
        ear->pending_position += EAR_FRAME;
        bool was_quiet = ear->state == EAR_QUIET;
        hear(ear, frame);
        /* Beginning an utterance works off the pre-roll too. */
        unsigned cost = ear->state == EAR_QUIET ? 0 : was_quiet ? EAR_PREROLL : 1;
        frames -= cost < frames ? cost : frames;
        if (ear->quiet_frames >= SILENCE_FRAMES || ear->utterance_frames >= LONGEST_FRAMES) {
            *utterance_over = true;
            break;
        }
    }
    return ear->pending_count >= EAR_FRAME && !ear->failed;
}

bool ear_finish(struct ear *ear) {
    if (ear->state != EAR_HEARING)
        return false;
    static const int16_t silence[EAR_FRAME * 2];
    ear->failed |= !search(ear, silence, EAR_FRAME * 2);
    ear->failed |= !decoder_finish();
    ear->state = EAR_QUIET;
    ear->loud_frames = 0;
    ear->quiet_frames = 0;
    ear->utterance_frames = 0;
    return !ear->failed;
}

uint32_t ear_ms(const struct ear *ear, int frame) {
    return (uint32_t)(ear->utterance_position / (EAR_RATE / 1000)) + (uint32_t)frame * 10;
}
