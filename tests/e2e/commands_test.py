#!/usr/bin/env python3
"""commands_test.py FATHOM MODEL

The commands as scripts call them: exact forms, exit codes (1 bad input, 2 usage), what goes to which output, and what
they say of bad input. Tiny random checkpoints of tests/golden/data stand for models; MODEL is a real one. Standard
library only; the last line is "N passed, N failed".
"""
import json
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from outcome import Outcome, tests_of

DATA = pathlib.Path(__file__).resolve().parents[1] / "golden" / "data"
FATHOM, MODEL = "", ""


def run(*words, environment=None, stdout=subprocess.PIPE, stdin=""):
    return subprocess.run([FATHOM, *map(str, words)], input=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120,
                          env=os.environ | (environment or {}))


def refuses(*words, status=1, says=(), **how):
    """One clear line on standard error, nothing on standard output."""
    done = run(*words, **how)
    assert done.returncode == status, done
    assert not done.stdout, done
    for word in [says] if isinstance(says, str) else says:
        assert word in done.stderr, f"{word!r} is not in: {done.stderr}"
    if status == 1:
        assert done.stderr.startswith("fathom: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def text_file(folder, text):
    path = folder / "text.txt"
    path.write_text(text)
    return path


def copy_of(case, folder):
    shutil.copytree(DATA / case / "model", folder / "model")
    return folder / "model"


def change_config(model, **values):
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | values))


def test_every_command_has_help_with_an_example(folder):
    top = run("--help")
    assert top.returncode == 0
    names = [line.split()[0] for line in top.stdout.split("Subcommands:")[1].splitlines() if line.startswith("  ") and line[2] != " "]
    assert {"chat", "generate", "serve", "pull", "list", "rm", "inspect", "tokenize", "detokenize", "render", "logits",
            "perplexity", "quantize", "bench", "completions"} <= set(names), names
    for name in names:
        done = run(name, "--help")
        assert done.returncode == 0 and "fathom " in done.stdout.split("\nExample:\n  ")[1], done
    assert run("--version").stdout.startswith("fathom ")


def test_settings_of_the_wrong_type_are_refused(folder):
    model = copy_of("llama", folder)
    settings = model / "generation_config.json"
    for text, says in (('{"temperature": "hot"}', "temperature is '\"hot\"', expected a number"),
                       ('{"eos_token_id": "</s>"}', "eos_token_id")):
        settings.write_text(text)
        refuses("inspect", model, says=says)
    settings.write_text('{"temperature": 0.6, "top_k": null}')
    assert json.loads(run("inspect", model, "--json").stdout)["sampling"]["temperature"] == 0.6


def test_a_folder_with_only_a_gguf_names_it(folder):
    shutil.copy(DATA / "gguf-qwen3-yarn" / "model.gguf", folder / "model.gguf")
    refuses("inspect", folder, says="holds 'model.gguf': name that file")


def test_ids_are_an_array_or_numbers_between_white_space(folder):
    ids = folder / "ids"
    for text in ("[1, 2]", " 1\n2 ", "1, 2"):
        ids.write_text(text)
        assert run("detokenize", MODEL, "--ids-file", ids).returncode == 0, text
    for text, says in (("[1,2", "not valid JSON"), ("[1, \"a\"]", "no token id"), ("[1] 2", "not valid JSON")):
        ids.write_text(text)
        refuses("detokenize", MODEL, "--ids-file", ids, says=says)


def test_usage_is_refused_with_two(folder):
    for words in (["bogus"], [], ["generate", MODEL], ["generate", MODEL, "-p", "a", "--prompt-file", "b"], ["inspect"],
                  ["generate", MODEL, "-p", "a", "-n", "0"], ["bench", MODEL, "--threads", "0"], ["tokenize", MODEL],
                  ["generate", MODEL, "-p", "a", "--cache-type", "q4"], ["quantize", MODEL, "x.gguf", "--type", "q9"]):
        refuses(*words, status=2)
    assert '"bogus"' in refuses("bogus", status=2)


def test_a_full_disk_behind_standard_output_is_said(folder):
    text = text_file(folder, "some text")
    for words in (["tokenize", MODEL, "--file", text], ["generate", MODEL, "-p", "Hi", "-n", "2"], ["list", "--all"]):
        with open("/dev/full", "w") as full:
            done = run(*words, stdout=full)
        assert done.returncode == 1 and "standard output: cannot be written: No space left" in done.stderr, done


def test_flags_of_all_that_run_a_model(folder):
    flags = ["--threads", "1", "--ctx", "300", "--cache-type", "f32", "--seed", "3"]
    text = text_file(folder, "Some text to look at.")
    ids = folder / "ids.txt"
    ids.write_text("1 2 3")
    for words in (["generate", MODEL, "-p", "Hi", "-n", "2"], ["perplexity", MODEL, "--file", text],
                  ["logits", MODEL, "--tokens-file", ids, "--out", folder / "l.safetensors"],
                  ["bench", MODEL, "--prefill", "8", "--decode", "2"]):
        done = run(*words, *flags)
        assert done.returncode == 0 and "context:" not in done.stderr, done
    assert "--seed" in run("serve", "--help").stdout and "--seed" in run("chat", "--help").stdout


def test_it_says_which_context_it_took(folder):
    assert "context: 8192 tokens\n" == run("generate", MODEL, "-p", "Hi", "-n", "1").stderr
    assert "was made for a context of 8192 tokens" in run("generate", MODEL, "-p", "Hi", "-n", "1", "--ctx", "9000").stderr


def test_a_seed_repeats_an_answer_and_none_does_not(folder):
    def say(*flags):
        return run("generate", MODEL, "-p", "Name a colour.", "-n", "12", "--temp", "2", *flags).stdout
    assert say("--seed", "0") == say("--seed", "0")
    assert say("--seed", "7") != say("--seed", "0")
    assert len({say() for _ in range(4)}) > 1


def test_a_script_reads_the_answer_as_json(folder):
    done = run("generate", MODEL, "-p", "Say hi.", "-n", "5", "--json", "--temp", "0")
    answer = json.loads(done.stdout)
    assert set(answer) == {"text", "reasoning", "prompt_tokens", "tokens", "finish_reason", "seconds"}, answer
    assert answer["tokens"] == 5 and answer["finish_reason"] == "length"
    # An empty text is a text; this model puts no token before it.
    assert "there are no tokens" in run("generate", MODEL, "-p", "", "--raw", "-n", "2").stderr


def test_bench_keeps_to_the_context_it_was_given(folder):
    refuses("bench", MODEL, "--prefill", "600", "--decode", "1", "--ctx", "512", says=["601", "512"])
    done = run("bench", MODEL, "--prefill", "8,16", "--decode", "2", "--depth", "0,4", "--json", "--ctx", "512")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["what"] for line in lines] == ["prefill", "prefill", "decode", "decode"]
    assert all(set(line) == {"name", "what", "n", "depth", "tps", "seconds", "bytes_per_token", "share_of_bandwidth"} for line in lines)


def test_kernels_that_do_not_exist_are_not_replaced(folder):
    refuses("generate", MODEL, "-p", "Hi", "-n", "1", environment={"FATHOM_KERNELS": "sclar"}, says=["sclar", "scalar"])


def test_a_model_of_no_numbers_is_said_to_be_damaged(folder):
    model = copy_of("llama", folder)
    weights = model / "model.safetensors"
    bytes_ = bytearray(weights.read_bytes())
    header = 8 + int.from_bytes(bytes_[:8], "little")
    bytes_[header:] = b"\xff" * (len(bytes_) - header)
    weights.write_bytes(bytes_)
    text = text_file(folder, "abc abc abc")
    refuses("generate", model, "-p", "a", "--raw", "-n", "4", "--ctx", "64", "--json", says="damaged")
    refuses("perplexity", model, "--file", text, "--ctx", "64", "--json", says="damaged")


def test_layers_that_are_left_over_are_refused(folder):
    model = copy_of("llama", folder)
    change_config(model, num_hidden_layers=1)
    refuses("generate", model, "-p", "a", "--raw", "-n", "1", "--ctx", "64", says="model.layers.1.")


def test_options_that_change_the_result_are_refused(folder):
    model = copy_of("llama", folder)
    change_config(model, layer_types=["full_attention", "sliding_attention"])
    refuses("generate", model, "-p", "a", "--raw", "-n", "1", "--ctx", "64", says=["layer_types", "sliding_attention"])


def test_what_is_no_file_is_said(folder):
    refuses("tokenize", MODEL, "--file", folder, says="is a directory")
    refuses("tokenize", MODEL, "--file", folder / "nothing.txt", says="nothing.txt")
    refuses("inspect", folder / "nothing.gguf", says="nothing.gguf")
    ids = folder / "ids.txt"
    ids.write_text("1 99999999")
    refuses("logits", MODEL, "--tokens-file", ids, "--out", folder / "o.safetensors", "--ctx", "64", says="(number 2)")


SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}


def typed(shell, lines):
    """What a shell at a terminal shows for each of the lines, typed with Tab where they say so."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", PATH=f"{pathlib.Path(FATHOM).parent}:{os.environ['PATH']}")
        os.execvp(SHELLS[shell][0], SHELLS[shell])
    shown = []
    try:
        for line, wanted in lines:
            os.write(terminal, line.encode())
            text, end = "", time.monotonic() + 20
            while (wanted is None or wanted not in text) and time.monotonic() < end:
                if select.select([terminal], [], [], 0.5)[0]:
                    text += os.read(terminal, 65536).decode(errors="replace")
                elif wanted is None:
                    break
            shown.append(text)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return shown


def test_shells_complete_commands_options_and_values(folder):
    setup = {
        "bash": "source <(fathom completions bash)\n",
        "zsh": "autoload -Uz compinit; compinit -D; source <(fathom completions zsh)\n",
        "fish": "fathom completions fish | source\n",
    }
    for shell, words in setup.items():
        lines = [(words, None), ("fathom compl\t", "completions"), ("\x15fathom generate --cache-t\t", "--cache-type"),
                 ("\x15fathom bench --cache-type bf\t", "bf16"), ("\x15fathom keys revo\t", "revoke")]
        for (line, wanted), shown in zip(lines[1:], typed(shell, lines)[1:]):
            assert wanted in shown, f"{shell}: {line!r} shows {shown!r}"


def test_a_name_one_letter_off_is_suggested(folder):
    refuses("chat", "r1-distill-qwen-1.5c", says="r1-distill-qwen-1.5b")


def main():
    global FATHOM, MODEL
    FATHOM, MODEL = (str(pathlib.Path(word).resolve()) for word in sys.argv[1:3])
    outcome = Outcome()
    for name, test in tests_of(globals(), sys.argv[3:]):
        with tempfile.TemporaryDirectory() as folder:
            outcome.attempt(name, lambda: test(pathlib.Path(folder)))
    outcome.end()


if __name__ == "__main__":
    main()
