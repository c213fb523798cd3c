#!/usr/bin/env python3
"""Golden files for the tokenizer: what the `tokenizers` library does with our tokenizer.json files.

For developers:  pip install tokenizers==0.23.3
                 python3.11 tests/golden/make_tokenizer_golden.py --model .deps/model/smollm2-135m-instruct

Writes into tests/golden/tokenizer/:
  small_digits.json, small_split.json   two small tokenizers, trained here on the text in
                                        tokenizer_strings.py (SmolLM-like and Llama-3-like)
  *.jsonl     one case a line: {"t": text | "b": hex bytes, "i": ids, "d": decoded (if not t)};
              the first line names the tokenizer's file
  variants.json     the same for other pre-tokenizers on small_split's vocabulary
  code_points.json  a hash of the ids of every code point in context, per block of 4,096
"""
import argparse
import json
import pathlib
import warnings

import tokenizers
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors,
                        trainers)

import tokenizer_strings as strings

FOLDER = pathlib.Path(__file__).resolve().parent / "tokenizer"
LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
                  r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K_PATTERN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
                 r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
                 r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|"
                 r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# As in SmolLM2: bytes without a token, silently dropped.
DROPPED = [*range(0x00, 0x08), 0x0E, 0x0F, 0x13, 0x16, 0x1A, 0x7F, 0xC0, 0xC1, 0xF1, 0xF2, 0xF5, 0xFE, 0xFF]


def byte_symbols():
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in own]
    return {**{b: chr(b) for b in own}, **{b: chr(0x100 + i) for i, b in enumerate(rest)}}


def train(pre_tokenizer, alphabet, added_first, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=added_first, show_progress=False,
                                  initial_alphabet=sorted(alphabet), limit_alphabet=len(alphabet))
    corpus = [strings.PROSE, *strings.CODE, *strings.CONTRACTIONS, "  " * 40, "\n\n\n\n", "1234567890"]
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def make_small_digits():
    """SmolLM-like: Digits + ByteLevel, special tokens first, merges as "a b", bytes missing."""
    symbols = {s for b, s in byte_symbols().items() if b not in DROPPED}
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer = train(pre, symbols, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], 700)
    frame = json.loads(tokenizer.to_str())
    frame["model"]["merges"] = [" ".join(pair) for pair in frame["model"]["merges"]]
    return frame


def make_small_split():
    """Llama-3-like: Split by a pattern, ignore_merges, added tokens last, with every flag."""
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated"),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = train(pre, set(byte_symbols().values()), [], 700)
    tokenizer.add_tokens([
        AddedToken("<|begin_of_text|>", special=True), AddedToken("<|end_of_text|>", special=True),
        AddedToken("<mask>", special=True, lstrip=True), AddedToken("<right>", rstrip=True),
        AddedToken("<both>", lstrip=True, rstrip=True, normalized=False),
        AddedToken("word", single_word=True), AddedToken("<one>", single_word=True, normalized=False),
        AddedToken("two words", normalized=True), AddedToken("words", normalized=False),
        AddedToken("é", normalized=False), AddedToken("中文", normalized=True),
        AddedToken("\n\n\n", normalized=False), AddedToken("<|begin", normalized=False),
    ])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))])
    frame = json.loads(tokenizer.to_str())
    frame["model"]["ignore_merges"] = True
    # Tokens that no merge reaches: whole pieces find them only because of ignore_merges.
    frame["model"]["merges"] = frame["model"]["merges"][:-60]
    return frame


def case(tokenizer, text, data=None):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    decoded = tokenizer.decode(ids, skip_special_tokens=False)
    row = {"t": text} if data is None else {"b": data.hex()}
    row["i"] = ids
    if decoded != row.get("t"):
        row["d"] = decoded
    return row


def write_cases(name, file_name, tokenizer, seed, scale):
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    rows = [case(tokenizer, text) for text in strings.texts(seed, added, scale)]
    rows += [case(tokenizer, data.decode("utf-8", errors="replace"), data)
             for data in strings.byte_strings(seed, scale)]
    head = {"tokenizer": file_name, "made_with": "tokenizers " + tokenizers.__version__}
    with open(FOLDER / name, "w", encoding="utf-8") as file:
        for row in (head, *rows):
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(f"{name}: {len(rows)} cases, {(FOLDER / name).stat().st_size / 1e6:.2f} MB")


def split(pattern, behavior, invert=False):
    return pre_tokenizers.Split(pattern, behavior, invert)


def make_variants(frame):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    pieces = [[split(Regex(O200K_PATTERN), "isolated")],
              [pre_tokenizers.Digits(individual_digits=False)],
              [pre_tokenizers.Sequence([split("'", "removed")]), pre_tokenizers.Digits(individual_digits=True)]]
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        pieces += [[split(" ", behavior)], [split(" ", behavior, True)],
                   [split(Regex(r"\s|\d"), behavior)], [split(Regex(r"[^\S\r\n]?\p{L}*"), behavior, True)]]
    last = [byte_level] * len(pieces)
    for prefix in (True, False):
        pieces += [[], [split(Regex(r"\p{P}|\p{S}"), "isolated")]]
        last += [pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=True)] * 2
    variants = []
    for steps, end in zip(pieces, last):
        tokenizer = Tokenizer.from_str(json.dumps(frame))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*steps, end])
        added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        rows = [case(tokenizer, text) for text in strings.texts(len(variants), added, 0.02)[::9]]
        variants.append({"pre_tokenizer": json.loads(tokenizer.to_str())["pre_tokenizer"], "cases": rows})
    (FOLDER / "variants.json").write_text(
        "[" + ",\n".join(json.dumps(v, ensure_ascii=False, separators=(",", ":")) for v in variants) + "]\n",
        encoding="utf-8")
    print(f"variants.json: {len(variants)} variants, {sum(len(v['cases']) for v in variants)} cases")


def hash_of(encodings):
    """FNV-1a over the ids as 32-bit words, -1 after each text."""
    value = 0xCBF29CE484222325
    for encoding in encodings:
        for word in (*encoding.ids, 0xFFFFFFFF):
            value = ((value ^ word) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def make_code_points(frames):
    table = {}
    for name, frame in frames.items():
        tokenizer = Tokenizer.from_str(json.dumps(frame))
        blocks = []
        for first in range(0, 0x110000, 0x1000):
            characters = [chr(c) for c in range(first, first + 0x1000) if not 0xD800 <= c < 0xE000]
            texts = [f"a{c} {c}{c}1{c}'s" for c in characters]
            blocks.append(hash_of(tokenizer.encode_batch(texts, add_special_tokens=False)))
        table[name] = blocks
    (FOLDER / "code_points.json").write_text(json.dumps(table, indent=0) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="folder with SmolLM2's tokenizer.json")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    warnings.simplefilter("error")
    frames = {"small_digits.json": make_small_digits(), "small_split.json": make_small_split()}
    for seed, (name, frame) in enumerate(frames.items()):
        (FOLDER / name).write_text(json.dumps(frame, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
        tokenizer = Tokenizer.from_file(str(FOLDER / name))
        write_cases(name.replace(".json", ".jsonl"), name, tokenizer, seed, 0.15)
    make_variants(frames["small_split.json"])
    make_code_points(frames)
    write_cases("smollm2.jsonl", "smollm2-135m-instruct", Tokenizer.from_file(str(arguments.model / "tokenizer.json")), 7, 1.0)


if __name__ == "__main__":
    main()
