"""Golden files of host models, made with the `transformers` library. For developers, never part of
set-up or CI (needs: torch, transformers, safetensors in a Python environment of your own).

    python tests/golden/make_model_golden.py --model DIR    # DIR: the converted SmolLM2-135M-Instruct

Each case is one file tests/golden/model/<name>.safetensors that tests/models/golden_test.cpp walks;
a new case is a new file. Tensors: tokens int64 [S]; logits [S, V]; per layer l `resid_mid.l`,
`ln2_normalized.l`, `mlp_in.l`, `mlp_out.l` [S, D]; for tiny random models also their weights under
`weights.<name>`. Metadata: config (JSON text; absent for the real model), model, dtype, prompt,
continuation (JSON list: 64 greedy ids).

float64 cases are true float64: transformers computes norm denominators and rotary tables in float32
whatever the model's type, so both are replaced here by their formulas in float64.
"""
import argparse
import json
import math
import pathlib

import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from transformers.models.llama import modeling_llama

HERE = pathlib.Path(__file__).parent / "model"
HOOKS = ("resid_mid", "ln2_normalized", "mlp_in", "mlp_out")


def exact_norm(self, x):
    return self.weight * (x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


class ExactRotary(torch.nn.Module):
    def __init__(self, head_width, base):
        super().__init__()
        self.frequency = base ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)

    def forward(self, x, position_ids):
        angle = position_ids[..., None].double() * self.frequency
        angle = torch.cat([angle, angle], dim=-1)
        return angle.cos().to(x.dtype), angle.sin().to(x.dtype)


def record(model, tokens):
    """Runs the model; returns {name: tensor} of logits and all hook points."""
    out, handles = {}, []
    for l, layer in enumerate(model.model.layers):
        def norm_hook(module, args, result, l=l):
            x = args[0][0]
            scale = torch.sqrt(x.pow(2).mean(-1, keepdim=True) + module.variance_epsilon)
            out[f"resid_mid.{l}"], out[f"ln2_normalized.{l}"], out[f"mlp_in.{l}"] = x, x / scale, result[0]

        def mlp_hook(module, args, result, l=l):
            out[f"mlp_out.{l}"] = result[0]

        handles.append(layer.post_attention_layernorm.register_forward_hook(norm_hook))
        handles.append(layer.mlp.register_forward_hook(mlp_hook))
    with torch.no_grad():
        out["logits"] = model(tokens[None]).logits[0]
    for handle in handles:
        handle.remove()
    return {name: value.detach().clone().contiguous() for name, value in out.items()}


def tiny(name, seed, **settings):
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(vocab_size=61, max_position_embeddings=64, bos_token_id=1,
                                      eos_token_id=2, attn_implementation="sdpa", **settings)
    model = transformers.LlamaForCausalLM(config).double().eval()
    for parameter in model.parameters():
        parameter.data = torch.randn_like(parameter) * 0.4 + (1.0 if parameter.dim() == 1 else 0.0)
    if config.tie_word_embeddings:
        model.tie_weights()
    modeling_llama.LlamaRMSNorm.forward = exact_norm
    base = getattr(config, "rope_theta", None) or config.rope_parameters["rope_theta"]
    model.model.rotary_emb = ExactRotary(config.head_dim, base)
    tokens = torch.randint(0, 61, (17,))
    tensors = record(model, tokens)
    tensors["tokens"] = tokens
    for key, value in model.state_dict().items():
        if "rotary" not in key and not (config.tie_word_embeddings and key == "lm_head.weight"):
            tensors[f"weights.{key}"] = value.clone().contiguous()
    fields = ("architectures model_type hidden_size intermediate_size num_hidden_layers num_attention_heads "
              "num_key_value_heads head_dim rms_norm_eps vocab_size max_position_embeddings bos_token_id "
              "eos_token_id tie_word_embeddings attention_bias mlp_bias hidden_act").split()
    settings_out = {field: getattr(config, field, None) for field in fields}
    settings_out["architectures"], settings_out["rope_theta"] = ["LlamaForCausalLM"], base
    metadata = {"model": "tiny", "dtype": "float64", "config": json.dumps(settings_out)}
    save_file(tensors, HERE / f"{name}.safetensors", metadata)


def real(folder, name, prompt):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(pathlib.Path(folder) / "tokenizer.json"))
    tokens = torch.tensor([1] + tokenizer.encode(prompt, add_special_tokens=False))
    tensors = record(model, tokens)
    tensors["tokens"] = tokens
    with torch.no_grad():
        ids = model.generate(tokens[None], do_sample=False, max_new_tokens=64, min_new_tokens=64,
                             eos_token_id=None, pad_token_id=2)[0, len(tokens):]
    metadata = {"model": "smollm2-135m-instruct", "dtype": "float32", "prompt": prompt,
                "continuation": json.dumps(ids.tolist())}
    save_file(tensors, HERE / f"{name}.safetensors", metadata)


def perplexity(folder, text_folder, windows, length=511):
    """exp of the mean NLL over evenly spread windows, BOS (id 1) first: models/perplexity.h bos_windows."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = tokenizers.Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
    files = sorted(pathlib.Path(text_folder).glob("*.txt"), key=lambda path: path.name.encode())
    ids = tokenizer.encode("".join(path.read_text(encoding="utf-8") for path in files), add_special_tokens=False).ids
    nll = 0.0
    for i in range(windows):
        begin = i * (len(ids) - length) // (windows - 1)
        tokens = torch.tensor([1] + ids[begin:begin + length])
        with torch.no_grad():
            log_p = model(tokens[None]).logits[0, :-1].double().log_softmax(-1)
        nll -= log_p.gather(1, tokens[1:, None]).sum().item()
    return len(ids), {"windows": windows, "perplexity": math.exp(nll / (windows * length))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of the converted SmolLM2-135M-Instruct")
    parser.add_argument("--permuted", help="folder of the same with q and k left permuted")
    parser.add_argument("--text", help="folder of the speeches")
    parser.add_argument("--only-perplexity", action="store_true")
    arguments = parser.parse_args()
    if arguments.text:
        count, converted = perplexity(arguments.model, arguments.text, 6)
        _, permuted = perplexity(arguments.permuted, arguments.text, 2)
        values = {"ids": count, "converted": converted, "permuted": permuted}
        (HERE.parent / "perplexity.json").write_text(json.dumps(values, indent=2) + "\n")
    if arguments.only_perplexity:
        return
    real(arguments.model, "smollm2_fact", "The capital of France is")
    real(arguments.model, "smollm2_code", "def mean(values):\n")
    tiny("tiny_gqa_tied", 1, hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=3,
         num_key_value_heads=1, tie_word_embeddings=True, rope_theta=10000.0)
    tiny("tiny_odd_heads_untied", 2, hidden_size=20, intermediate_size=28, num_hidden_layers=2,
         num_attention_heads=5, num_key_value_heads=5, tie_word_embeddings=False, rope_theta=500.0)
    tiny("tiny_nine_heads_wide", 3, hidden_size=36, intermediate_size=48, num_hidden_layers=2,
         num_attention_heads=9, num_key_value_heads=3, head_dim=6, tie_word_embeddings=True, rope_theta=100000.0)
    tiny("tiny_biases", 4, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
         num_key_value_heads=2, tie_word_embeddings=False, attention_bias=True, mlp_bias=True, rope_theta=10000.0)


if __name__ == "__main__":
    main()
