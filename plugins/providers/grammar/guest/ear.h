/* One session's listening: sound in, utterances out, in slices. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decoder.h"
#include "widen.h"

enum {
    EAR_RATE = 8000,
    EAR_FRAME = 80,              /* samples in 10 ms */
    EAR_PENDING = EAR_RATE * 10, /* ten seconds may wait for a slice */
    EAR_PREROLL = 30,            /* frames kept from before the sound that opens an utterance */
    EAR_WORDS = 64,
};

enum ear_state { EAR_QUIET, EAR_HEARING };

struct ear {
    enum ear_state state;
    struct widen widen;
    int16_t *pending;
    size_t pending_first, pending_count;
    uint64_t pending_position; /* samples from the session's start to the first pending one */
    int16_t preroll[EAR_PREROLL * EAR_FRAME];
    unsigned preroll_frames;
    float floor;
    unsigned loud_frames;
    unsigned quiet_frames;
    unsigned utterance_frames;
    uint64_t utterance_position;
    bool failed;
};

void ear_open(struct ear *ear);
void ear_close(struct ear *ear);

/* Queues sound that begins `position_us` into the session; returns false when older sound had to be dropped. */
bool ear_push(struct ear *ear, uint64_t position_us, const uint8_t *l16, size_t bytes);

/* Works off at most `frames` of 10 ms; true when there is more. Stops early when an utterance ended by itself. */
bool ear_work(struct ear *ear, unsigned frames, bool *utterance_over);

/* Ends the utterance, if there is one: its words are final then. */
bool ear_finish(struct ear *ear);

/* Milliseconds from the session's start to `frame` of the utterance. */
uint32_t ear_ms(const struct ear *ear, int frame);
