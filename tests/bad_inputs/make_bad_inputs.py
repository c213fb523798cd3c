#!/usr/bin/env python3
"""Writes the malformed files beside this script, and expected.json: for each file the error that
reading it must give and a phrase of its message ("error": null for the few good ones, which prove
that the bad ones differ from something that works, and seed the fuzzers).

    python3 tests/bad_inputs/make_bad_inputs.py
"""
import copy
import json
import pathlib
import shutil
import struct

FOLDER = pathlib.Path(__file__).resolve().parent
expected = {}


def put(name, data, phrase, error="DataError"):
    path = FOLDER / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    assert name not in expected, name
    expected[name] = {"error": None if phrase is None else error, "phrase": phrase}


# --- safetensors -----------------------------------------------------------------------------

def tensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def without(key):
    return {k: v for k, v in entry().items() if k != key}


def safetensors():
    def bad(name, data, phrase):
        put(f"safetensors/{name}.safetensors", data, phrase)

    eight = bytes(range(8))
    bad("good", tensors({"x": entry(), "__metadata__": {"format": "pt"}}, eight), None)
    bad("empty", b"", "too short")
    bad("seven_bytes", b"\x10\0\0\0\0\0\0", "too short")
    bad("length_beyond_the_file", tensors({"x": entry()}, eight, 10_000), "header's length is impossible")
    bad("length_of_2_to_the_63", tensors({"x": entry()}, eight, 1 << 63), "header's length is impossible")
    bad("length_zero", tensors(b"", eight), "not valid JSON")
    bad("length_cuts_the_header", tensors({"x": entry()}, eight, 20), "not valid JSON")
    bad("header_is_text", tensors(b"hello, world", eight), "not valid JSON")
    bad("header_is_a_list", tensors([1, 2], eight), "header is not an object")
    bad("header_with_invalid_utf8", tensors(b'{"\xff": 1}', eight), "not valid JSON")
    bad("header_nested", tensors(b"[" * 5000), "nested too deeply")
    bad("entry_is_a_number", tensors({"x": 3}, eight), "'dtype'")
    bad("dtype_missing", tensors({"x": without("dtype")}, eight), "'dtype'")
    bad("dtype_is_a_number", tensors({"x": entry(dtype=32)}, eight), "'dtype'")
    bad("dtype_unknown", tensors({"x": entry(dtype="F8_E4M3")}, eight), "Unknown element type")
    bad("shape_missing", tensors({"x": without("shape")}, eight), "'shape'")
    bad("shape_negative", tensors({"x": entry(shape=[-2])}, eight), "whole numbers ≥ 0")
    bad("shape_fraction", tensors({"x": entry(shape=[2.5])}, eight), "whole numbers ≥ 0")
    bad("shape_overflows", tensors({"x": entry(shape=[1 << 32, 1 << 32])}, eight), "fits 64 bits")
    bad("shape_beyond_int64", tensors({"x": entry(shape=[1 << 63])}, eight), "whole numbers ≥ 0")
    bad("shape_disagrees", tensors({"x": entry(shape=[3])}, eight), "12 bytes for shape [3]")
    bad("offsets_missing", tensors({"x": without("data_offsets")}, eight), "'data_offsets'")
    bad("offsets_reversed", tensors({"x": entry(offsets=[8, 0])}, eight), "outside the file")
    bad("offsets_three", tensors({"x": entry(offsets=[0, 4, 8])}, eight), "outside the file")
    bad("offsets_beyond", tensors({"x": entry(shape=[4], offsets=[0, 16])}, eight), "outside the file")
    bad("data_cut_off", tensors({"x": entry()}, eight[:5]), "outside the file")
    bad("data_left_over", tensors({"x": entry()}, eight + b"!"), "length and its header disagree")
    bad("overlap", tensors({"x": entry(), "y": entry(offsets=[4, 12])}, eight + eight), "overlap or leave a hole")
    bad("hole", tensors({"x": entry(), "y": entry(offsets=[12, 20])}, bytes(20)), "overlap or leave a hole")
    bad("same_name_twice", tensors(b'{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},'
                                   b'"x":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}', eight), "overlap or leave a hole")
    bad("metadata_number", tensors({"x": entry(), "__metadata__": {"a": 1}}, eight), "__metadata__")
    bad("metadata_list", tensors({"x": entry(), "__metadata__": ["a"]}, eight), "__metadata__")


# --- tokenizer -------------------------------------------------------------------------------

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def byte_symbols():
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(b) for b in own] + [chr(0x100 + i) for i in range(256 - len(own))]


def added(id, content, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True, **flags}


def frame():
    vocab = {symbol: i for i, symbol in enumerate(byte_symbols())}
    vocab.update({"th": 256, "the": 257})
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [added(258, "<s>")],
            "normalizer": None, "pre_tokenizer": BYTE_LEVEL, "post_processor": None, "decoder": BYTE_LEVEL,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                      "vocab": vocab, "merges": ["t h", ["th", "e"]]}}


def changed(**parts):
    """The good file with parts replaced; `model_x` means model.x."""
    json_frame = copy.deepcopy(frame())
    for key, value in parts.items():
        target, name = (json_frame["model"], key[6:]) if key.startswith("model_") else (json_frame, key)
        if value is KeyError:
            del target[name]
        else:
            target[name] = value
    return json.dumps(json_frame, ensure_ascii=False)


def split(pattern, behavior="Isolated", invert=False):
    first = {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
    return {"type": "Sequence", "pretokenizers": [first, BYTE_LEVEL]}


def tokenizer():
    def bad(name, data, phrase):
        put(f"tokenizer/{name}.json", data, phrase)

    def bad_pattern(name, pattern, phrase):
        bad(f"pattern_{name}", changed(pre_tokenizer=split({"Regex": pattern})), phrase)

    vocab = frame()["model"]["vocab"]
    bad("good", changed(), None)
    bad("empty", "", "not valid JSON")
    bad("cut_off", changed()[:2000], "not valid JSON")
    bad("list", "[]", "not a tokenizer.json")
    bad("no_model", changed(model=KeyError), "not a tokenizer.json")
    bad("model_null", changed(model=None), "'vocab'")
    bad("invalid_utf8", changed().encode().replace(b"<s>", b"<\xff>"), "not valid JSON")
    bad("nested", '{"model": ' + "[" * 3000, "nested too deeply")
    bad("model_word_piece", changed(model_type="WordPiece"), "WordPiece")
    bad("normalizer_nfc", changed(normalizer={"type": "NFC"}), "NFC")
    bad("normalizer_text", changed(normalizer="NFC"), "normalizer is not supported")
    bad("decoder_missing", changed(decoder=None), "decoder is not supported")
    bad("decoder_metaspace", changed(decoder={"type": "Metaspace"}), "Metaspace")
    bad("pre_tokenizer_null", changed(pre_tokenizer=None), "pre-tokenizer is not supported")
    bad("pre_tokenizer_metaspace", changed(pre_tokenizer={"type": "Metaspace"}), "Metaspace")
    bad("pre_tokenizer_number", changed(pre_tokenizer=3), "'type'")
    bad("pre_tokenizer_without_bytes", changed(pre_tokenizer={"type": "Digits", "individual_digits": True}), "no ByteLevel")
    bad("pre_tokenizer_after_bytes", changed(pre_tokenizer={"type": "Sequence", "pretokenizers": [BYTE_LEVEL, BYTE_LEVEL]}),
        "something after ByteLevel")
    bad("pre_tokenizer_sequence_of_text", changed(pre_tokenizer={"type": "Sequence", "pretokenizers": "ByteLevel"}), "'pretokenizers'")
    bad("byte_level_without_prefix", changed(pre_tokenizer={"type": "ByteLevel"}), "'add_prefix_space'")
    bad("split_behavior", changed(pre_tokenizer=split({"Regex": "a"}, "Sideways")), "Sideways")
    bad("split_without_pattern", changed(pre_tokenizer=split(None)), "'Regex'")
    bad_pattern("unbalanced", "a(b", "not a valid regular expression")
    bad_pattern("closed_too_often", "a)b", "')' without '('")
    bad_pattern("class_without_end", "[abc", "a class without an end")
    bad_pattern("nested_class", "[a[bc]]", "a class inside a class")
    bad_pattern("word_boundary", r"\bword\b", r"\b at byte 0")
    bad_pattern("back_reference", r"(a)\1", r"\1 at byte 3")
    bad_pattern("recursion", "a(?R)?b", "(?R at byte 1")
    bad_pattern("verb", "(*SKIP)a", "(*S at byte 0")
    bad_pattern("script", r"\p{Han}+", "the property Han")
    bad_pattern("huge_repeat", "a{100000}", "'{' that is not a repeat")
    bad_pattern("repeat_of_repeat", "((((a{999}){999}){999}){999}){999}", "not a valid regular expression")
    bad_pattern("deep", "(" * 300 + "a" + ")" * 300, "not a valid regular expression")
    bad_pattern("long", "a" * 5000, "more than 4096 bytes")
    bad("vocab_missing", changed(model_vocab=KeyError), "'vocab'")
    bad("vocab_list", changed(model_vocab=["a"]), "'vocab'")
    bad("vocab_id_text", changed(model_vocab={**vocab, "x": "7"}), "The id of token 'x'")
    bad("vocab_id_negative", changed(model_vocab={**vocab, "x": -1}), "The id of token 'x'")
    bad("vocab_id_huge", changed(model_vocab={**vocab, "x": 1 << 40}), "The id of token 'x'")
    bad("vocab_id_twice", changed(model_vocab={**vocab, "the!": 3}), "Two tokens have the id 3")
    bad("merges_missing", changed(model_merges=KeyError), "'merges'")
    bad("merges_object", changed(model_merges={"t": "h"}), "'merges'")
    bad("merge_of_three", changed(model_merges=["t h e"]), "not a pair")
    bad("merge_of_one", changed(model_merges=[["th"]]), "not a pair")
    bad("merge_number", changed(model_merges=[3]), "not a pair")
    bad("merge_unknown_part", changed(model_merges=["t hx"]), "names a token that is not in the vocabulary")
    bad("merge_unknown_result", changed(model_merges=["h t"]), "names a token that is not in the vocabulary")
    bad("byte_fallback", changed(model_byte_fallback=True), "byte_fallback")
    bad("dropout", changed(model_dropout=0.1), "dropout")
    bad("subword_prefix", changed(model_continuing_subword_prefix="##"), "continuing_subword_prefix")
    bad("word_suffix", changed(model_end_of_word_suffix="</w>"), "end_of_word_suffix")
    bad("unknown_token", changed(model_unk_token="<unk>", model_vocab={"a": 0}, model_merges=[], added_tokens=[]), "unk_token")
    bad("added_object", changed(added_tokens={"a": 1}), "'added_tokens'")
    bad("added_without_flags", changed(added_tokens=[{"id": 258, "content": "<s>"}]), "'special'")
    bad("added_twice", changed(added_tokens=[added(258, "<s>"), added(259, "<s>")]), "given twice")
    bad("added_id_twice", changed(added_tokens=[added(258, "<s>"), added(258, "<t>")]), "Two added tokens have the id 258")
    bad("added_id_negative", changed(added_tokens=[added(-1, "<s>")]), "'id'")
    bad("added_id_gap", changed(added_tokens=[added(300, "<s>")]), "does not fit the vocabulary")
    bad("added_id_not_the_vocabularys", changed(added_tokens=[added(258, "the")]), "does not fit the vocabulary")


# --- config ----------------------------------------------------------------------------------

GOOD_CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
    "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 100000.0, "hidden_act": "silu",
    "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2}


def config():
    def bad(name, phrase, **parts):
        values = {k: v for k, v in {**GOOD_CONFIG, **parts}.items() if v is not KeyError}
        put(f"config/{name}.json", json.dumps(values, indent=1), phrase)

    bad("good", None)
    put("config/empty.json", "", "not valid JSON")
    put("config/list.json", "[1]", "not a config.json")
    put("config/nan.json", json.dumps({**GOOD_CONFIG, "rope_theta": float("nan")}), "not valid JSON")
    put("config/nested.json", '{"a":' * 1000, "nested too deeply")
    put("config/null_bytes.json", b"\0" * 64, "not valid JSON")
    bad("family_missing", "'model_type'", model_type=KeyError)
    bad("family_qwen", "family is not supported", model_type="qwen2")
    bad("classifier", "architecture is not supported", architectures=["LlamaForSequenceClassification"])
    bad("width_missing", "'hidden_size'", hidden_size=KeyError)
    bad("width_negative", "'hidden_size' is out of range", hidden_size=-576)
    bad("width_huge", "'hidden_size' is out of range", hidden_size=10**7)
    bad("layers_text", "'num_hidden_layers'", num_hidden_layers="30")
    bad("layers_fraction", "'num_hidden_layers'", num_hidden_layers=30.5)
    bad("layers_zero", "'num_hidden_layers' is out of range", num_hidden_layers=0)
    bad("layers_million", "'num_hidden_layers' is out of range", num_hidden_layers=10**6)
    bad("vocabulary_huge", "'vocab_size' is out of range", vocab_size=10**12)
    bad("vocabulary_beyond_int64", "'vocab_size'", vocab_size=10**20)
    bad("mlp_huge", "'intermediate_size' is out of range", intermediate_size=10**9)
    bad("heads_do_not_divide", "heads do not divide the width", num_attention_heads=7, num_key_value_heads=7)
    bad("kv_heads_do_not_divide", "key-value heads do not divide", num_key_value_heads=2)
    bad("kv_heads_zero", "'num_key_value_heads' is out of range", num_key_value_heads=0)
    bad("head_width_odd", "even head width", head_dim=63)
    bad("attention_too_wide", "attention is too wide", head_dim=10**6, num_attention_heads=11, num_key_value_heads=1)
    bad("gelu", "activation is not supported", hidden_act="gelu")
    bad("rope_llama3", "Scaled rotary", rope_scaling={"rope_type": "llama3", "factor": 8.0})
    bad("rope_linear_old_name", "Scaled rotary", rope_scaling={"type": "linear", "factor": 2.0})
    bad("rope_yarn_new_place", "Scaled rotary", rope_parameters={"rope_theta": 1e5, "rope_type": "yarn"})
    bad("rope_per_layer_type", "rotary parameters", rope_parameters={"full_attention": {"rope_theta": 1e5}})
    bad("rope_disagrees", "differ", rope_parameters={"rope_theta": 5e5, "rope_type": "default"})
    bad("rope_zero", "'rope_theta' is out of range", rope_theta=0)
    bad("epsilon_negative", "'rms_norm_eps' is out of range", rms_norm_eps=-1e-5)
    bad("sliding_window", "Sliding-window", sliding_window=4096)
    bad("sliding_layers", "layer type", layer_types=["full_attention", "sliding_attention"])
    bad("split_projections", "pretraining_tp", pretraining_tp=2)
    bad("quantised", "Quantised weights", quantization_config={"quant_method": "gptq"})
    bad("bos_beyond_the_vocabulary", "'bos_token_id' is not a token id", bos_token_id=49152)
    bad("eos_text", "'eos_token_id' is not a token id", eos_token_id=[2, "x"])
    bad("tie_text", "'tie_word_embeddings'", tie_word_embeddings="yes")


# --- YAML (tests/common/sample_options.h) ----------------------------------------------------

def yaml():
    def bad(name, text, phrase):
        put(f"yaml/{name}.yaml", text, phrase, "ConfigError")

    bad("good", "steps: 7\nname: a\noptimiser: {rate: 1e-3, fused: true, skip: [x, y]}\n", None)
    bad("empty", "", "not empty")
    bad("unknown_key", "steps: 1\nstpes: 2\n", "Did you mean 'steps'?")
    bad("unknown_nested_key", "optimiser:\n  rat: 1\n", "Did you mean 'optimiser.rate'?")
    bad("merge_key", "base: &b {steps: 1}\n<<: *b\n", "Unknown configuration key")
    bad("key_twice", "steps: 1\nname: x\nsteps: 2\n", "given twice")
    bad("key_is_a_list", "[1, 2]: 3\n", "Unknown configuration key")
    bad("fraction", "steps: 1.5\n", "a whole number")
    bad("beyond_int64", "steps: 9223372036854775808\n", "a whole number")
    bad("list_for_number", "steps: [1]\n", "a whole number")
    bad("map_for_text", "name: {a: b}\n", "text")
    bad("map_in_list", "optimiser: {skip: [{a: b}]}\n", "text")
    bad("number_for_map", "optimiser: 3\n", "not a map of keys")
    bad("list_at_the_top", "- steps\n- 3\n", "not a map of keys")
    bad("text_at_the_top", "steps 3\n", "not a map of keys")
    bad("wrong_bool", "optimiser: {fused: perhaps}\n", "true or false")
    bad("tab", "optimiser:\n\trate: 1\n", "not valid YAML")
    bad("indentation", "steps: 1\n   name: x\n", "not valid YAML")
    bad("bracket", "optimiser: {rate: 1\n", "not valid YAML")
    bad("text_after_quote", "name: \"a\" b\n", "not valid YAML")
    bad("unknown_alias", "steps: *nowhere\n", "not valid YAML")
    bad("alias_of_itself", "optimiser: &a {skip: [*a]}\n", "text")
    bad("alias_bomb", "".join(f"x{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'x'}]\n" for i in range(12)), "Unknown configuration key")
    bad("deep", "steps: " + "[" * 5000, "not valid YAML")
    bad("two_documents", "steps: 1\n---\nsteps: 2\n", "Something follows")
    bad("stray_comma", "{steps: 1},\n", "Something follows")
    bad("invalid_utf8", b"name: \xff\xfe\n", "not UTF-8")
    bad("utf16", "steps: 1\n".encode("utf-16"), "not UTF-8")
    bad("endless_tag", "!!b,St9exceptionay", "one YAML document")
    bad("safetensors", tensors({"x": entry()}, bytes(8)), "configuration")


def main():
    for name in ("safetensors", "tokenizer", "config", "yaml"):
        shutil.rmtree(FOLDER / name, ignore_errors=True)
    safetensors(), tokenizer(), config(), yaml()
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(expected)} files")


if __name__ == "__main__":
    main()
