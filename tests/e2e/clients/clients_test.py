#!/usr/bin/env python3
"""clients_test.py FATHOM MODEL NODE PYTHON

Real client libraries against real servers: `FATHOM serve MODEL`, and one whose model thinks (a golden's random weights
with a template that opens <think>). NODE is a folder with node in it, whose packages lie beside this file; PYTHON has the
packages of requirements.txt. Ends with "N passed, N failed".
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from server_test import Server  # noqa: E402

THINKING_TEMPLATE = ("{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}"
                     "{% if add_generation_prompt %}[assistant] <think>\n{% endif %}")


def make_thinker(folder):
    """A model that thinks: what it thinks is noise, but it comes where thoughts come."""
    thinker = pathlib.Path(folder) / "thinker"
    shutil.copytree(HERE.parent.parent / "golden/data/qwen2/model", thinker)
    config = thinker / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": THINKING_TEMPLATE}))
    return thinker


def run(command, environment):
    result = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, cwd=HERE)
    print(result.stdout, end="", flush=True)
    counts = re.findall(r"^(\d+) passed, (\d+) failed$", result.stdout, re.M)
    return (int(counts[-1][0]), int(counts[-1][1])) if counts else (0, 1)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    fathom, model, node, python = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        server, thinker = Server(fathom, model), Server(fathom, str(make_thinker(folder)))
        try:
            environment = {"FATHOM_URL": server.url, "FATHOM_THINKER_URL": thinker.url,
                           "FATHOM_MODEL": server.ask("GET", "/v1/models")[2]["data"][0]["id"]}
            counts = [run([os.path.join(node, "node"), "node_clients.mjs"], environment),
                      run([python, "python_clients.py"], environment)]
        finally:
            server.stop()
            thinker.stop()
    passed, failed = (sum(column) for column in zip(*counts))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
