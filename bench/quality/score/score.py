"""Judges what the engines made: `score.py CORPUS ROOMS RUN MODELS SCORES RESULTS`.

SCORES is a JSON array of `{name, value, unit, baseline}`; RESULTS is a folder that gets `quality.md` and the plots."""

import json
import multiprocessing
import os
import sys

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import activity
import holding
import interruption
import opinions
import playout
import recognition
import rooms_activity
import suppression


def spread(pool, what, work, jobs):
    """Does all jobs on all cores, saying now and then how far it is."""
    out = []
    for result in pool.imap(work, jobs, chunksize=2):
        out.append(result)
        if len(out) == len(jobs) or len(out) % max(1, len(jobs) // 5) == 0:
            print(f"  {what} {len(out)}/{len(jobs)}", flush=True)
    return out


def main():
    corpus, rooms_folder, run, models, scores_file, results = sys.argv[1:]
    with open(os.path.join(run, "manifest.json")) as file:
        manifest = json.load(file)
    with open(os.path.join(run, "documented.json")) as file:
        documented = json.load(file)
    narrow = [entry for entry in manifest if entry["rate"] == 8000]
    talkers = list(dict.fromkeys(entry["talker"] for entry in narrow))
    late = suppression.delays(corpus, run, manifest)
    for (engine, rate), lag in late.items():
        said = documented["noise_delay_us"][f"{engine} {rate}"] / 1e6 * rate
        if abs(said - lag) > rate * 0.001:
            print(f"warning: {engine} documents {said:.1f} samples of delay at {rate} Hz; {lag} were measured")

    with multiprocessing.Pool(os.cpu_count()) as pool:
        cleaned = spread(pool, "noise suppression scored", suppression.score, [(corpus, run, e, late) for e in manifest])
        jobs = [(corpus, run, e, i, d, late) for e in narrow for i in activity.INPUTS for d in activity.ENGINES]
        detected = spread(pool, "voice activity scored", activity.score, jobs)
        jobs = [(corpus, run, t, p, s, m) for t in talkers for p in playout.PERCENTS for s in "ab" for m in playout.METHODS]
        concealed = spread(pool, "concealment scored", playout.score_concealment, jobs)
        names = [name for name in os.listdir(os.path.join(run, "jitter")) if "." not in name]
        jobs = [(corpus, run, talker, name) for talker in talkers for name in names]
        played = spread(pool, "networks scored", playout.score_network, jobs)
        with open(os.path.join(rooms_folder, "sentences.json")) as file:
            said = json.load(file)
        understood = spread(pool, "feeds understood", recognition.transcribe, recognition.jobs(models, run, said))
        thought = spread(pool, "opinions", opinions.score, opinions.jobs(models, corpus, run, narrow))

    entered = rooms_activity.load(rooms_folder)
    interrupted = [interruption.judge(entry, interruption.events(run, entry)) for entry in entered]
    rooms, reference_us = rooms_activity.judge(rooms_folder, run, entered)
    published = [one["verdicts"][rooms_activity.REFERENCE][:, 0] for one in rooms]
    published = [interruption.judge(entry, interruption.reference(speech)) for entry, speech in zip(entered, published)]
    networks = playout.networks(run, played)
    rows = suppression.rows(cleaned, late, documented) + activity.rows(detected)
    rows += rooms_activity.rows(rooms, documented["silero_us"], reference_us)
    rows += interruption.rows(interrupted, published)
    feeds = recognition.judge(understood)
    rows += recognition.rows(feeds) + opinions.rows(thought) + holding.rows(rooms_folder, run)
    rows += playout.concealment_rows(concealed) + playout.network_rows(networks)
    unfinished = [r["name"] for r in rows if not np.isfinite(r["value"])]
    if unfinished:
        sys.exit(f"no figure for {', '.join(unfinished)}")
    with open(scores_file, "w") as file:
        json.dump(rows, file, indent=1)
    tables = suppression.tables(cleaned) + recognition.tables(feeds) + activity.tables(detected)
    tables += rooms_activity.tables(rooms, interrupted) + playout.tables(concealed, networks)
    report(os.path.join(results, "quality.md"), rows, tables)
    plots(results, cleaned, detected, concealed, networks)


def report(path, rows, tables):
    """The tables for reading."""
    text = ["# Sound quality", "", "Made by `cargo xtask bench quality`. Confidence intervals are over talkers.", ""]
    for title, head, lines in tables:
        text += [f"## {title}", "", _line(head), _line(["---"] * len(head)), *map(_line, lines), ""]
    text += ["## All figures", "", _line(["name", "value", "unit", "baseline"]), _line(["---"] * 4)]
    for row in rows:
        text.append(_line([row["name"], f"{row['value']:.3f}", row["unit"], "" if row["baseline"] is None else f"{row['baseline']:.3f}"]))
    with open(path, "w") as file:
        file.write("\n".join(text) + "\n")


def _line(cells):
    return "| " + " | ".join(cells) + " |"


def plots(folder, cleaned, detected, concealed, networks):
    """The plots."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4))
    suppression.plot(cleaned, axes)
    _save(figure, folder, "suppression.png")
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), width_ratios=(2, 1))
    activity.plot(detected, axes)
    _save(figure, folder, "activity.png")
    figure, axis = plt.subplots(figsize=(6, 4))
    playout.plot_concealment(concealed, axis)
    _save(figure, folder, "concealment.png")
    figure, axes = plt.subplots(2, 4, figsize=(14, 6))
    playout.plot_networks(networks, axes.flat)
    axes.flat[-1].set_visible(False)
    _save(figure, folder, "networks.png")


def _save(figure, folder, name):
    figure.tight_layout()
    figure.savefig(os.path.join(folder, name), dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
