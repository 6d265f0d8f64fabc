/* The engine, as the plugin needs it: one utterance at a time. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads the model; part of the snapshot. Traps when the model does not fit the engine. */
void decoder_load(void);

/* True when the snapshot holds an initialised decoder. */
bool decoder_loaded(void);

/* Listens for `jsgf` from now on. On failure the grammar stays as it was and `error` says why. */
bool decoder_use_grammar(const char *jsgf, char *error, size_t error_size);

void decoder_begin(void);

/* 16 kHz samples; false when the engine failed. */
bool decoder_hear(const int16_t *samples, size_t count);

/* The utterance is over; words are final afterwards. */
bool decoder_finish(void);

/* Frames (10 ms) of the utterance searched so far. */
int decoder_frames(void);

struct heard_word {
    char text[48];
    int first_frame;
    int last_frame;
    /* How far the word's sounds lie behind the best ones of any kind, in nats per frame; 0 is perfect. */
    float distance;
    bool filler;
};

/* Best words so far, oldest first, silences left out; returns how many of `capacity` were written. */
size_t decoder_words(struct heard_word *words, size_t capacity);
