"""Concealment and the jitter buffer: PESQ, delay, and the fixed buffer that would conceal as little.

Added delay is how much later sound is played than the fastest packet of its call could have brought it. The fixed
buffer of the comparison is the one that would stand in the same place: its delay counts from the first packet that
comes, it is pulled at the same moments as ours, and a packet that is not there when its turn comes is concealed. An
ideal one, which knows the fastest packet beforehand and plays at any moment, is shown beside it."""

import json
import os

import numpy as np

import audio
from measures import WINDOWS, by_talker, lag, mean_and_ci, pesq_of, row

METHODS = ["ours", "spandsp", "zero"]
PERCENTS = [1, 3, 5, 10]
RATE = 8000
FIXED_MS = range(20, 201)


def score_concealment(job):
    """One method on one talker's losses."""
    corpus, run, talker, percent, seed, method = job
    clean = audio.read(os.path.join(corpus, "8k", f"{talker}.wav"))
    sound = audio.read(os.path.join(run, "plc", method, f"{talker}-{percent}-{seed}.wav"))
    score, late = windows(clean, sound, WINDOWS)
    return {"talker": talker, "percent": percent, "method": method, "seed": seed, "pesq": score, "late": late}


def score_network(job):
    """One talker over one network; the stream was played twice in a row."""
    corpus, run, talker, network = job
    clean = audio.read(os.path.join(corpus, "8k", f"{talker}.wav"))
    seconds = len(clean) / RATE
    twice = WINDOWS + tuple((begin + seconds, end + seconds) for begin, end in WINDOWS)
    sound = audio.read(os.path.join(run, "jitter", network, f"{talker}.wav"))
    return {"talker": talker, "network": network, "pesq": windows(np.tile(clean, 2), sound, twice)[0]}


def windows(clean, sound, cuts):
    """Mean PESQ of the windows and mean delay in ms, each aligned by itself: a buffer may change its delay between."""
    found, lags = [], []
    for begin, end in cuts:
        a, b = int(begin * RATE), int(end * RATE)
        late = lag(clean[a:b], sound[a:], RATE, 400)
        lags.append(late * 1000 / RATE)
        part = sound[a + late : b + late]
        found.append(pesq_of(clean[a : a + len(part)], part, RATE))
    return float(np.mean(found)), float(np.mean(lags))


def concealment_rows(scores):
    """Rows of the result file."""
    out = []
    for percent in PERCENTS:
        for method in METHODS:
            values = [s["pesq"] for s in scores if s["percent"] == percent and s["method"] == method]
            out.append(row(f"plc.loss{percent}.{method}.pesq", np.mean(values), "MOS"))
        delay = np.mean([s["late"] for s in scores if s["percent"] == percent and s["method"] == "ours"])
        out.append(row(f"plc.loss{percent}.added_delay_ms", delay, "ms"))
        mean, ci = mean_and_ci(by_talker(_gains(scores, percent)))
        out.append(row(f"plc.loss{percent}.pesq_minus_spandsp", mean, "MOS"))
        out.append(row(f"plc.loss{percent}.pesq_minus_spandsp_ci95", ci, "MOS"))
    return out


def _gains(scores, percent):
    found = {(s["method"], s["talker"], s["seed"]): s["pesq"] for s in scores if s["percent"] == percent}
    return [(talker, value - found["spandsp", talker, seed]) for (method, talker, seed), value in found.items() if method == "ours"]


def networks(run, scores):
    """What the runs over each network come to."""
    with open(os.path.join(run, "jitter", "runs.json")) as file:
        runs = json.load(file)
    out = {}
    for name in dict.fromkeys(one["network"] for one in runs):
        ours = [one for one in runs if one["network"] == name]
        packets = sum(len(one["jitter_ms"]) for one in ours)
        came = np.array([value for one in ours for value in one["jitter_ms"] if value is not None])
        added = np.concatenate([one["added_delay_ms"] for one in ours])
        concealed = 100 * sum(one["concealed_samples"] for one in ours) / sum(one["samples"] for one in ours)
        fixed = [fixed_buffer(ours, delay) for delay in FIXED_MS]
        ideal = [fixed_buffer(ours, delay, ideal=True) for delay in FIXED_MS]
        same_delay = [share for delay, share in fixed if delay <= np.mean(added)]
        out[name] = {
            "added": float(np.mean(added)),
            "added_p95": float(np.percentile(added, 95)),
            "concealed": concealed,
            "lost": 100 * (packets - len(came)) / packets,
            "late": 100 * sum(one["late_packets"] for one in ours) / sum(one["packets"] for one in ours),
            "pesq": float(np.mean([s["pesq"] for s in scores if s["network"] == name])),
            "fixed": least_delay(fixed, concealed),
            "ideal_fixed": least_delay(ideal, concealed),
            # What the fixed buffer conceals that adds as much delay as ours; the smallest one when ours adds less.
            "fixed_concealed": same_delay[-1] if same_delay else fixed[0][1],
            "curve": fixed,
            "jitter_p95": float(np.percentile(came, 95)),
        }
    return out


def fixed_buffer(runs, delay, ideal=False):
    """Mean added delay in ms and concealed packets in percent of a fixed buffer of `delay` ms over some runs."""
    added, concealed, packets = [], 0, 0
    for one in runs:
        plays_after = delay
        if not ideal:
            ticks = np.ceil((one["first_arrival_ms"] + delay - one["phase_ms"]) / 20)
            plays_after = one["phase_ms"] + ticks * 20 - one["first_sent_ms"] - one["fastest_ms"]
        added.append(plays_after)
        concealed += sum(value is None or value > plays_after for value in one["jitter_ms"])
        packets += len(one["jitter_ms"])
    return float(np.mean(added)), 100 * concealed / packets


def least_delay(fixed, concealed):
    """The added delay of the first of some fixed buffers that conceals no more than `concealed` percent."""
    # No delay brings back what was lost: a rounding error less than that is not asked of the fixed buffer.
    wanted = max(concealed, fixed[-1][1])
    return next(delay for delay, share in fixed if share <= wanted)


def network_rows(found):
    """Rows of the result file."""
    out = []
    for name, of in found.items():
        out += [
            row(f"jitter.{name}.added_delay_ms", of["added"], "ms", of["fixed"]),
            row(f"jitter.{name}.added_delay_p95_ms", of["added_p95"], "ms"),
            row(f"jitter.{name}.fixed_delay_ms", of["fixed"], "ms"),
            row(f"jitter.{name}.ideal_fixed_delay_ms", of["ideal_fixed"], "ms"),
            row(f"jitter.{name}.concealed_percent", of["concealed"], "%"),
            row(f"jitter.{name}.lost_percent", of["lost"], "%"),
            row(f"jitter.{name}.late_percent", of["late"], "%"),
            row(f"jitter.{name}.fixed_concealed_at_same_delay_percent", of["fixed_concealed"], "%"),
            row(f"jitter.{name}.pesq", of["pesq"], "MOS"),
        ]
    return out


def tables(concealment, found):
    """Tables for the report."""
    lines = []
    for percent in PERCENTS:
        cells = [np.mean([s["pesq"] for s in concealment if s["percent"] == percent and s["method"] == m]) for m in METHODS]
        mean, ci = mean_and_ci(by_talker(_gains(concealment, percent)))
        lines.append([f"{percent} %", *[f"{cell:.2f}" for cell in cells], f"{mean:+.2f} +- {ci:.2f}"])
    head = ["loss", *METHODS, "ours - spandsp"]
    out = [("Concealment, G.711 in packets of 20 ms, PESQ narrow band", head, lines)]
    head = ["network", "added delay, mean", "p95", "fixed buffer that conceals no more", "concealed", "lost on the way", "late", "PESQ"]
    lines = [
        [
            name,
            f"{of['added']:.0f} ms",
            f"{of['added_p95']:.0f} ms",
            f"{of['fixed']:.0f} ms (an ideal one: {of['ideal_fixed']:.0f} ms)",
            f"{of['concealed']:.2f} %",
            f"{of['lost']:.2f} %",
            f"{of['late']:.2f} %",
            f"{of['pesq']:.2f}",
        ]
        for name, of in found.items()
    ]
    out.append(("Jitter buffer", head, lines))
    return out


def plot_concealment(scores, axis):
    """PESQ over loss."""
    for method in METHODS:
        stats = [
            mean_and_ci(by_talker([(s["talker"], s["pesq"]) for s in scores if s["percent"] == p and s["method"] == method]))
            for p in PERCENTS
        ]
        axis.errorbar(PERCENTS, [mean for mean, _ in stats], [ci for _, ci in stats], marker="o", capsize=3, label=method)
    axis.set_xlabel("packets lost in bursts, %")
    axis.set_ylabel("PESQ-NB")
    axis.legend()


def plot_networks(found, axes):
    """For each network what a fixed buffer conceals at each delay, and where ours stands."""
    for axis, (name, of) in zip(axes, found.items()):
        axis.plot(*zip(*of["curve"]), label="fixed")
        axis.plot([of["added"]], [of["concealed"]], "o", label="ours")
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("added delay, ms", fontsize=8)
        axis.set_ylabel("concealed, %", fontsize=8)
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=7)
