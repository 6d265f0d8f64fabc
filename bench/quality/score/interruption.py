"""Interruptions in real rooms: what the chain as it ships makes of callers and of what is around them, while the agent
speaks without a pause.

An interruption is caught when it is confirmed between the first sound of what was said and half a second after its end;
how late is measured from that first sound. One that is confirmed at any other time is a false start. `duck` is the
moment the agent is turned down. Beside the chain stands whom silero's own model, run by onnxruntime, would have let
interrupt: 100 ms of its speech, and the same second of silence after each cut."""

import os

import numpy as np

from measures import row

FRAME_S = 0.02
SUSPECTED, CONFIRMED, DISMISSED = 1, 2, 4
AFTER_S = 0.5
# Of the reference, in frames of 10 ms: speech that is enough, and silence after it.
NEEDED, AGAIN = 10, 100
# A voice is a voice: these kinds are reported apart.
VOICES = ("babble", "children")


def events(run, entry):
    """Frames of each event, one byte a frame."""
    name = os.path.splitext(entry["file"])[0] + ".events"
    return np.fromfile(os.path.join(run, "rooms", name), dtype=np.uint8)


def reference(speech):
    """The same events as the published model's verdicts, one every 10 ms, would have made them."""
    found, lasted, silent = np.zeros(len(speech) // 2, dtype=np.uint8), 0, 0
    for n, frame in enumerate(speech[: 2 * len(found)] > 0.5):
        lasted = lasted + 1 if frame and not silent else 0
        silent = max(0, silent - 1)
        if lasted == NEEDED:
            found[n // 2], silent = CONFIRMED, AGAIN
    return found


def judge(entry, found):
    """What became of each thing that was said, and what was confirmed besides."""
    confirmed = (np.flatnonzero(found & CONFIRMED) + 1) * FRAME_S
    changes = np.flatnonzero(found & (SUSPECTED | CONFIRMED | DISMISSED))
    down, since = [], None
    for frame in changes:
        if found[frame] & (SUSPECTED | CONFIRMED) and since is None:
            since = (frame + 1) * FRAME_S
        if found[frame] & (CONFIRMED | DISMISSED):
            down.append((since, (frame + 1) * FRAME_S if found[frame] & DISMISSED else np.inf))
            since = None
    cuts, ducks, used = [], [], set()
    for begin, end in entry["spoken"]:
        hits = [n for n, at in enumerate(confirmed) if begin <= at <= end + AFTER_S]
        used.update(hits)
        if not hits:
            cuts.append(None)
            continue
        cuts.append(1000 * (confirmed[hits[0]] - begin))
        before = [start for start, over in down if start is not None and start <= confirmed[hits[0]] < over + 1e-6]
        ducks.append(max(0.0, 1000 * (max(before) - begin)) if before else cuts[-1])
    false = len(confirmed) - len(used)
    return {"entry": entry, "cuts": cuts, "ducks": ducks, "false": false, "seconds": len(found) * FRAME_S,
            "suspected": int(np.sum(found & SUSPECTED > 0))}


def rows(judged, published):
    """Rows of the result file, beside what the published model would have done."""
    out = []
    worst = 0.0
    alone = [(one, theirs) for one, theirs in zip(judged, published) if one["entry"]["person"] is None]
    for one, theirs in alone:
        kind = one["entry"]["kind"]
        rate, silero = (60 * what["false"] / what["seconds"] for what in (one, theirs))
        out.append(row(f"interruption.false_starts_per_minute.{kind}", rate, "1/min", silero))
        out.append(row(f"interruption.suspicions_per_minute.{kind}", 60 * one["suspected"] / one["seconds"], "1/min"))
        if kind not in VOICES:
            worst = max(worst, rate)
    out.append(row("interruption.false_starts_per_minute.worst", worst, "1/min"))
    people = lambda found, kind=None: [one for one in found if one["entry"]["person"] and kind in (None, one["entry"]["kind"])]
    for name, group in (("", people(judged)), ("quiet.", people(judged, "quiet")), ("silero_onnx.", people(published))):
        cuts = [cut for one in group for cut in one["cuts"]]
        caught = [cut for cut in cuts if cut is not None]
        ducks = [duck for one in group for duck in one["ducks"]]
        out.append(row(f"interruption.{name}caught_percent", 100 * len(caught) / max(len(cuts), 1), "%"))
        for share in (50, 90):
            if group[0] not in published:
                out.append(row(f"interruption.{name}duck_ms_p{share}", np.percentile(ducks, share), "ms"))
            out.append(row(f"interruption.{name}cut_ms_p{share}", np.percentile(caught, share), "ms"))
    behind = people(judged)
    rate = 60 * sum(one["false"] for one in behind) / sum(one["seconds"] for one in behind)
    out.append(row("interruption.false_starts_per_minute.behind_people", rate, "1/min"))
    return out
