"""The table at the end of launch/quickstart.sh, from the files it made.

    quickstart_summary.py OUTPUT_FOLDER SLUG LIMIT

Exits 1 when training did not learn: held-out NMSE, mean over layers, above LIMIT (the mean
predictor has 1).
"""
import json
import pathlib
import sys

import yaml


def main():
    folder, slug, limit = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    report = json.loads((folder / "run" / "eval.json").read_text())
    scores = json.loads((folder / "graphs" / f"{slug}.scores.json").read_text())
    config = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    held_out, replacement = report["reconstruction"], report["replacement"]
    replaced, ablated = replacement["replaced"], replacement["mean_ablated"]
    wins = replaced["kl"] < ablated["kl"]
    rows = [
        ("held-out NMSE, mean over layers", f"{held_out['nmse']:.4f}", "mean predictor: 1"),
        ("L0 per layer", f"{held_out['l0']:.1f}", f"{held_out['tokens']} held-out tokens"),
        ("dead features", f"{100 * held_out['dead']:.1f} %", "never active on held-out tokens"),
        ("KL, all MLPs replaced", f"{replaced['kl']:.3f}", f"mean-ablated: {ablated['kl']:.3f}"),
        ("top-1 agreement", f"{100 * replaced['top1_agreement']:.1f} %",
         f"mean-ablated: {100 * ablated['top1_agreement']:.1f} %"),
        ("replacement score", f"{scores['replacement_score']:.4f}", "share of influence not through errors"),
        ("completeness", f"{scores['completeness_score']:.4f}",
         f"strict {scores['completeness_strict']:.4f}, without weights {scores['completeness_without_weights']:.4f}"),
        ("largest row residual", f"{scores['max_row_residual']:.1e}", "bound 1e-5"),
    ]
    print(f"\n{config['transcoder']['architecture']}, F {config['transcoder']['features']}, "
          f"K {config['transcoder']['k']}, {config['steps']} steps, seed {config['transcoder']['seed']}")
    for name, value, note in rows:
        print(f"  {name:<34} {value:>10}   {note}")
    print("  " + ("The young transcoder beats mean ablation." if wins else
                  "The young transcoder still loses to mean ablation: it has seen few tokens. Train longer."))
    print(f"\nfiles   {folder}/shards           activations, one HDF5 file per rank"
          f"\n        {folder}/run              checkpoints, metrics.jsonl, eval.json"
          f"\n        {folder}/graphs           {slug}.json for graph viewers, raw archive, scores"
          "\nnext    another prompt: build/release/crossloom graph RUN --model MODEL --prompt TEXT --output DIR"
          "\n        more tokens, more features: crossloom train --help")
    if held_out["nmse"] > limit:
        sys.exit(f"Training did not learn: held-out NMSE {held_out['nmse']:.4f} is above {limit}.")


if __name__ == "__main__":
    main()
