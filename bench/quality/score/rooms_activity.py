"""Voice activity in real rooms: half total error, how late, and how often in noise alone, beside silero's own model run by
onnxruntime.

Labels are not those of the other set, nor of the training: a frame of 10 ms is speech when the person alone is within
25 dB of the active level in it; gaps of up to 60 ms inside speech are speech; 20 ms on both sides of every border are
not judged. A false start in noise is speech of at least 100 ms after 300 ms without any."""

import glob
import json
import os
import time

import numpy as np
import onnxruntime

import audio
from activity import onsets
from measures import row

RATE = 8000
ENGINES = ["webrtc", "earshot", "fused", "silero"]
REFERENCE = "silero_onnx"
BELOW_DB, GAP, COLLAR = 25, 6, 2
QUIET, LONG = 30, 10
MODEL = "registry/src/*/silero-vad-rust-*/src/silero_vad/data/silero_vad.onnx"


def load(folder):
    with open(os.path.join(folder, "rooms.json")) as file:
        return json.load(file)


def labels(clean):
    """For each frame whether it is speech, and whether it is judged."""
    speech = audio.frame_db(clean, RATE) > audio.SPEECH_DBFS - BELOW_DB
    edges = np.flatnonzero(np.diff(speech.astype(int)))
    for end, begin in zip(edges[:-1], edges[1:]):
        if speech[end] and begin - end <= GAP:
            speech[end + 1 : begin + 1] = True
    judged = np.ones(len(speech), dtype=bool)
    for edge in np.flatnonzero(np.diff(speech.astype(int))):
        judged[max(0, edge + 1 - COLLAR) : edge + 1 + COLLAR] = False
    return speech, judged


def reference(sound, session):
    """What the published model says of every 10 ms: speech from 0.5 on, until 0.35, as its authors use it."""
    size, context, state = 256, np.zeros(32, np.float32), np.zeros((2, 1, 128), np.float32)
    rate, found = np.array(RATE, np.int64), []
    for at in range(0, len(sound) - size + 1, size):
        piece = np.concatenate([context, sound[at : at + size].astype(np.float32)])
        out, state = session.run(None, {"input": piece[None], "state": state, "sr": rate})
        found.append(float(out[0, 0]))
        context = piece[-32:]
    frames = len(sound) // 80
    # Known once its last sample is there.
    known = [(n + 1) * 80 // size - 1 for n in range(frames)]
    confidence = np.array([found[n] if n >= 0 else 0.0 for n in known])
    speech, on = np.zeros(frames), False
    for n, value in enumerate(confidence):
        on = value >= (0.35 if on else 0.5)
        speech[n] = on
    return np.stack([speech, confidence], axis=1)


def judge(folder, run, entries):
    """Verdicts of every detector on every file, and what the reference took for 20 ms, in microseconds."""
    home = os.environ.get("CARGO_HOME", os.path.join(os.environ["HOME"], ".cargo"))
    models = sorted(glob.glob(os.path.join(home, MODEL)))
    if not models:
        raise RuntimeError("silero's model is not in cargo's registry: run `cargo fetch --locked`")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(models[-1], options)
    out, took, frames = [], 0.0, 0
    for entry in entries:
        sound = audio.read(os.path.join(folder, entry["file"]))
        clean = audio.read(os.path.join(folder, entry["clean"])) if entry["clean"] else None
        begun = time.process_time()
        verdicts = {REFERENCE: reference(sound, session)}
        took, frames = took + time.process_time() - begun, frames + len(sound) // (RATE // 50)
        for engine in ENGINES:
            file = os.path.join(run, "rooms", engine, os.path.splitext(entry["file"])[0] + ".f32")
            verdicts[engine] = np.fromfile(file, dtype="<f4").reshape(-1, 2)
        out.append({"entry": entry, "labels": labels(clean) if clean is not None else None, "verdicts": verdicts})
    return out, 1e6 * took / frames


def starts(speech):
    """How often speech of at least 100 ms begins after 300 ms without any."""
    count, quiet, run = 0, QUIET, 0
    for frame in speech > 0.5:
        if frame:
            run += 1
            count += run == LONG and quiet >= QUIET
        else:
            quiet = quiet + 1 if run == 0 else 1
            run = 0
    return count


def error(judged, engine):
    """Half total error and its halves in percent, over everybody, each file alike."""
    miss, false = [], []
    for one in judged:
        speech, counts = one["labels"]
        decided = one["verdicts"][engine][: len(speech), 0] > 0.5
        speech, counts = speech[: len(decided)], counts[: len(decided)]
        miss.append(np.sum(counts & speech & ~decided) / max(np.sum(counts & speech), 1))
        false.append(np.sum(counts & ~speech & decided) / max(np.sum(counts & ~speech), 1))
    return 50 * (np.mean(miss) + np.mean(false)), 100 * np.mean(miss), 100 * np.mean(false)


def rows(judged, ours_us, reference_us):
    """Rows of the result file."""
    people = [one for one in judged if one["labels"]]
    out = []
    for engine in [*ENGINES, REFERENCE]:
        total, miss, false = error(people, engine)
        out.append(row(f"vad.{engine}.rooms.half_total_error_percent", total, "%"))
        out.append(row(f"vad.{engine}.rooms.miss_percent", miss, "%"))
        out.append(row(f"vad.{engine}.rooms.false_alarm_percent", false, "%"))
        for one in judged:
            if one["labels"] is None:
                speech = one["verdicts"][engine][:, 0]
                kind = one["entry"]["kind"]
                rate = 6000 * starts(speech) / len(speech)
                out.append(row(f"vad.{engine}.false_starts_per_minute.{kind}", rate, "1/min"))
        delays = []
        for one in people:
            speech, _ = one["labels"]
            delays += onsets(speech, one["verdicts"][engine][: len(speech), 0] > 0.5)[0]
        for share in (50, 90):
            out.append(row(f"vad.{engine}.onset_ms_p{share}", np.percentile(delays, share), "ms"))
    differences = [
        np.max(np.abs(one["verdicts"]["silero"][:n, 1] - one["verdicts"][REFERENCE][:n, 1]))
        for one in judged
        for n in [min(len(one["verdicts"]["silero"]), len(one["verdicts"][REFERENCE]))]
    ]
    out.append(row("vad.silero.us_per_frame", ours_us, "us", reference_us))
    out.append(row("vad.silero.largest_difference_from_onnxruntime", np.max(differences), ""))
    return out


def tables(judged, interrupted):
    """False starts by kind of noise, of every detector and of the chain."""
    head = ["in noise alone, a minute", *ENGINES, REFERENCE, "interruptions", "suspicions"]
    chain = {one["entry"]["kind"]: one for one in interrupted if one["entry"]["person"] is None}
    lines = []
    for one in judged:
        if one["labels"] is None:
            kind = one["entry"]["kind"]
            verdicts = [one["verdicts"][engine][:, 0] for engine in [*ENGINES, REFERENCE]]
            cells = [f"{6000 * starts(speech) / len(speech):.1f}" for speech in verdicts]
            whole = chain[kind]
            cells += [f"{60 * whole[what] / whole['seconds']:.1f}" for what in ("false", "suspected")]
            lines.append([kind, *cells])
    return [("False starts in real rooms", head, lines)]
