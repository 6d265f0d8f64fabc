"""Sound as arrays of -1..1: files, levels and frames, the same for every script of this folder."""

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

# Active speech is brought to this level, which is what telephone tests use (ITU-T P.800).
SPEECH_DBFS = -26.0
# A frame is speech when its energy lies within this many dB of the talker's active level.
ACTIVE_BELOW_DB = 25.0


def read(path, rate=None):
    """A file as mono samples of -1..1, at `rate` when one is given."""
    own, pcm = wavfile.read(path)
    if pcm.ndim > 1:
        pcm = pcm[:, 0]
    sound = pcm.astype(np.float64) / 32768.0
    if rate is not None and rate != own:
        divisor = np.gcd(int(own), int(rate))
        sound = resample_poly(sound, rate // divisor, own // divisor)
    return sound


def write(path, sound, rate):
    """Writes 16-bit mono."""
    wavfile.write(path, rate, np.clip(np.round(sound * 32768.0), -32768, 32767).astype(np.int16))


def frame_db(sound, rate, frame_ms=10):
    """Energy of each whole frame in dBFS, never below -120."""
    size = rate * frame_ms // 1000
    frames = sound[: len(sound) // size * size].reshape(-1, size)
    return 10 * np.log10(np.maximum(np.mean(frames**2, axis=1), 1e-12))


def active_db(sound, rate):
    """Level of the parts that are speech, in dBFS: frames far below the loud ones are left out, twice."""
    energy = frame_db(sound, rate)
    floor = np.percentile(energy, 95) - ACTIVE_BELOW_DB - 5
    for _ in range(2):
        level = 10 * np.log10(np.mean(10 ** (energy[energy > floor] / 10)))
        floor = level - ACTIVE_BELOW_DB
    return level


def at_level(sound, rate, dbfs=SPEECH_DBFS):
    """The sound with its active level at `dbfs`."""
    return sound * 10 ** ((dbfs - active_db(sound, rate)) / 20)


def rms_db(sound):
    """Level of the whole sound in dBFS."""
    return 10 * np.log10(max(np.mean(sound**2), 1e-12))
