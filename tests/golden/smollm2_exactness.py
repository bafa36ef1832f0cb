#!/usr/bin/env python3
"""Holds fathom on a real model against exact arithmetic: transformers in fp32 on the file's own dequantised weights.

    smollm2_exactness.py --model SmolLM2-135M-Instruct.Q4_1.gguf --fathom build/release/fathom [--kernels avx2,avx512]

Ten prompts through the file's chat template, 32 greedy tokens each. The prompt is rendered and split into tokens here,
by jinja2 and by Hugging Face's tokenizers from the file's vocabulary, so nothing of fathom's is taken for granted.

 * scalar kernels, fp32 cache: the text of 32 greedy tokens equals the reference's on every prompt;
 * log-probabilities of prompt and answer within 2e-3 of the reference's, over the tokens that have at least 1e-4;
 * fast kernels, default cache: mean per-token KL divergence from scalar at most 0.0025 (llama.cpp's own is 0.0025 to
   0.0036 on this file).

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
KL_LIMIT = 0.0025


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


def check_prompt(options, fields, tokenizer, model, prompt):
    """What the table shows of one prompt: error of the log-probabilities, whether the texts agree, KL by kernels."""
    ids = tokenizer.encode(render(fields, prompt)).ids
    answer, lead = greedy(model, ids, {fields["tokenizer.ggml.eos_token_id"], 0})
    said = json.loads(run(options, "scalar", "generate", options.model, "-p", prompt, "-n", str(NEW_TOKENS),
                          "--temp", "0", "--json", "--cache-type", "f32"))
    if said["prompt_tokens"] != len(ids):
        print(f"  prompt: {said['prompt_tokens']} tokens, the reference has {len(ids)}")
    text = tokenizer.decode(answer)
    if said["text"] != text:
        print(f"  fathom:    {said['text']!r}\n  reference: {text!r}")
    whole = ids + answer
    exact = log_softmax(model(torch.tensor([whole])).logits[0].numpy())
    scalar = log_probabilities(options, "scalar", whole, "--cache-type", "f32")
    error = np.abs(scalar - exact)[exact >= np.log(LIKELY)].max()
    divergence = {}
    for kernels in options.kernels:
        fast = log_probabilities(options, kernels, whole)
        divergence[kernels] = (np.exp(scalar) * (scalar - fast)).sum(-1)
    return said["text"] == text and said["prompt_tokens"] == len(ids), lead, error, divergence


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--fathom", required=True)
    parser.add_argument("--kernels", type=lambda text: text.split(","),
                        default=[name for name in check.machine_kernels() if name != "scalar"])
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    fields = {key: field.contents() for key, field in gguf.GGUFReader(options.model).fields.items()}
    tokenizer, model = open_tokenizer(fields), load_in_transformers(*read_gguf(Path(options.model)))
    results = []
    print(f"{'prompt':40} {'text':8} {'lead':>8} {'log p error':>11}  mean KL from scalar: {' '.join(options.kernels)}")
    for prompt in PROMPTS:
        same, lead, error, divergence = check_prompt(options, fields, tokenizer, model, prompt)
        results.append((same, error, divergence))
        print(f"{prompt.splitlines()[0][:38]:40} {'equal' if same else 'DIFFERS':8} {lead:8.4f} {error:11.1e}  "
              f"{'  '.join(f'{kl.mean():.5f}' for kl in divergence.values())}", flush=True)
    checks = [same for same, _, _ in results] + [max(error for _, error, _ in results) <= LOGPROB_LIMIT]
    print(f"texts equal: {sum(checks[:-1])} of {len(PROMPTS)}; "
          f"largest error of a log-probability {max(error for _, error, _ in results):.1e}, limit {LOGPROB_LIMIT:.0e}")
    for kernels in options.kernels:
        mean = float(np.concatenate([divergence[kernels] for _, _, divergence in results]).mean())
        checks.append(mean <= KL_LIMIT)
        print(f"{kernels}: mean per-token KL from scalar {mean:.5f}, limit {KL_LIMIT}")
    print(f"{sum(checks)} passed, {len(checks) - sum(checks)} failed")
    sys.exit(0 if all(checks) else 1)


if __name__ == "__main__":
    main()
