"""Voice activity: half total error of frames of 10 ms, and how late an onset is noticed.

A frame is speech when the clean talker's energy lies within 30 dB of the active level; gaps of up to 100 ms inside
speech (the closures of stops) are speech. 20 ms on both sides of every border are not judged. Onsets are those after at
least 200 ms of silence, where the detector was silent too; the delay runs to the end of the frame that noticed.

The verdict is that of the detectors' default configuration, frame by frame without hang-over, which is the operator's
choice."""

import os

import numpy as np

import audio
import talkers
from measures import row

INPUTS = ["raw", "lanes"]
ENGINES = ["webrtc", "earshot", "fused", "silero"]
RATE = 8000
BELOW_DB = 30
GAP, COLLAR, QUIET = 10, 2, 20
# An onset that is not noticed for so long counts with this.
MISSED_MS = 500
BINS = 200
# Talkers who are people rather than synthesisers.
PEOPLE = [talker.name for talker in talkers.TALKERS if talker.kind == "prompts"]
# Talkers of a kind that `fused` was neither trained with (other voices of espeak were) nor had its operating point chosen
# on; its development was watched on all of them.
UNTRAINED = [talker.name for talker in talkers.TALKERS if talker.kind != "espeak"]


def labels(clean):
    """For each frame whether it is speech, and whether it is judged."""
    speech = audio.frame_db(clean, RATE) > audio.active_db(clean, RATE) - BELOW_DB
    edges = np.flatnonzero(np.diff(speech.astype(int)))
    for end, begin in zip(edges[:-1], edges[1:]):
        if speech[end] and begin - end <= GAP:
            speech[end + 1 : begin + 1] = True
    judged = np.ones(len(speech), dtype=bool)
    for edge in np.flatnonzero(np.diff(speech.astype(int))):
        judged[max(0, edge + 1 - COLLAR) : edge + 1 + COLLAR] = False
    return speech, judged


def score(job):
    """One detector on one file: counts, onsets, and histograms of its confidence."""
    corpus, run, entry, given, engine, late = job
    speech, judged = labels(audio.read(os.path.join(corpus, entry["clean"])))
    name = os.path.splitext(entry["file"])[0] + ".f32"
    verdicts = np.fromfile(os.path.join(run, "vad", given, engine, name), dtype="<f4").reshape(-1, 2)
    # Behind a suppressor the sound is late, and the labels with it.
    shift = round(late["lanes", RATE] / (RATE / 100)) if given == "lanes" else 0
    verdicts = verdicts[shift:]
    length = min(len(speech), len(verdicts))
    speech, judged, verdicts = speech[:length], judged[:length], verdicts[:length]
    out = {"entry": entry, "input": given, "engine": engine}
    decided = verdicts[:, 0] > 0.5
    out["miss"] = int(np.sum(judged & speech & ~decided))
    out["false"] = int(np.sum(judged & ~speech & decided))
    out["onsets"], out["onsets_already_on"] = onsets(speech, decided)
    out["speech"] = int(np.sum(judged & speech))
    out["silence"] = int(np.sum(judged & ~speech))
    for kind, frames in (("speech", speech), ("silence", ~speech)):
        out[f"{kind}_confidence"] = np.histogram(verdicts[judged & frames, 1], BINS, (0, 1))[0]
    return out


def onsets(speech, decided):
    """Delays in milliseconds, and how many onsets found the detector already on, which says nothing of its delay."""
    found, already_on = [], 0
    for at in np.flatnonzero(np.diff(speech.astype(int)) == 1) + 1:
        if at < 100 or speech[max(0, at - QUIET) : at].any():
            continue
        if decided[max(0, at - 5) : at].any():
            already_on += 1
            continue
        noticed = np.flatnonzero(decided[at : at + MISSED_MS // 10])
        found.append(10.0 * (noticed[0] + 1) if len(noticed) else MISSED_MS)
    return found, already_on


def _conditions(scores):
    """Scores by (noise, SNR)."""
    groups = {}
    for s in scores:
        groups.setdefault((s["entry"]["noise"] or "clean", s["entry"]["snr"]), []).append(s)
    return groups


def error(scores):
    """Mean over the conditions of the half total error and of its two halves, in percent."""
    parts = []
    for found in _conditions(scores).values():
        miss = sum(s["miss"] for s in found) / max(sum(s["speech"] for s in found), 1)
        false = sum(s["false"] for s in found) / max(sum(s["silence"] for s in found), 1)
        parts.append([50 * (miss + false), 100 * miss, 100 * false])
    return np.mean(parts, axis=0)


def best_error(scores):
    """Half total error in percent at the one threshold that suits all conditions best: an engine's separation without
    the luck of its customary threshold. Chosen on this set, so a lower bound for every engine alike."""
    curves = []
    for found in _conditions(scores).values():
        below = {}
        for kind in ("speech", "silence"):
            counts = np.concatenate([[0], np.cumsum(sum(s[f"{kind}_confidence"] for s in found))])
            below[kind] = counts / max(counts[-1], 1)
        curves.append(50 * (below["speech"] + 1 - below["silence"]))
    return float(np.min(np.mean(curves, axis=0)))


def area(scores):
    """Mean over the conditions of the area under the curve of hits over false alarms."""
    areas = []
    for found in _conditions(scores).values():
        hits, falses = (
            np.concatenate([[0], np.cumsum(sum(s[f"{kind}_confidence"] for s in found)[::-1])])
            for kind in ("speech", "silence")
        )
        areas.append(np.trapezoid(hits / max(hits[-1], 1), falses / max(falses[-1], 1)))
    return float(np.mean(areas))


def _of(scores, given, engine):
    return [s for s in scores if s["input"] == given and s["engine"] == engine]


def rows(scores):
    """Rows of the result file; those behind the suppressor have it in their name."""
    out = []
    for given in INPUTS:
        for engine in ENGINES:
            found = _of(scores, given, engine)
            name = f"vad.{engine}" if given == "raw" else f"vad.{engine}.after_{given}"
            total, miss, false = error(found)
            out.append(row(f"{name}.half_total_error_percent", total, "%"))
            out.append(row(f"{name}.miss_percent", miss, "%"))
            out.append(row(f"{name}.false_alarm_percent", false, "%"))
            out.append(row(f"{name}.best_threshold_half_total_error_percent", best_error(found), "%"))
            noisy = [s for s in found if s["entry"]["noise"]]
            out.append(row(f"{name}.noisy_half_total_error_percent", error(noisy)[0], "%"))
            for group, members in (("people", PEOPLE), ("untrained", UNTRAINED)):
                of_group = [s for s in found if s["entry"]["talker"] in members]
                if of_group:
                    out.append(row(f"{name}.{group}_half_total_error_percent", error(of_group)[0], "%"))
            out.append(row(f"{name}.confidence_area", area(found), "AUC"))
            delays = [delay for s in found for delay in s["onsets"]]
            for suffix, value in (("", np.mean), ("_median", np.median), ("_p95", lambda d: np.percentile(d, 95))):
                out.append(row(f"{name}.onset{suffix}_ms", value(delays) if delays else MISSED_MS, "ms"))
            prompt = sum(delay <= 60 for delay in delays) / max(len(delays), 1)
            out.append(row(f"{name}.onsets_within_60_ms_percent", 100 * prompt, "%"))
            out.append(row(f"{name}.onsets_judged", len(delays), "onsets"))
            out.append(row(f"{name}.onsets_already_on", sum(s["onsets_already_on"] for s in found), "onsets"))
    return out


def tables(scores):
    """Half total error by condition."""
    head = ["noise", "SNR"] + [f"{engine}{'' if given == 'raw' else ' after ' + given}" for given in INPUTS for engine in ENGINES]
    lines = []
    for noise, snr in _conditions(scores):
        cells = []
        for given in INPUTS:
            for engine in ENGINES:
                found = [s for s in _of(scores, given, engine) if (s["entry"]["noise"] or "clean", s["entry"]["snr"]) == (noise, snr)]
                total, miss, false = error(found)
                cells.append(f"{total:.1f} ({miss:.0f} + {false:.0f})")
        lines.append([noise, "" if snr is None else f"{snr} dB", *cells])
    return [("Voice activity, half total error in % (missed speech + false alarms)", head, lines)]


def plot(scores, axes):
    """Error by condition, and onsets."""
    conditions = list(_conditions(scores))
    for index, engine in enumerate(ENGINES):
        found = _of(scores, "raw", engine)
        values = [error(part)[0] for part in (_conditions(found)[c] for c in conditions)]
        axes[0].bar(np.arange(len(conditions)) + (index - 1.5) * 0.2, values, 0.19, label=engine)
        delays = np.sort([delay for s in found for delay in s["onsets"]])
        if len(delays):
            axes[1].plot(delays, np.arange(1, len(delays) + 1) / len(delays) * 100, label=engine)
    names = [noise if snr is None else f"{noise} {snr}" for noise, snr in conditions]
    axes[0].set_xticks(np.arange(len(conditions)), names, rotation=60, ha="right", fontsize=7)
    axes[0].set_ylabel("half total error, %")
    axes[0].legend()
    axes[1].set_xlabel("onset noticed after, ms")
    axes[1].set_ylabel("% of onsets")
    axes[1].legend()
