#!/usr/bin/env python3
"""measure_load.py FATHOM MODEL [--peer LLAMA_SERVER] [--clients 1,4,16,64] [--tokens N] [--rounds N]

Tokens a second of all clients together, for several numbers of clients, from `fathom serve` and, with --peer, from
llama.cpp's own server on the same file, turn by turn in one run. Prints a table in Markdown. Where nothing else runs."""
import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
import stream_load  # noqa: E402

WORDS = "the river stone light seven water count under green old road".split()
CONTEXT = 1024  # of one client


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server in a process of its own, up when it answers /health."""

    def __init__(self, name, command, port, folder):
        self.name = name
        self.log = open(Path(folder) / f"{name}.log", "w")
        environment = {**os.environ, "FATHOM_DATA": str(folder), "XDG_DATA_HOME": str(folder)}
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=environment)
        self.url = urlsplit(f"http://127.0.0.1:{port}/v1/completions")
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            if self.process.poll() is not None:
                sys.exit(f"{name} ended with {self.process.returncode}: {self.log.name}")
            time.sleep(0.1)
        sys.exit(f"{name} does not come up: {self.log.name}")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def bodies(model, clients, tokens, round_number):
    """Prompts of about a hundred tokens, each another, so that no cache helps."""
    for client in range(clients):
        seed = 1000 * round_number + client
        text = " ".join(WORDS[(seed * 7 + i * i * (seed + 3)) % len(WORDS)] for i in range(100))
        yield {"model": model, "prompt": f"{seed} {text}", "max_tokens": tokens, "temperature": 1.0, "ignore_eos": True}


def measure(server, model, clients, tokens, round_number):
    whole, lost = stream_load.streams(server.url, list(bodies(model, clients, tokens, round_number)), limit=600)
    if lost:
        sys.exit(f"{server.name}, {clients} clients: {lost[0]}")
    return stream_load.tokens_per_second(whole)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("fathom")
    a.add_argument("model")
    a.add_argument("--peer")
    a.add_argument("--clients", default="1,4,16,64")
    a.add_argument("--tokens", type=int, default=96)
    a.add_argument("--rounds", type=int, default=2)
    o = a.parse_args()
    counts = [int(n) for n in o.clients.split(",")]
    threads = str(len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as folder:
        ports = free_port(), free_port()
        servers = [Server("fathom", [o.fathom, "serve", o.model, "--port", str(ports[0]), "--threads", threads,
                                     "--ctx", str(CONTEXT), "--cache-disk", "0", "--no-chat"], ports[0], folder)]
        if o.peer:
            most = max(counts)
            servers.append(Server("llama.cpp", [o.peer, "-m", o.model, "--port", str(ports[1]), "-t", threads,
                                                "-np", str(most), "-c", str(most * CONTEXT)], ports[1], folder))
        best = {}
        try:
            model = Path(o.model).stem
            for round_number in range(o.rounds):
                for clients in counts:
                    for server in servers:
                        rate = measure(server, model, clients, o.tokens, round_number)
                        best[server.name, clients] = max(rate, best.get((server.name, clients), 0))
        finally:
            for server in servers:
                server.stop()
    names = [s.name for s in servers]
    print("| clients | " + " | ".join(f"{n}, tokens/s | to one client" for n in names) + (" | ratio |" if o.peer else " |"))
    print("| --- " * (2 + 2 * len(names) - (0 if o.peer else 1)) + "|")
    for clients in counts:
        cells = [f"{best[n, clients]:.1f} | {best[n, clients] / best[n, counts[0]]:.2f}" for n in names]
        ratio = f" | {best[names[0], clients] / best[names[1], clients]:.2f}" if o.peer else ""
        print(f"| {clients} | " + " | ".join(cells) + ratio + " |")


main()
