"""Noise by itself through the chain: how far it is turned down, and how unevenly. Music on hold that comes and goes by
tens of decibels is worse than music."""

import os

import numpy as np

import audio
from measures import row

# Until the engines have settled, and the quietest sound that anyone would hear come and go.
SETTLED_S, QUIET_DBFS = 6, -55
FRAME_MS = 100


def rows(folder, run):
    """Rows of the result file: for every kind its mean gain, and what lies between the softest and the loudest tenth."""
    out = []
    for name in sorted(os.listdir(os.path.join(folder, "noise"))):
        heard, cleaned = (audio.read(os.path.join(run, "feeds/noise", feed, name)) for feed in ("gated", "cleaned"))
        before, after = (audio.frame_db(sound[SETTLED_S * 8000 :], 8000, FRAME_MS) for sound in (heard, cleaned))
        gains = np.maximum(after, -90)[before > QUIET_DBFS] - before[before > QUIET_DBFS]
        kind = os.path.splitext(name)[0]
        out.append(row(f"ns.chain.alone.{kind}.gain_db", np.mean(gains), "dB"))
        out.append(row(f"ns.chain.alone.{kind}.gain_spread_db", np.percentile(gains, 90) - np.percentile(gains, 10), "dB"))
    return out
