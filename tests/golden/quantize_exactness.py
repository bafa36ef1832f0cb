#!/usr/bin/env python3
"""Holds `fathom quantize` against llama.cpp: files that it loads, the same log-likelihood, errors no larger than its own.

    quantize_exactness.py --fathom FATHOM --model MODEL.gguf [--types q8_0,...] [--work DIR]
    quantize_exactness.py --fathom FATHOM --cases DIR   directories made by generate.py

For each type MODEL is quantised by both. Tensor by tensor our squared error against MODEL's numbers must be at most 1.05
times llama.cpp's; llama.cpp's mean log-likelihood of a fixed text of 2,000 tokens, from our file, must be within 0.02 of
fathom's. A model whose vocabulary is a made-up one (a file of random weights) gets random tokens instead of the text.
Each case's directory becomes an f32 file, whose logits, fathom's and llama.cpp's, must be those expected; what GGUF
has no key for must be refused.
Needs the Python packages llama-cpp-python 0.3.36, gguf, numpy and safetensors. Exits with 1 if anything is off.
"""
import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from gguf.quants import dequantize
from safetensors.numpy import load_file

TYPES = {"q8_0": 7, "q6_k": 18, "q5_k_m": 17, "q4_k_m": 15, "q4_0": 2, "bf16": 32, "f16": 1, "f32": 0}
WORST_RATIO = 1.05
CLOSE = 0.02
TOKENS = 2000
LOGITS_CLOSE = 1e-3   # of the logits' deviation: llama.cpp multiplies f32 matrices in its own order, caches in f16
OURS_CLOSE = 1e-4     # fathom's own, as for the directory itself
PIECE = 1 << 24       # numbers of a tensor compared at a time


def run(command, **environment):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=os.environ | environment)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


@llama_cpp.llama_log_callback
def quiet(level, text, user_data):
    pass


def quantize_by_peer(source, target, file_type):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.allow_requantize = TYPES[file_type], os.cpu_count(), True
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), ctypes.byref(params)) != 0:
        raise RuntimeError(f"llama.cpp could not quantise {source} to {file_type}")


def numbers(tensor):
    """fp32 numbers of a tensor, some rows at a time."""
    rows = tensor.data.reshape(-1, tensor.data.shape[-1])
    step = max(1, PIECE // int(tensor.shape[0]))
    for first in range(0, rows.shape[0], step):
        piece = rows[first:first + step]
        yield piece.astype(np.float32) if piece.dtype in (np.float32, np.float16) else dequantize(piece, tensor.tensor_type)


def squared_error(source, tensor):
    return sum(float(np.square(a.astype(np.float64) - b).sum()) for a, b in zip(numbers(source), numbers(tensor)))


def compare_errors(source, ours, theirs):
    """(worst ratio, its tensor, the ratio over all), each tensor of all three files."""
    source, ours, theirs = ({t.name: t for t in gguf.GGUFReader(path).tensors} for path in (source, ours, theirs))
    if source.keys() != ours.keys() or source.keys() != theirs.keys():
        raise RuntimeError("the files do not hold the same tensors")
    worst, where, sums = 0.0, "all tensors exact", [0.0, 0.0]
    for name, tensor in source.items():
        errors = [squared_error(tensor, file[name]) for file in (ours, theirs)]
        # What fp32 rounding leaves of an exact copy is no error of the quantiser.
        floor = 1e-13 * sum(float(np.square(a.astype(np.float64)).sum()) for a in numbers(tensor))
        ratio = errors[0] / errors[1] if errors[1] > floor else (0.0 if errors[0] <= floor else float("inf"))
        sums = [a + b for a, b in zip(sums, errors)]
        if ratio > worst:
            worst, where = ratio, f"{name} {ours[name].tensor_type.name} ({theirs[name].tensor_type.name})"
    return worst, where, sums[0] / sums[1] if sums[1] > 0 else 1.0


def log_likelihood(logits, ids):
    """Mean log-probability of each token from the row before it."""
    total = 0.0
    for row, token in zip(logits, ids[1:]):
        row = row.astype(np.float64)
        top = row.max()
        total += row[token] - top - np.log(np.exp(row - top).sum())
    return total / (len(ids) - 1)


def our_logits(fathom, model, ids, folder, **environment):
    (folder / "ids.txt").write_text(" ".join(map(str, ids)))
    run([fathom, "logits", model, "--tokens-file", folder / "ids.txt", "--out", folder / "logits.safetensors"], **environment)
    return load_file(folder / "logits.safetensors")["logits"]


def peer_logits(model, ids, cache=llama_cpp.GGML_TYPE_F16):
    llama = llama_cpp.Llama(model_path=str(model), n_ctx=len(ids), n_batch=512, logits_all=True, n_gpu_layers=0,
                            verbose=False, flash_attn=False, type_k=cache, type_v=cache)
    llama.eval(ids)
    logits = np.array(llama.scores[:len(ids)])
    llama.close()
    return logits


def tokens_for(fathom, model):
    text = Path(__file__).parent / "quantize_text.txt"
    try:
        ids = json.loads(run([fathom, "tokenize", model, "--file", text]))
    except RuntimeError:
        ids = []
    if TOKENS <= len(ids) < 2 * TOKENS:
        return ids[:TOKENS]
    # A made-up vocabulary refuses the text or cuts it into letters.
    vocabulary = next(t for t in gguf.GGUFReader(model).tensors if t.name == "token_embd.weight").shape[1]
    return np.random.default_rng(1).integers(0, int(vocabulary), TOKENS).tolist()


def check_model(options, folder):
    failed = []
    ids = tokens_for(options.fathom, options.model)
    for file_type in options.types.split(","):
        ours, theirs = folder / f"ours-{file_type}.gguf", folder / f"theirs-{file_type}.gguf"
        start = time.time()
        run([options.fathom, "quantize", options.model, ours, "--type", file_type])
        middle = time.time()
        quantize_by_peer(options.model, theirs, file_type)
        seconds = (middle - start, time.time() - middle)
        worst, where, overall = compare_errors(options.model, ours, theirs)
        theirs.unlink()
        likelihoods = (log_likelihood(our_logits(options.fathom, ours, ids, folder), ids),
                       log_likelihood(peer_logits(ours, ids), ids))
        off = abs(likelihoods[0] - likelihoods[1])
        good = worst <= WORST_RATIO and off <= CLOSE
        print(f"{file_type:7} {'ok    ' if good else 'FAILED'} squared error {overall:.3f} of llama.cpp's, at most {worst:.3f} "
              f"({where}); log-likelihood fathom {likelihoods[0]:.4f} llama.cpp {likelihoods[1]:.4f}; "
              f"{ours.stat().st_size / 1e6:.0f} MB in {seconds[0]:.1f} s, llama.cpp {seconds[1]:.1f} s", flush=True)
        failed += [] if good else [file_type]
        if not options.keep:
            ours.unlink()
    return failed


def relative_error(logits, expected):
    return float(np.abs(logits - expected).max() / expected.std())


def check_cases(options, folder):
    failed = []
    peer_cannot = {"v2-lite": "llama.cpp knows a V2 without q_lora_rank by its 27 layers alone"}
    for case in json.loads((options.cases / "cases.json").read_text()):
        source = options.cases / case["path"]
        if not source.is_dir():
            continue
        target = folder / f"{case['name']}.gguf"
        ids = list(map(int, (options.cases / case["tokens"]).read_text().split()))
        expected = load_file(options.cases / case["expected"])
        try:
            run([options.fathom, "quantize", source, target, "--type", "f32"])
            ours = relative_error(our_logits(options.fathom, target, ids, folder, FATHOM_KERNELS="scalar")[expected["rows"]], expected["logits"])
            theirs = 0.0 if case["name"] in peer_cannot else relative_error(peer_logits(target, ids, llama_cpp.GGML_TYPE_F32)[expected["rows"]], expected["logits"])
        except (RuntimeError, ValueError) as error:
            if "no word" in str(error) and not target.exists():
                print(f"{case['name']:28} ok     refused: {str(error).split(': ')[-1]}", flush=True)
                continue
            print(f"{case['name']:28} FAILED {str(error)[-300:]}", flush=True)
            failed.append(case["name"])
            continue
        good = ours <= OURS_CLOSE and theirs <= LOGITS_CLOSE
        print(f"{case['name']:28} {'ok    ' if good else 'FAILED'} off by {ours:.1e}, "
              f"{peer_cannot.get(case['name'], f'llama.cpp by {theirs:.1e}')}", flush=True)
        failed += [] if good else [case["name"]]
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fathom", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--work", type=Path, help="for the files written (default: a temporary folder)")
    parser.add_argument("--keep", action="store_true", help="keep our files in --work")
    options = parser.parse_args()
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    failed = []
    with tempfile.TemporaryDirectory(dir=options.work) as temporary:
        folder = options.work if options.keep and options.work else Path(temporary)
        if options.model:
            failed += check_model(options, folder)
        if options.cases:
            failed += check_cases(options, folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
