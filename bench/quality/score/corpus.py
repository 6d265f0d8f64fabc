"""Makes the evaluation set: `corpus.py FOLDER [--g722 PROGRAM]`.

Every file is 16-bit mono. `manifest.json` lists them: `{file, rate, talker, noise, snr, clean}`, where `clean` is the
same speech without noise, of the same length; a clean file has neither noise nor SNR."""

import argparse
import json
import multiprocessing
import os

import audio
import noises
import talkers

VERSION = 1
SECONDS = 24
SNRS = [0, 5, 10]
# At 16 kHz a few talkers and one SNR are enough to see whether a native rate holds what it promises.
WIDE = ["en-allison", "ru-ivr", "flite-slt", "flite-rms", "it-carlo", "espeak-gb"]
WIDE_SNRS = [5]


def make(job):
    """One talker at one rate, with every noise."""
    folder, talker, rate, snrs, g722 = job
    kilo = f"{rate // 1000}k"
    clean = talkers.stream(talker, rate, SECONDS, "clean", g722)
    clean_file = f"{kilo}/{talker.name}.wav"
    audio.write(os.path.join(folder, clean_file), clean, rate)
    level = audio.active_db(clean, rate)
    entries = [{"file": clean_file, "rate": rate, "talker": talker.name, "noise": None, "snr": None, "clean": clean_file}]
    for name in noises.NOISES:
        sound = noises.noise(name, talker, rate, SECONDS, g722)
        for snr in snrs:
            file = f"{kilo}/{talker.name}-{name}-{snr}.wav"
            audio.write(os.path.join(folder, file), clean + sound * 10 ** ((level - snr) / 20), rate)
            entry = {"file": file, "rate": rate, "talker": talker.name, "noise": name, "snr": snr, "clean": clean_file}
            entries.append(entry)
    return entries


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder")
    arguments.add_argument("--g722")
    arguments = arguments.parse_args()
    for kilo in ("8k", "16k"):
        os.makedirs(os.path.join(arguments.folder, kilo), exist_ok=True)
    jobs = [(arguments.folder, talker, 8000, SNRS, arguments.g722) for talker in talkers.TALKERS]
    for talker in talkers.TALKERS:
        if talker.name in WIDE and (arguments.g722 or talker.kind != "prompts"):
            jobs.append((arguments.folder, talker, 16000, WIDE_SNRS, arguments.g722))
    manifest = []
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for done, entries in enumerate(pool.imap(make, jobs), 1):
            manifest += entries
            print(f"  speech and noise {done}/{len(jobs)}", flush=True)
    with open(os.path.join(arguments.folder, "manifest.json"), "w") as file:
        json.dump(manifest, file, indent=1)


if __name__ == "__main__":
    main()
