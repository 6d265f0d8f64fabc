"""PESQ, STOI and alignment, guarded so that one bad file never ends the run."""

import numpy as np
from pesq import PesqError, pesq
from pystoi import stoi
from scipy.signal import correlate
from scipy.stats import t as student

# P.862 is for 8 to 12 s; the first seconds are left to the engines to settle.
WINDOWS = ((4.0, 13.9), (14.0, 23.9))


def lag(reference, sound, rate, most_ms=60):
    """By how many samples `sound` comes later than `reference`, from 0 to `most_ms`."""
    most = rate * most_ms // 1000
    length = min(len(reference), len(sound) - most)
    if length <= 0:
        return 0
    correlation = correlate(sound[: length + most], reference[:length], mode="valid", method="fft")
    return int(np.argmax(correlation))


def pesq_of(reference, sound, rate):
    """PESQ (narrow band at 8 kHz, wide band above) of two aligned sounds; 1.0, its floor, where nothing is left."""
    mode = "nb" if rate == 8000 else "wb"
    score = pesq(rate, reference, sound, mode, on_error=PesqError.RETURN_VALUES)
    return 1.0 if score < 0 or not np.isfinite(score) else float(score)


def pesq_windows(reference, sound, rate, windows=WINDOWS):
    """Mean PESQ of the windows, given in seconds."""
    cut = [(int(begin * rate), int(end * rate)) for begin, end in windows]
    return float(np.mean([pesq_of(reference[a:b], sound[a:b], rate) for a, b in cut]))


def stoi_of(reference, sound, rate):
    """STOI of what follows the engines' settling."""
    cut = slice(int(WINDOWS[0][0] * rate), int(WINDOWS[-1][1] * rate))
    return float(stoi(reference[cut], sound[cut], rate))


def mean_and_ci(groups):
    """The mean of all values and the half width of its 95 % confidence interval, where `groups` are the values of one
    talker each: talkers are what was drawn at random, not files."""
    everything = np.concatenate([np.asarray(group, dtype=float) for group in groups])
    means = np.array([np.mean(group) for group in groups])
    if len(means) < 2:
        # One talker is no sample: no interval.
        return float(np.mean(everything)), 0.0
    half = student.ppf(0.975, len(means) - 1) * np.std(means, ddof=1) / np.sqrt(len(means))
    return float(np.mean(everything)), float(half)


def by_talker(values):
    """Groups of (talker, value) pairs by talker."""
    groups = {}
    for talker, value in values:
        groups.setdefault(talker, []).append(value)
    return list(groups.values())


def row(name, value, unit, baseline=None):
    """A row of the result file."""
    return {"name": name, "value": round(float(value), 5), "unit": unit, "baseline": baseline}
