#!/usr/bin/env python3
"""serving_test.py FATHOM MODEL

How a server is run: several models within a budget of memory, `fathom ps` and `unload`, fathom.toml, stopping, and models
fetched through the page's interface from a server that behaves as the hub does. MODEL is a real one; tiny random
checkpoints of tests/golden/data stand for others. Standard library only; ends with "N passed, N failed".
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

FATHOM, MODEL = sys.argv[1], sys.argv[2]
del sys.argv[1:]
from hub_test import Hub, Repo  # noqa: E402  (it reads the words of the command line when it is loaded)
from outcome import Outcome, tests_of  # noqa: E402

DATA = pathlib.Path(__file__).resolve().parents[1] / "golden" / "data"
TINY, OTHER = DATA / "qwen2" / "model", DATA / "llama" / "model"
START_SECONDS = 120
LONG = [{"role": "user", "content": "Count from one to two hundred in words, one after the other."}]
R1 = "r1-distill-qwen-1.5b"


class Server:
    """A running `fathom serve` in a home of its own."""

    def __init__(self, home, *words, environment=None):
        self.home = home
        self.environment = os.environ | {"XDG_DATA_HOME": str(home), "HOME": str(home)} | (environment or {})
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([FATHOM, "serve", *map(str, words)], stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env=self.environment)
        stuck = threading.Timer(START_SECONDS, self.process.kill)
        stuck.start()
        self.first_line = self.process.stdout.readline()
        stuck.cancel()
        found = re.search(r"https?://\S+", self.first_line)
        if not found:
            self.process.wait(30)
            self.log.seek(0)
            raise AssertionError(f"the server did not start: {self.log.read().decode(errors='replace')}")
        self.url = found.group(0)
        parts = urllib.parse.urlsplit(self.url)
        self.host, self.port = parts.hostname, parts.port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(40)
        self.process.stdout.close()
        self.log.close()

    def ask(self, method, path, body=None, **headers):
        with contextlib.closing(http.client.HTTPConnection(self.host, self.port, timeout=120)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            text = reply.read()
            return reply.status, json.loads(text) if text.strip() else None

    def tokens(self, model):
        return self.ask("POST", "/tokenize", {"model": model, "content": "hello"})

    def loaded(self):
        return [model["name"] for model in self.ask("GET", "/api/ps")[1]["models"]]

    def run(self, *words):
        return subprocess.run([FATHOM, *map(str, words)], capture_output=True, text=True, timeout=120, env=self.environment)


def until(holds, what, limit=30):
    end = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < end, f"not within {limit} s: {what}"
        time.sleep(0.05)


def toml(home, text):
    path = home / "fathom.toml"
    path.write_text(text)
    return path


def test_models_come_when_they_are_asked_for_and_go(home):
    with Server(home, MODEL, "--port", "0", "--config", toml(home, f'[models]\ntiny = "{TINY}"\n')) as server:
        first = server.loaded()
        assert len(first) == 1, first
        listed = server.ask("GET", "/v1/models")[1]["data"]
        assert [model["loaded"] for model in listed] == [True, False] and listed[1]["id"] == "tiny", listed
        status, reply = server.tokens("tiny")
        assert status == 200 and reply["count"] > 0, reply
        assert server.loaded() == [*first, "tiny"]
        status, reply = server.tokens("tinny")
        assert status == 404 and "there is: tiny, " in reply["error"]["message"], reply

        ps = server.run("ps")
        assert ps.returncode == 0 and server.url in ps.stdout and "tiny" in ps.stdout and "in 15 min" in ps.stdout, ps
        assert json.loads(server.run("ps", "--json").stdout)[1]["name"] == "tiny"
        gone = server.run("unload", "tiny")
        assert (gone.returncode, gone.stdout) == (0, "unloaded tiny\n"), gone
        assert server.loaded() == first
        wrong = server.run("unload", "tinny")
        assert wrong.returncode == 1 and "there is: tiny" in wrong.stderr, wrong
        assert server.run("unload").stdout == f"unloaded {first[0]}\n"
        assert server.loaded() == []
        assert server.tokens("")[0] == 200 and server.loaded() == first, "the first one comes back"


def test_the_budget_of_memory_holds(home):
    config = toml(home, f'memory = "1200MB"\nkeep_alive = "1h"\nctx = 512\n[models]\na = "{TINY}"\nb = "{OTHER}"\n')
    with Server(home, "--config", config, "--port", "0") as server:
        assert "a and 1 more" in server.first_line, server.first_line
        assert server.tokens("b")[0] == 200
        assert sorted(server.loaded()) == ["b"] or sorted(server.loaded()) == ["a", "b"], server.loaded()
        assert sum(model["memory"] for model in server.ask("GET", "/api/ps")[1]["models"]) <= 1_258_291_200
        answers = [threading.Thread(target=server.tokens, args=(name,)) for name in "ab" * 4]
        for answer in answers:
            answer.start()
        for answer in answers:
            answer.join()
        assert server.tokens("a")[0] == 200
    with Server(home, "--config", config, "--port", "0", "--memory", "550MB", TINY) as server:
        assert server.tokens("b")[0] == 200
        assert server.loaded() == ["b"], "one at a time"


def test_keep_alive_of_a_request(home):
    with Server(home, MODEL, "--port", "0", "--config", toml(home, f'[models]\ntiny = "{TINY}"\n')) as server:
        status, reply = server.ask("POST", "/api/generate", {"model": "tiny", "keep_alive": -1})
        assert status == 200 and reply["done_reason"] == "load", reply
        assert "stays" in server.run("ps").stdout
        server.ask("POST", "/api/generate", {"model": "tiny", "keep_alive": "200ms"})
        until(lambda: len(server.loaded()) == 1, "tiny leaves")


def test_a_model_that_cannot_be_loaded(home):
    bad = home / "bad.gguf"
    bad.write_bytes(b"GGUF" + b"\0" * 100)
    with Server(home, MODEL, "--port", "0", "--config", toml(home, f'[models]\nbad = "{bad}"\n')) as server:
        status, reply = server.tokens("bad")
        assert status == 500 and reply["error"]["code"] == "model_load_failed" and "bad.gguf" in reply["error"]["message"], reply
        assert server.tokens("")[0] == 200


def test_the_configuration(home):
    def refuses(text, *says):
        done = subprocess.run([FATHOM, "serve", "--config", str(toml(home, text)), MODEL], capture_output=True, text=True, timeout=60,
                              env=os.environ | {"XDG_DATA_HOME": str(home)})
        assert done.returncode == 1 and not done.stdout, done
        for word in says:
            assert word in done.stderr, f"{word!r} is not in {done.stderr!r}"

    refuses('memroy = "3GB"\n', "fathom.toml: line 1", 'no setting "memroy"', '"memory"')
    refuses("\nport = 70000\n", "line 2", "port")
    refuses('keep_alive = "soon"\n', "line 1", "expected a time")
    refuses("[model]\n", "[models]")
    refuses('[models]\n"a b" = "x"\n', "no name for a model")
    refuses('[models]\na = "/nothing/here.gguf"\n', "[models] a", "no such file")
    refuses("prices = 3\n", "prices")
    refuses("host = [\n", "line")
    with Server(home, "--config", toml(home, f'port = 1\nno_chat = true\napi_key = "secret"\nallow_origin = ["http://a", "http://b"]\n'), "--port", "0",
                MODEL) as server:
        assert server.port != 1, "flags win"
        assert server.ask("GET", "/v1/models")[0] == 401
        assert server.ask("GET", "/v1/models", Authorization="Bearer secret", Origin="http://b")[0] == 200
        assert server.ask("GET", "/v1/models", Authorization="Bearer secret", Origin="http://c")[0] == 403
        assert server.run("ps").returncode == 0, "this person's own programs need no key"
        second = server.run("serve", MODEL, "--no-chat", "--port", server.port)
        assert second.returncode == 1 and f"fathom serves at {server.url} already" in second.stderr, second
    no_server = server.run("ps")
    assert no_server.returncode == 1 and "no server runs here" in no_server.stderr, no_server


def test_stopping_lets_answers_end_and_refuses_new_ones(home):
    with Server(home, MODEL, "--port", "0", "--drain", "60") as server:
        with contextlib.closing(http.client.HTTPConnection(server.host, server.port, timeout=120)) as connection:
            connection.request("POST", "/v1/chat/completions", json.dumps({"messages": LONG, "stream": True, "max_tokens": 150, "ignore_eos": True}))
            reply = connection.getresponse()
            begun = reply.read(200)
            server.process.send_signal(signal.SIGTERM)
            until(lambda: server.ask("GET", "/health")[0] == 503, "refused")
            status, refused = server.ask("POST", "/v1/chat/completions", {"messages": LONG})
            assert status == 503 and refused["error"]["code"] == "stopping", refused
            text = begun + reply.read()
        assert b'"finish_reason":"length"' in text and text.endswith(b"data: [DONE]\n\n"), text[-300:]
        assert server.process.wait(30) == 0


def test_a_second_signal_ends_at_once(home):
    with Server(home, MODEL, "--port", "0", "--drain", "60") as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=120)
        connection.request("POST", "/v1/chat/completions", json.dumps({"messages": LONG, "stream": True, "max_tokens": 4000, "ignore_eos": True}))
        connection.getresponse().read(100)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(5) == 128 + signal.SIGINT
        connection.close()


def test_a_chat_in_the_terminal_uses_the_running_server(home):
    with Server(home, MODEL, "--port", "0") as server:
        def chat(*words):
            done = subprocess.run([FATHOM, "chat", MODEL, "--temp", "0", "-n", "24", *words], input="What is the capital of France?",
                                  capture_output=True, text=True, timeout=120, env=server.environment)
            assert done.returncode == 0, done
            return done.stdout

        def asked():
            return sum(row["requests"] for row in json.loads(server.run("usage", "--json").stdout))

        served = chat()
        assert asked() == 1, "the server answered"
        assert chat("--no-server") == served and asked() == 1
        assert chat("--ctx", "1024") == served and asked() == 1, "a context of its own needs a model of its own"
        server.run("unload")
        assert chat() == served and asked() == 1, "a server that has it not loaded is not asked to"


def test_models_are_fetched_through_the_page(home):
    gguf = home / "tiny.gguf"
    made = subprocess.run([FATHOM, "quantize", str(TINY), str(gguf), "--type", "q8_0"], capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made
    hub = Hub()
    name = "DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf"
    hub.repos["bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF"] = Repo({name: gguf.read_bytes()})
    try:
        with Server(home, MODEL, "--port", "0", environment={"HF_ENDPOINT": hub.endpoint}) as server:
            def model(name=R1):
                return next(m for m in server.ask("GET", "/app/models")[1]["models"] if m["id"] == name)

            assert model()["state"] == "remote" and model()["fits"] in ("well", "tight", "too_large"), model()
            assert server.ask("GET", "/app/session")[1]["features"]["downloads"] is True
            assert server.ask("GET", "/app/models")[1]["hub"] == "unknown"
            until(lambda: server.ask("GET", "/app/models?probe_hub=true")[1]["hub"] == "reachable", "the hub answers")
            assert server.ask("POST", f"/app/models/{R1}/load")[0] == 409
            assert server.ask("PUT", "/app/models/nothing/download", {"state": "running"})[0] == 404
            assert server.ask("PUT", f"/app/models/{R1}/download", {"state": "fast"})[0] == 400
            status, begun = server.ask("PUT", f"/app/models/{R1}/download", {"state": "running"})
            assert status == 202 and begun["state"] in ("downloading", "on_disk"), begun
            until(lambda: model()["state"] == "on_disk", "it is here")
            status, loading = server.ask("POST", f"/app/models/{R1}/load")
            assert status == 202 and loading["state"] in ("loading", "loaded"), loading
            until(lambda: model()["state"] == "loaded", "it is loaded")
            assert server.tokens(R1)[0] == 200 and R1 in server.loaded()
            fetched = (home / "fathom" / "models" / R1 / name).read_bytes()
            assert fetched == gguf.read_bytes()
    finally:
        hub.stop()
    with Server(home, MODEL, "--port", "0", environment={"HF_ENDPOINT": hub.endpoint}) as server:
        status, reply = server.ask("POST", f"/app/models/{R1}/load")
        assert status == 202, "it is still here without the hub"
        server.ask("PUT", "/app/models/r1-distill-qwen-7b/download", {"state": "running"})
        status, reply = server.ask("DELETE", "/app/models/r1-distill-qwen-7b/download")
        assert status == 200 and reply["state"] == "remote", reply


def main():
    outcome = Outcome()
    for name, test in tests_of(globals()):
        with tempfile.TemporaryDirectory() as folder:
            outcome.attempt(name, lambda: test(pathlib.Path(folder)))
    outcome.end()


if __name__ == "__main__":
    main()
