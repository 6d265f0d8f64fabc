"""What a recogniser with an open vocabulary understands of each feed: Moonshine base by onnxruntime."""

import json
import os
import re

import numpy as np
from scipy.signal import resample_poly

import audio
from measures import row
from sentences import DIGITS

FEEDS = ["heard", "gated", "cleaned"]
# What is handed over before the first word and after the last, as a detector with run-up and hang-over does.
BEFORE, AFTER = 0.3, 0.4
LAYERS, HEADS, WIDTH = 8, 8, 52
BEGIN, END = 1, 2
TOKENS_A_SECOND = 6.5

_model = None


class Moonshine:
    """The encoder, the decoder and the words of the tokens, from `folder`."""

    def __init__(self, folder):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        open_model = lambda name: onnxruntime.InferenceSession(os.path.join(folder, name), options)
        self.encoder, self.decoder = open_model("encoder_model.onnx"), open_model("decoder_model_merged.onnx")
        with open(os.path.join(folder, "tokenizer.json")) as file:
            self.words = {number: text for text, number in json.load(file)["model"]["vocab"].items()}
        self.takes = {value.name for value in self.decoder.get_inputs()}

    def understands(self, sound):
        """The text of sound at 16 kHz."""
        sound = sound.astype(np.float32)[None]
        heard = self.encoder.run(None, {"input_values": sound})[0]
        names = [f"past_key_values.{n}.{a}.{b}" for n in range(LAYERS) for a in ("decoder", "encoder") for b in ("key", "value")]
        past = {name: np.zeros((0, HEADS, 1, WIDTH), np.float32) for name in names}
        tokens, token = [], BEGIN
        for step in range(int(sound.shape[1] / 16000 * TOKENS_A_SECOND) + 8):
            given = {"input_ids": np.array([[token]], np.int64), "encoder_hidden_states": heard, "use_cache_branch": np.array([step > 0])}
            if "encoder_attention_mask" in self.takes:
                given["encoder_attention_mask"] = np.ones_like(sound, dtype=np.int64)
            logits, *present = self.decoder.run(None, given | past)
            token = int(logits[0, -1].argmax())
            if token == END:
                break
            tokens.append(token)
            # What the encoder gives is computed once.
            past |= {name: value for name, value in zip(names, present) if step == 0 or ".decoder." in name}
        return self.text(tokens)

    def text(self, tokens):
        """Pieces as text: letters as they are, other bytes by number (`<0xE2>`)."""
        out = b""
        for token in tokens:
            piece = self.words.get(token, "")
            byte = re.fullmatch(r"<0x([0-9A-F]{2})>", piece)
            out += bytes([int(byte[1], 16)]) if byte else piece.replace("\u2581", " ").encode()
        return out.decode(errors="replace").strip()


def transcribe(job):
    """One file of one feed."""
    global _model
    folder, run, entry, feed = job
    _model = _model or Moonshine(folder)
    sound = audio.read(os.path.join(run, "feeds", feed, os.path.basename(entry["file"])))
    cut = sound[int((entry["from"] - BEFORE) * 8000) : int((entry["to"] + AFTER) * 8000)]
    return {"entry": entry, "feed": feed, "text": _model.understands(resample_poly(cut, 2, 1))}


def jobs(folder, run, entries):
    """What is to be transcribed; heard and gated are the same where no agent speaks."""
    return [(folder, run, entry, feed) for entry in entries for feed in FEEDS if feed != "gated" or entry["agent_until"] > 0]


def words(text):
    """Text as words that can be compared: numbers digit by digit, without marks."""
    text = re.sub(r"[0-9]", lambda digit: f" {DIGITS[int(digit[0])]} ", text.lower())
    return re.sub(r"[^a-z' ]", " ", text.replace("\u2019", "'").replace("-", " ")).split()


def errors(said, understood):
    """Words that are wrong, missing or too many."""
    row = np.arange(len(understood) + 1)
    for number, word in enumerate(said, 1):
        before, row[0] = row.copy(), number
        for place, other in enumerate(understood, 1):
            row[place] = min(before[place] + 1, row[place - 1] + 1, before[place - 1] + (word != other))
    return int(row[-1])


def judge(transcripts):
    """Errors and words of every feed and condition, and of all conditions together."""
    number = lambda transcript: os.path.basename(transcript["entry"]["file"])[:2]
    in_quiet = [t for t in transcripts if t["entry"]["condition"] == "quiet" and t["feed"] == "heard"]
    understood = {number(t): t["text"] for t in in_quiet}
    found = {}
    for transcript in transcripts:
        entry, feed = transcript["entry"], transcript["feed"]
        if entry["words"] is None and entry["condition"] == "quiet":
            continue
        said = words(entry["words"] or understood[number(transcript)])
        wrong = errors(said, words(transcript["text"]))
        alike = feed == "heard" and not entry["agent_until"]
        for feed in [feed, "gated"] if alike else [feed]:
            for condition in (entry["condition"], "all"):
                total = found.setdefault((feed, condition), [0, 0])
                total[0] += wrong
                total[1] += len(said)
    return found


def rows(found):
    """Rows for the result file."""
    out = []
    for (feed, condition), (wrong, total) in found.items():
        name = f"asr.{feed}.word_error_percent" if condition == "all" else f"asr.{feed}.{condition.replace(' ', '_')}.word_error_percent"
        out.append(row(name, 100 * wrong / total, "%"))
    return sorted(out, key=lambda one: one["name"])


def tables(found):
    """A table for the report."""
    conditions = list(dict.fromkeys(condition for _, condition in found))
    lines = [[condition, *(f"{100 * found[feed, condition][0] / found[feed, condition][1]:.1f}" for feed in FEEDS)] for condition in conditions]
    return [("Words that a recogniser gets wrong, by feed, in percent", ["condition", *FEEDS], lines)]
