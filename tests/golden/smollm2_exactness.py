#!/usr/bin/env python3
"""Holds fathom on a real model against exact arithmetic: transformers in fp32 on the file's own dequantised weights.

    smollm2_exactness.py --model SmolLM2-135M-Instruct.Q4_1.gguf --fathom build/release/fathom [--kernels avx2,avx512]
                         [--llama-python PYTHON]

Ten prompts through the file's chat template, 32 greedy tokens each. The prompt is rendered and split into tokens here,
by jinja2 and by Hugging Face's tokenizers from the file's vocabulary, so nothing of fathom's is taken for granted.

 * scalar kernels, fp32 cache: the text of 32 greedy tokens equals the reference's on every prompt;
 * log-probabilities of prompt and answer within 2e-3 of the reference's, over the tokens that have at least 1e-4;
 * fast kernels, default cache: mean per-token KL divergence from scalar not larger than llama.cpp's from the same, on
   the prompts with their answers and on quantize_text.txt. How large it is depends on the text far more than on the
   engine (llama.cpp: 0.004 on the prompts, 0.009 on the text), so the two are compared position by position, each
   position once: what the prompts begin with in common counts for one. Both round activations to 8 bits in groups of
   32, each falling its own way at the borders, so the mean of the differences has an error of chance, which is printed; it
   is no allowance. llama.cpp runs in the Python that --llama-python names (with llama-cpp-python 0.3.36 and
   numpy); without it the divergence is printed and not judged.

Needs requirements.txt. The last line is "N passed, N failed".
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import jinja2
import numpy as np
import tokenizers
import torch
from safetensors.numpy import load_file

import check
from gguf_files import read_gguf
from peers import load_in_transformers

PROMPTS = [
    "Why is the sky blue?",
    "한국의 수도는 어디인가요?",
    "Write a Python function that returns the n-th Fibonacci number.",
    "What is 17 * 23? Show your steps.",
    "Translate into French: The weather is beautiful today.",
    "List three animals that live in the sea, one a line.",
    "Tell me a short story about a lighthouse keeper and a lost dog.",
    "def quicksort(items):\n    \"\"\"Sort a list.\"\"\"\n\nComplete this function.",
    "Explain the difference between TCP and UDP to a ten-year-old.",
    "¿Cuál es la capital de España y cuántos habitantes tiene? 🙂",
]
NEW_TOKENS = 32
LOGPROB_LIMIT = 2e-3
LIKELY = 1e-4
WINDOW = 500  # tokens of the text that are read at once
LLAMA = """
import json, sys
import llama_cpp, numpy
path, ids, out = sys.argv[1:]
sequences = json.load(open(ids))
model = llama_cpp.Llama(model_path=path, n_ctx=max(map(len, sequences)), n_batch=512, logits_all=True, n_gpu_layers=0,
                        verbose=False)
scores = []
for sequence in sequences:
    model.reset()
    model.eval(sequence)
    scores.append(numpy.array(model.scores[:len(sequence)], dtype=numpy.float32))
numpy.savez(out, *scores)
"""


def open_tokenizer(fields):
    """Hugging Face's byte-level BPE with the file's vocabulary; the pre-tokenizer that the file names `smollm`."""
    if fields["tokenizer.ggml.pre"] != "smollm":
        sys.exit(f"pre-tokenizer {fields['tokenizer.ggml.pre']}: this program knows smollm")
    names, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(line.split(" ")) for line in fields["tokenizer.ggml.merges"]]
    model = tokenizers.models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=merges)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Digits(individual_digits=True),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens([name for name, kind in zip(names, kinds) if kind == 3])
    return tokenizer


def render(fields, prompt):
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(fields["tokenizer.chat_template"]).render(
        messages=[{"role": "user", "content": prompt}], add_generation_prompt=True, bos_token="",
        eos_token="<|im_end|>")


def greedy(model, ids, stop):
    """(the answer's ids, the smallest lead of the likeliest token over the second)"""
    answer, lead, cache, feed = [], float("inf"), None, torch.tensor([ids])
    while len(answer) < NEW_TOKENS:
        step = model(feed, cache=cache, use_cache=True)
        cache, top = step.past_key_values, step.logits[0, -1].topk(2)
        lead = min(lead, float(top.values[0] - top.values[1]))
        if int(top.indices[0]) in stop:
            break
        answer.append(int(top.indices[0]))
        feed = top.indices[None, :1]
    return answer, lead


def run(options, kernels, *words):
    done = subprocess.run([options.fathom, *words], env=os.environ | {"FATHOM_KERNELS": kernels}, capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"fathom {' '.join(words[:2])}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def log_probabilities(options, kernels, ids, *words):
    with tempfile.TemporaryDirectory() as folder:
        tokens, out = Path(folder) / "tokens.txt", Path(folder) / "logits.safetensors"
        tokens.write_text(" ".join(map(str, ids)))
        run(options, kernels, "logits", options.model, "--tokens-file", str(tokens), "--out", str(out), *words)
        return log_softmax(load_file(out)["logits"])


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def llama_logits(options, sequences):
    """llama.cpp's logits of each sequence."""
    with tempfile.TemporaryDirectory() as folder:
        ids, out = Path(folder) / "ids.json", Path(folder) / "logits.npz"
        ids.write_text(json.dumps(sequences))
        done = subprocess.run([options.llama_python, "-c", LLAMA, options.model, str(ids), str(out)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{options.llama_python}: exit {done.returncode}: {done.stderr.strip()}")
        with np.load(out) as scores:
            return [scores[name] for name in scores.files]


def check_prompt(options, fields, tokenizer, model, prompt):
    """(the texts agree, the largest error of a log-probability, the ids of prompt and answer); prints a line."""
    ids = tokenizer.encode(render(fields, prompt)).ids
    answer, lead = greedy(model, ids, {fields["tokenizer.ggml.eos_token_id"], 0})
    said = json.loads(run(options, "scalar", "generate", options.model, "-p", prompt, "-n", str(NEW_TOKENS),
                          "--temp", "0", "--json", "--cache-type", "f32"))
    text, whole = tokenizer.decode(answer), ids + answer
    same = said["text"] == text and said["prompt_tokens"] == len(ids)
    exact = log_softmax(model(torch.tensor([whole])).logits[0].numpy())
    scalar = log_probabilities(options, "scalar", whole, "--cache-type", "f32")
    error = np.abs(scalar - exact)[exact >= np.log(LIKELY)].max()
    print(f"{prompt.splitlines()[0][:38]:40} {'equal' if same else 'DIFFERS':8} {lead:8.4f} {error:11.1e}", flush=True)
    if not same:
        print(f"  fathom, {said['prompt_tokens']} tokens of prompt: {said['text']!r}")
        print(f"  reference, {len(ids)} tokens of prompt: {text!r}")
    return same, error, whole


def common_prefix(sequences):
    return next(i for i, ids in enumerate(zip(*sequences)) if len(set(ids)) > 1)


def divergences(options, sequences, repeated):
    """engine -> KL from our scalar logits at every position; all but the first sequence start after `repeated` of their
    positions, which are the first's."""
    out = {name: [] for name in options.kernels}
    peer = llama_logits(options, sequences) if options.llama_python else []
    for number, ids in enumerate(sequences):
        scalar = log_probabilities(options, "scalar", ids, "--cache-type", "f32")
        others = {name: log_probabilities(options, name, ids) for name in options.kernels}
        others |= {"llama.cpp": log_softmax(peer[number])} if peer else {}
        for name, other in others.items():
            kl = (np.exp(scalar) * (scalar - other)).sum(-1)
            out.setdefault(name, []).append(kl[repeated if number else 0:])
    return {name: np.concatenate(parts) for name, parts in out.items()}


def judge_divergence(options, tokenizer, prompts):
    """Prints the table; whether each kernel set is as close to scalar as llama.cpp is, nothing without llama.cpp."""
    text = tokenizer.encode((Path(__file__).parent / "quantize_text.txt").read_text(encoding="utf-8")).ids
    windows = [text[i:i + WINDOW] for i in range(0, len(text), WINDOW)]
    parts = {"prompts": divergences(options, prompts, common_prefix(prompts)), "text": divergences(options, windows, 0)}
    names = list(parts["text"])
    together = {name: np.concatenate([part[name] for part in parts.values()]) for name in names}
    print(f"\n{'mean KL from scalar':24}" + "".join(f"{name:>12}" for name in names))
    for label, part in (parts | {"together": together}).items():
        title = f"{label}, {len(part[names[0]])} positions"
        print(f"{title:24}" + "".join(f"{part[name].mean():12.5f}" for name in names))
    if "llama.cpp" not in together:
        print("not judged: no --llama-python to compare with")
        return []
    good = []
    for name in options.kernels:
        more = together[name] - together["llama.cpp"]
        chance = float(more.std() / np.sqrt(len(more)))
        good.append(float(more.mean()) <= 0)
        print(f"{name}: {more.mean():+.5f} against llama.cpp, error of chance {chance:.5f}"
              f"{'' if good[-1] else ': FAILED'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--fathom", required=True)
    parser.add_argument("--kernels", type=lambda text: text.split(","),
                        default=[name for name in check.machine_kernels() if name != "scalar"])
    parser.add_argument("--llama-python", help="a Python that has llama-cpp-python")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    fields = {key: field.contents() for key, field in gguf.GGUFReader(options.model).fields.items()}
    tokenizer, model = open_tokenizer(fields), load_in_transformers(*read_gguf(Path(options.model)))
    print(f"{'prompt':40} {'text':8} {'lead':>8} {'log p error':>11}")
    results = [check_prompt(options, fields, tokenizer, model, prompt) for prompt in PROMPTS]
    worst = max(error for _, error, _ in results)
    print(f"texts equal: {sum(same for same, _, _ in results)} of {len(PROMPTS)}; "
          f"largest error of a log-probability {worst:.1e}, limit {LOGPROB_LIMIT:.0e}")
    checks = [same for same, _, _ in results] + [worst <= LOGPROB_LIMIT]
    checks += judge_divergence(options, tokenizer, [whole for _, _, whole in results])
    print(f"{sum(checks)} passed, {len(checks) - sum(checks)} failed")
    sys.exit(0 if all(checks) else 1)


if __name__ == "__main__":
    main()
