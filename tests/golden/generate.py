#!/usr/bin/env python3
"""Makes the golden cases: tiny random checkpoints with the logits and hidden states of the reference.

    generate.py [--out DIR] [--cases a,b] [--committed] [--list]

    DIR/cases.json                 what there is
    DIR/<case>/model/              a directory in Hugging Face's layout, or
    DIR/<case>/model*.gguf         a GGUF file or its parts
    DIR/<case>/tokens.txt          ids separated by white space
    DIR/<case>/expected.safetensors
        rows [n] the positions kept, logits [n, vocab], hidden [layers + 1, n, D] (the embedding, then after each layer,
        before the final norm); with a prediction layer mtp_rows [m], mtp_logits [m, vocab]; with weights in blocks
        logits_int8 [n, vocab], what 8-bit activations make of the logits

--committed makes what lies in tests/golden/data: the cases small enough, few rows of each. The same seed gives the same
files. Every case that transformers implements by the same formula is computed by it as well and must agree.
Needs requirements.txt. A golden changes only by this program, with the reason in the commit.
"""
import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import checkpoints
import gguf_files
import peers
import vocabulary
import weights as random_weights
from cases import CASES, DIRECTORIES, LONG
from reference import Reference

AGREEMENT = 1e-5       # with transformers, of the logits' deviation; or twice what fp32 rounding alone does to the case
CONDITION = 2e-5       # how far fp32 rounding alone may move a case; the check's 1e-4 must stand well above it
INT8_ERROR = 0.25      # most that 8-bit activations may move a case: a wrong formula moves it by one and more
COMMITTED_ROWS = 7


def token_ids(case, model):
    """Random ids; where the choice of experts is not clear at a position, its token is drawn again."""
    rng = np.random.default_rng([case.seed, 0x746f6b])
    ids = rng.integers(0, vocabulary.begin_id(), LONG)[:case.length].tolist()
    ids[0] = vocabulary.begin_id()
    end = min(64, len(ids))  # what comes first stays as it is, so the first part is settled first
    for _ in range(4000):
        result = model(ids[:end], mtp=True)
        unclear = [int(i) + (1 if len(margin) < end else 0)  # the prediction layer's row i reads token i + 1
                   for margin in result.margins for i in (margin < case.margin).nonzero().flatten()[:1]]
        if unclear:
            ids[min(unclear)] = int(rng.integers(0, vocabulary.begin_id()))
        elif end < len(ids):
            end = min(2 * end, len(ids))
        else:
            return ids, result
    raise RuntimeError(f"{case.name}: no tokens found whose experts are chosen clearly; change its seed or margin")


def kept_rows(count, committed):
    if not committed or count <= COMMITTED_ROWS:
        return torch.arange(count)
    return torch.linspace(0, count - 1, COMMITTED_ROWS).round().long()


def relative_error(value, expected):
    return float((value.double() - expected.double()).abs().max() / expected.double().std())


def write_model(folder, case, sources):
    """The checkpoint; gives the path to open and what reading it says."""
    made = random_weights.make(case.config, case.seed)
    if case.form == "directory":
        checkpoints.write_directory(folder / "model", case, made)
        return folder / "model", *checkpoints.read_directory(folder / "model")
    if case.twin:  # the same numbers: first rounded as the directory stores them
        stored = checkpoints.stored_tensors(sources[case.twin], made)
        made = {name: stored[name].float().numpy() for name in made}
    path = gguf_files.write_gguf(folder / "model.gguf", case, made)
    return path, *gguf_files.read_gguf(path)


def check_twin(case, weights, sources):
    made = random_weights.make(case.config, case.seed)
    stored = checkpoints.stored_tensors(sources[case.twin], made)
    off = max(float((weights[name] - stored[name].float()).abs().max()) for name in made)
    limit = 0.0 if case.storage != "f16" else 2.0 ** -25  # half the spacing of fp16's smallest numbers
    if off > limit:
        raise RuntimeError(f"{case.name}: read back, its weights differ from {case.twin}'s by {off}")


def write_expected(folder, ids, result, rounded, committed):
    rows = kept_rows(len(ids), committed)
    expected = {"rows": rows.int(), "logits": result.logits[rows].float(),
                "hidden": result.hidden[:, rows].float().contiguous()}
    if rounded is not None:
        expected["logits_int8"] = rounded[rows].float()
    if result.mtp_logits is not None:
        rows = kept_rows(len(ids) - 1, committed)
        expected |= {"mtp_rows": rows.int(), "mtp_logits": result.mtp_logits[rows].float()}
    save_file(expected, folder / "expected.safetensors")
    (folder / "tokens.txt").write_text(" ".join(map(str, ids)) + "\n")


def make_case(out, case, sources, committed):
    folder = out / case.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path, config, weights = write_model(folder, case, sources)
    if case.twin:
        check_twin(case, weights, sources)
    model = Reference(config, weights)
    ids, result = token_ids(case, model)
    rounding = Reference(config, weights, torch.float32)(ids, mtp=True)
    condition = relative_error(rounding.logits, result.logits)
    if result.mtp_logits is not None:
        condition = max(condition, relative_error(rounding.mtp_logits, result.mtp_logits))
    in_blocks = [name for name, value in weights.items() if getattr(value, "blocks", False)]
    rounded = Reference(config, weights, eight_bit=in_blocks)(ids).logits if in_blocks else None
    int8 = relative_error(rounded, result.logits) if in_blocks else 0.0
    agreement = None
    if not case.differs:
        peer_config = config if case.form == "directory" else case.config  # transformers reads config.json's words only
        ours = Reference(config, weights, angles=torch.float32)(ids, mtp=True)
        logits, mtp_logits = peers.logits_of(peer_config, weights, ids)
        agreement = relative_error(logits, ours.logits)
        if mtp_logits is not None:
            agreement = max(agreement, relative_error(mtp_logits, ours.mtp_logits))
    write_expected(folder, ids, result, rounded, committed)
    margin = min([float(m.min()) for m in result.margins], default=float("inf"))
    top = result.logits.softmax(-1).max(-1).values.mean()
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    said = f"{agreement:.1e}" if agreement is not None else f"not compared: {case.differs}"
    print(f"{case.name:28} {size / 1024:7.0f} KB  fp32 rounding {condition:.1e}  margin {margin:7.4f}  "
          f"mean top p {top:.2f}  int8 {int8:.1e}  transformers {said}", flush=True)
    if int8 > INT8_ERROR:
        raise RuntimeError(f"{case.name}: 8-bit activations move the logits by {int8:.2f}; such a bound hides bugs")
    if condition > CONDITION:
        raise RuntimeError(f"{case.name}: fp32 rounding alone moves the logits by {condition:.1e}; choose another seed")
    if agreement is not None and agreement > max(AGREEMENT, 2 * condition):
        raise RuntimeError(f"{case.name}: transformers differs by {agreement:.1e} of the logits' deviation")
    return {"name": case.name, "path": str(path.relative_to(out)), "tokens": f"{case.name}/tokens.txt",
            "expected": f"{case.name}/expected.safetensors", "architecture": case.config["model_type"],
            "latent_attention": bool(case.config.get("kv_lora_rank")), "mtp": result.mtp_logits is not None,
            "weights": case.storage, "layers": config["num_hidden_layers"], "length": len(ids),
            "fp32_rounding": float(f"{condition:.1e}"), "int8_error": float(f"{int8:.1e}"), "notes": case.notes}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="default with --committed: data, beside this program")
    parser.add_argument("--cases", help="only these, separated by commas")
    parser.add_argument("--committed", action="store_true", help="the small set that lies in the repository")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    chosen = [c for c in CASES if (c.committed or not options.committed) and
              (not options.cases or c.name in options.cases.split(","))]
    if options.list:
        for case in chosen:
            print(f"{case.name:28} {case.notes}")
        return
    if not options.out:
        if not options.committed:
            sys.exit("--out DIR is needed: all cases take about 15 MB (--committed makes the repository's)")
        options.out = Path(__file__).parent / "data"
    if options.cases and len(chosen) != len(set(options.cases.split(","))):
        sys.exit(f"--cases {options.cases}: not all of these are cases; see --list")
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)  # sums in one order, whatever the machine
    sources = {case.name: case for case in DIRECTORIES}
    options.out.mkdir(parents=True, exist_ok=True)
    made = [make_case(options.out, case, sources, options.committed) for case in chosen]
    index = options.out / "cases.json"
    if options.cases and index.exists():  # a few cases made again: the others stay
        fresh = {entry["name"]: entry for entry in made}
        before = json.loads(index.read_text())
        made = [fresh.pop(entry["name"], entry) for entry in before] + list(fresh.values())
    index.write_text(json.dumps(made, indent=1) + "\n")
    total = sum(f.stat().st_size for f in options.out.rglob("*") if f.is_file())
    print(f"{len(made)} cases, {total / 1e6:.2f} MB in {options.out}")


if __name__ == "__main__":
    main()
