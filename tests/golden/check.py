#!/usr/bin/env python3
"""Compares fathom's logits with the goldens', case by case and kernel table by kernel table. Needs Python alone.

    check.py FATHOM DATA_DIR [--kernels scalar,avx2,avx512] [--cases a,b]

Each case runs `FATHOM_KERNELS=K fathom logits MODEL --tokens-file F --out O --cache-type f32` (and --mtp where the
model has a prediction layer). error = max |ours - expected| / standard deviation of the expected logits. With latent
attention a second run has prefill cells of 16 positions, so that most positions take the expanded form where the first
run took the absorbed one; both must agree. Prints a table; the last line is "N passed, N failed".

The limits, of the logits' deviation:
 * scalar: 1e-4. The reference is float64; fp32 rounding moves the cases by at most 2e-5 (`fp32_rounding` in cases.json,
   measured by the generator for each), so a formula that is right stays well below and one that is not does not.
 * fast kernels on fp32, fp16, bf16 and FP8 weights read fp32 activations: the same products, summed in other orders
   with an exponential good to a few units in the last place. That is rounding again, so a few times the case's own:
   1e-4 + 5 fp32_rounding, which is at most 2e-4.
 * fast kernels on block formats round activations to 8 bits, one scale a = amax / 127 for each 32. A rounding errs by
   a / sqrt(12), about 0.5 % of an activation; a layer has four such products in a row, so after L layers about
   0.5 % * sqrt(4 L + 1) of a hidden state, and the largest of 10^4 logits stands four to five deviations out: 7 to 10 %
   for two layers. The exact figure for a case is `int8_error`: the reference itself with that rounding and nothing
   else. Kernels differ from it where a value lies on a border between two codes, so 1.5 times it is allowed.
   So wide a bound hides small bugs, hence a second line, `+8 bit`: against the reference with that rounding, the best
   of the kept positions must agree as closely as unrounded products do. The best, because a code that falls the other
   way at one position is felt at all later ones; a wrong kernel is wrong at every position.
 * cells of 16 against whole: 1e-5, or twice the case's fp32_rounding where that is more; both runs are scalar.
"""
import argparse
import array
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

SCALAR_LIMIT = 1e-4
CELL_LIMIT = 1e-5
CELL = 16
RUN_SECONDS = 300
NEEDS = {"scalar": set(), "avx2": {"avx2", "fma", "f16c"}, "avx512": {"avx512f", "avx512bw", "avx512vl", "avx512_vnni"}}
ITEM = {"F32": "f", "I32": "i"}


class Failure(Exception):
    pass


def read_safetensors(path):
    """name -> (shape, array of its numbers)"""
    data = Path(path).read_bytes()
    length, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    out = {}
    for name, entry in header.items():
        if entry["dtype"] not in ITEM:
            raise Failure(f"{path}: {name} is {entry['dtype']}, expected one of {', '.join(ITEM)}")
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        numbers = array.array(ITEM[entry["dtype"]], data[begin:end])
        if len(numbers) != math.prod(entry["shape"]):
            raise Failure(f"{path}: {name} has {len(numbers)} numbers, its shape {entry['shape']} another count")
        out[name] = entry["shape"], numbers
    return out


def deviation(numbers):
    mean = math.fsum(numbers) / len(numbers)
    return math.sqrt(math.fsum((x - mean) ** 2 for x in numbers) / (len(numbers) - 1))


def largest_difference(a, b):
    """A number that is not finite differs without bound: max() would lose it."""
    return max(d if math.isfinite(d) else math.inf for d in (abs(x - y) for x, y in zip(a, b)))


def compute(fathom, data, case, kernels, *more):
    """Runs fathom on the case; name -> (shape, numbers)."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "logits.safetensors"
        command = [fathom, "logits", str(data / case["path"]), "--tokens-file", str(data / case["tokens"]),
                   "--out", str(out), "--cache-type", "f32", *(["--mtp"] if case["mtp"] else []), *more]
        try:
            done = subprocess.run(command, env=os.environ | {"FATHOM_KERNELS": kernels}, capture_output=True, text=True,
                                  timeout=RUN_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"no answer in {RUN_SECONDS} s") from None
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines() or ["nothing said"]
            raise Failure(f"exit {done.returncode}: {said[-1]}")
        return read_safetensors(out)


def error_of(ours, expected, rows, name):
    """The largest error over the rows that the golden keeps."""
    shape, numbers = ours.get(name) or (None, None)
    (_, vocabulary), wanted = expected[name]
    kept = expected[rows][1]
    if shape is None or len(shape) != 2 or shape[1] != vocabulary or shape[0] <= max(kept):
        raise Failure(f"{name} is {shape}, expected [more than {max(kept)}, {vocabulary}]")
    mine = array.array("f")
    for row in kept:
        mine.extend(numbers[row * vocabulary:(row + 1) * vocabulary])
    return largest_difference(mine, wanted) / deviation(wanted)


def rounding_limit(case):
    return SCALAR_LIMIT + 5 * case["fp32_rounding"]


def limit_of(case, kernels):
    return SCALAR_LIMIT if kernels == "scalar" else rounding_limit(case) + 1.5 * case["int8_error"]


def check_kernels(fathom, data, case, kernels):
    """(error, limit, the run's output)"""
    expected = read_safetensors(data / case["expected"])
    ours = compute(fathom, data, case, kernels)
    if ours["logits"][0][0] != case["length"]:
        raise Failure(f"logits of {ours['logits'][0][0]} positions, expected {case['length']}")
    error = error_of(ours, expected, "rows", "logits")
    if case["mtp"]:
        error = max(error, error_of(ours, expected, "mtp_rows", "mtp_logits"))
    return error, limit_of(case, kernels), ours


def check_eight_bit(data, case, ours):
    """The position that agrees best with the reference whose activations are rounded to 8 bits."""
    expected = read_safetensors(data / case["expected"])
    (_, vocabulary), wanted = expected["logits_int8"]
    spread, best = deviation(wanted), math.inf
    for i, row in enumerate(expected["rows"][1]):
        mine = ours["logits"][1][row * vocabulary:(row + 1) * vocabulary]
        best = min(best, largest_difference(mine, wanted[i * vocabulary:(i + 1) * vocabulary]) / spread)
    return best, rounding_limit(case)


def check_cells(fathom, data, case, whole):
    celled = compute(fathom, data, case, "scalar", "--prefill-cell", str(CELL))
    error = max(largest_difference(numbers, celled[name][1]) / deviation(numbers)
                for name, (_, numbers) in whole.items())
    return error, max(CELL_LIMIT, 2 * case["fp32_rounding"])


def machine_kernels():
    """The tables that this processor can run."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ["scalar"]
    flags = next((set(line.split(":")[1].split()) for line in lines if line.startswith("flags")), set())
    return [name for name, needs in NEEDS.items() if needs <= flags]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fathom", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--kernels", help="default: every table that this processor runs")
    parser.add_argument("--cases", help="only these, separated by commas")
    options = parser.parse_args()
    kernel_sets = options.kernels.split(",") if options.kernels else machine_kernels()
    cases = json.loads((options.data / "cases.json").read_text())
    if options.cases:
        wanted = options.cases.split(",")
        cases = [case for case in cases if case["name"] in wanted]
        if len(cases) != len(wanted):
            sys.exit(f"--cases {options.cases}: not all of these are in {options.data}/cases.json")
    fathom = str(options.fathom.resolve())
    passed = failed = 0

    def report(name, what, check):
        nonlocal passed, failed
        try:
            error, limit, *rest = check()
            good = error <= limit
            print(f"{name:28} {what:10} {error:9.1e} {limit:9.1e}  {'' if good else 'FAILED'}", flush=True)
        except (Failure, OSError, KeyError, ValueError, struct.error) as failure:
            good, rest = False, []
            print(f"{name:28} {what:10} FAILED: {failure}", flush=True)
        passed, failed = passed + good, failed + (not good)
        return rest

    print(f"{'case':28} {'kernels':10} {'error':>9} {'limit':>9}")
    for case in cases:
        for kernels in kernel_sets:
            ours = report(case["name"], kernels, lambda: check_kernels(fathom, options.data, case, kernels))
            if kernels == "scalar" and case["latent_attention"] and ours:
                report(case["name"], f"cells {CELL}", lambda: check_cells(fathom, options.data, case, ours[0]))
            if kernels != "scalar" and case["int8_error"] and ours:
                report(case["name"], "  +8 bit", lambda: check_eight_bit(options.data, case, ours[0]))
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
