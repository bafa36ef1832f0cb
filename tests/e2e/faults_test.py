#!/usr/bin/env python3
"""faults_test.py FATHOM [--kills N] [TEST...]

What goes wrong around a server, and who is up to no good: clients that hang up, read nothing, or send halves; kills at
random moments (N, 5 unless told); a full disk, a folder that may not be written to, no file descriptors, no memory; every
route without its key; strange hosts and origins. The model is tiny and random; the packages are those of
contract/requirements.txt. The last line is "N passed, N failed".
"""
import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import yaml

from outcome import Outcome, tests_of
from serving import Home, Server, tiny_model

ROOT = pathlib.Path(__file__).resolve().parents[2]
# All that is answered without a key where there are keys. The page's own files come on top: they are whatever the
# program carries.
OPEN = {("GET", "/health")}


def until(check, seconds=20):
    """Waits until it holds; what it gave last."""
    deadline = time.monotonic() + seconds
    while not (last := check()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return last


def stream_head(server, body):
    """The bytes of a streamed chat request."""
    text = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "stream": True, "ignore_eos": True} | body)
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: {len(text)}\r\n\r\n"
            f"{text}").encode()


def dial(server, **options):
    client = socket.socket()
    for option, value in options.items():
        client.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
    client.settimeout(60)
    client.connect(("127.0.0.1", server.port))
    return client


def read_until(client, text, times=1):
    came = b""
    while came.count(text) < times:
        part = client.recv(65536)
        assert part, came
        came += part
    return came


def is_idle(server):
    now = server.metrics()
    busy = [name for name, value in now.items()
            if value and (name.startswith("fathom_runs{") or re.match(r'fathom_cache_pages\{.*state="in_use"', name))]
    return not busy and now["fathom_streams"] == 0


def decoded(server):
    return server.metrics()['fathom_tokens_total{model="tiny",phase="decode"}']


def test_two_hundred_clients_that_hang_up(home):
    with Server(home) as server:
        for _ in range(4):
            clients = [dial(server) for _ in range(50)]
            for client in clients:
                client.sendall(stream_head(server, {"max_tokens": 16000}))
            for client in clients:
                read_until(client, b"data: ", 3)  # the role, and two pieces of text
            for client in clients:
                client.close()
            assert until(lambda: is_idle(server)), server.metrics()
            before = decoded(server)
            time.sleep(0.2)
            assert decoded(server) == before, "tokens for nobody"
        assert until(lambda: server.metrics().get('fathom_answers_cut_total{route="/v1/chat/completions"}') == 200)
        assert server.chat()[0] == 200
        assert decoded(server) < 200 * 16000 / 4


def test_a_client_that_reads_nothing_is_dropped_and_others_go_on(home):
    with Server(home, "--write-limit", "1") as server:
        lazy = dial(server, SO_RCVBUF=4096)
        lazy.sendall(stream_head(server, {"max_tokens": 16000, "logprobs": True, "top_logprobs": 20}))
        read_until(lazy, b'"content":')
        others = []
        for _ in range(5):
            begin = time.monotonic()
            others.append(server.chat(tokens=20)[0])
            assert time.monotonic() - begin < 30
        assert others == [200] * 5
        cut = 'fathom_answers_cut_total{route="/v1/chat/completions"}'
        assert until(lambda: server.metrics().get(cut) == 1, 60) and until(lambda: is_idle(server)), server.metrics()
        lazy.close()


def test_halves_and_drips_are_bounded(home):
    """Nothing, half a head, a head byte by byte, half a body: closed in time, and nobody else notices."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
    with Server(home) as server:
        memory = server.metrics()["process_resident_memory_bytes"]
        halves = [dial(server) for _ in range(150)]
        for number, client in enumerate(halves):
            client.sendall((b"", b"GET / HT", head)[number % 3])
        drips = [dial(server) for _ in range(50)]
        begin = time.monotonic()
        left = list(drips)
        at = 0
        while left and time.monotonic() - begin < 30:
            for client in list(left):
                try:
                    client.sendall(head[at % len(head):at % len(head) + 1])
                except OSError:
                    left.remove(client)
            at += 1
            if at % 5 == 0:
                assert server.chat()[0] == 200
            time.sleep(0.5)
        assert not left, f"{len(left)} of {len(drips)} clients that send a byte each half second are still there"
        # Those that sent nothing may stay as long as an idle connection may.
        assert until(lambda: server.metrics()["fathom_connections"] <= 52), server.metrics()["fathom_connections"]
        assert server.metrics()["process_resident_memory_bytes"] < memory + 64e6
        for client in halves + drips:
            client.close()
        assert until(lambda: server.metrics()["fathom_connections"] <= 2)


def test_what_is_too_large_is_refused_before_it_is_read(home):
    with Server(home) as server:
        memory = server.metrics()["process_resident_memory_bytes"]

        def status(text):
            with contextlib.closing(dial(server)) as client:
                client.sendall(text)
                return int(read_until(client, b"\r\n").split()[1])

        post = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        assert status(post + b"Content-Length: 99999999999\r\n\r\n") == 413
        assert status(post + b"X: " + b"x" * 100_000 + b"\r\n\r\n") == 431
        assert status(b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n") in (400, 431)
        with contextlib.closing(dial(server)) as client:  # chunks without an end
            client.sendall(post + b"Transfer-Encoding: chunked\r\n\r\n")
            sent = 0
            with contextlib.suppress(OSError):
                while sent < 256 << 20:
                    client.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
                    sent += 65536
            assert sent < 128 << 20, "a body of any length is taken"
        assert server.ask("/v1/chat/completions", "[" * 1_000_000)[0] == 400
        assert server.ask("/v1/chat/completions", '{"messages":' * 100_000)[0] == 400
        # Asked one behind the other without reading: answered in order, or cut, but never piled up.
        with contextlib.closing(dial(server)) as client:
            client.settimeout(2)
            asked = 0
            with contextlib.suppress(TimeoutError):
                for _ in range(10_000):
                    client.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
                    asked += 1
            assert asked < 10_000, "a server that takes in what nobody reads the answers of"
        assert server.chat()[0] == 200
        assert server.metrics()["process_resident_memory_bytes"] < memory + 200e6


def killed(home, key, reported):
    """Asks from several sides, kills at a random moment; adds what the clients were told was used."""
    wrong = []
    with Server(home) as server:
        ended = threading.Event()

        def ask(stream):
            while not ended.is_set():
                with contextlib.suppress(OSError, http.client.HTTPException, ValueError, IndexError):
                    question = [{"role": "user", "content": f"{random.random()} " * random.randrange(1, 60)}]
                    fields = {"messages": question, "stream": stream}
                    status, _, body = server.chat(key, random.randrange(1, 40), **fields)
                    if status != 200:
                        wrong.append((status, body))
                        continue
                    if stream:
                        body = json.loads([line for line in body.splitlines() if '"usage":{' in line][-1][6:])
                    reported.append(body["usage"]["completion_tokens"])

        workers = [threading.Thread(target=ask, args=(number % 2 == 0,)) for number in range(6)]
        for worker in workers:
            worker.start()
        time.sleep(random.uniform(0.05, 1.2))
        server.kill()
        ended.set()
        for worker in workers:
            worker.join()
    assert not wrong, wrong


def test_kills_lose_nothing_that_was_told(home):
    key, admin = home.add_key("ada"), home.add_key("root", "--scope", "admin")
    seed = random.randrange(10**6)
    random.seed(seed)
    reported = []
    for number in range(KILLS):
        killed(home, key, reported)
        # Both databases are sound, which a backup looks at, without anybody's help.
        home.run("backup", str(home.folder / f"{number}.backup"))
        booked = sum(row["output_tokens"] for row in home.usage())
        assert booked >= sum(reported), f"seed {seed}, kill {number}: {booked} booked, {sum(reported)} told"
    assert reported, f"seed {seed}: no answer came before any kill"
    with Server(home) as server:
        assert server.chat(key)[0] == 200
        now = server.metrics(admin)
        assert now['fathom_disk_cache_operations_total{operation="damaged"}'] == 0, now
        assert "corrupt" not in server.words() and "malformed" not in server.words(), server.words()
    print(f"        {KILLS} kills, {len(reported)} answers told (seed {seed})")


def start_run(server):
    wish = {"id": str(uuid.uuid4()), "conversation": {"id": str(uuid.uuid4())}, "parent_id": None,
            "answer_id": str(uuid.uuid4()), "message": {"id": str(uuid.uuid4()), "content": "x" * 9000},
            "options": {"temperature": 0, "max_tokens": 4}}
    status, _, text = server.ask("/app/runs", wish)
    return status, text


def test_a_full_disk(home):
    """No file may grow: answers go on, what cannot be kept is said, and all is well once there is room again."""
    with Server(home) as server:
        assert server.chat()[0] == 200 and start_run(server)[0] == 201
        before = sum(row["requests"] for row in home.usage())
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
        for _ in range(3):
            status, _, body = server.chat()
            assert status == 200, body
        status, text = start_run(server)
        assert status >= 400 and json.loads(text)["error"]["message"], text
        assert server.ask("/health")[0] == 200
        assert until(lambda: "is not in the ledger" in server.words()), server.words()
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
        assert server.chat()[0] == 200 and start_run(server)[0] == 201
        assert sum(row["requests"] for row in home.usage()) > before, "usage is written again"
        assert server.process.poll() is None
    said = run_limited(home, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)), "backup", str(home.folder / "b"))
    assert said.returncode == 1 and said.stderr.startswith("fathom: ") and said.stderr.count("\n") == 1, said


def run_limited(home, before, *words):
    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        before()

    return subprocess.run([home.fathom, *words], env=home.environment, capture_output=True, text=True, timeout=60,
                          preexec_fn=limited)


def as_nobody():
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def test_a_folder_that_may_not_be_written_to(home):
    own = Home(str(shutil.copy(home.fathom, home.folder / "program")), home.model, home.folder)
    if os.getuid() == 0:  # whom no permission stops
        for path in [home.folder, *home.folder.rglob("*"), pathlib.Path(home.model).parent]:
            os.chown(path, 65534, 65534)
    folders = lambda: [home.data, *(path for path in home.data.rglob("*") if path.is_dir())]  # noqa: E731
    with Server(own, before=as_nobody) as server:
        assert server.chat()[0] == 200 and start_run(server)[0] == 201
        for folder in folders():
            folder.chmod(0o500)
        for path in home.data.rglob("*"):
            if path.is_file():
                path.chmod(0o400)
        assert server.chat()[0] == 200 and server.ask("/health")[0] == 200
        assert server.ask("/app/conversations")[0] == 200
    said = run_limited(own, as_nobody, "serve", home.model, "--port", "0")
    assert said.returncode == 1 and str(home.data) in said.stderr and said.stderr.count("fathom: ") == 1, said
    for folder in folders():
        folder.chmod(0o700)
    for path in home.data.rglob("*"):
        if path.is_file():
            path.chmod(0o600)
    with Server(own, before=as_nobody) as server:
        assert server.chat()[0] == 200


def test_no_file_descriptor_is_left(home):
    with Server(home) as server, contextlib.closing(server.connect()) as kept:
        def ask():
            body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3, "ignore_eos": True}
            kept.request("POST", "/v1/chat/completions", json.dumps(body))
            reply = kept.getresponse()
            return reply.status, json.loads(reply.read())

        assert ask()[0] == 200
        before = sum(row["requests"] for row in home.usage())
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        used = int(server.metrics()["process_open_fds"])
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 10, limits[1]))
        clients = [dial(server) for _ in range(40)]  # the system takes them, the server cannot
        assert until(lambda: "cannot accept" in server.words()), server.words()
        for _ in range(3):
            assert ask()[0] == 200, "who is there already is served"
        assert until(lambda: sum(row["requests"] for row in home.usage()) == before + 3), "and booked"
        assert server.words().count("cannot accept") < 200, "and the log is not filled with it"
        for client in clients:
            client.close()
        assert until(lambda: server.ask("/health")[0] == 200), "whoever comes after is served again"
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
        assert server.chat()[0] == 200


def test_a_limit_on_memory(home):
    small = lambda: resource.setrlimit(resource.RLIMIT_AS, (1500 << 20, 1500 << 20))  # noqa: E731
    said = run_limited(home, small, "serve", home.model, "--port", "0", "--ctx", "16000000")
    assert said.returncode == 1 and "lower --ctx or raise the limit" in said.stderr, said
    with Server(home, before=small) as server:
        prompt = [{"role": "user", "content": "x" * 12000}]
        assert [server.chat(messages=prompt, n=4)[0] for _ in range(3)] == [200] * 3
    with Server(home) as server:
        assert server.chat()[0] == 200
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_AS)
        taken = int(server.metrics()["process_virtual_memory_bytes"])
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (taken + (8 << 20), limits[1]))
        large = json.dumps({"messages": [{"role": "user", "content": "x" * (24 << 20)}]})
        for _ in range(3):
            with contextlib.suppress(OSError, http.client.HTTPException):  # a connection may be lost, no more
                assert server.ask("/v1/chat/completions", large)[0] >= 400
        assert server.process.poll() is None, server.words()
        assert server.chat()[0] == 200, "a small request is served all the while"
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, limits)
        assert server.chat()[0] == 200


def documented():
    """Every operation of both documents: (method, path), with an id where a path wants one."""
    documents = [json.loads((ROOT / "src/server/openapi.json").read_text()), yaml.safe_load((ROOT / "web/api/app.yaml").read_text())]
    for document in documents:
        for path, operations in document["paths"].items():
            for method in operations:
                if method in ("get", "post", "put", "patch", "delete"):
                    yield method.upper(), re.sub(r"\{[^}]*\}", "0123456789abcdef", path)


def test_every_route_wants_its_key(home):
    key, admin = home.add_key("ada"), home.add_key("root", "--scope", "admin")
    gone = home.add_key("eve")
    home.run("keys", "revoke", "eve")
    with tempfile.TemporaryDirectory() as folder:
        another = Home(home.fathom, home.model, folder).add_key("ada")  # of another server
    routes = sorted(set(documented()))
    assert len(routes) > 50, routes
    # Behind a proxy the page's API is for keys too: whoever asks could be anybody.
    with Server(home, "--proxy", "https://chat.example.com") as server:
        for method, path in routes:
            body = None if method in ("GET", "DELETE") else {}
            for name, secret in (("none", None), ("wrong", key + "x"), ("revoked", gone), ("another server's", another)):
                status, headers, text = server.ask(path, body, secret, method)
                wanted = 200 if (method, path) in OPEN else 401
                assert status == wanted, f"{method} {path} with the key {name}: {status} {text[:200]}"
            status, _, text = server.ask(path, body, key, method)
            if path.startswith("/app/") or path == "/metrics":
                assert status == 403, f"{method} {path} is for administrators: {status} {text[:200]}"
            else:
                assert status not in (401, 403), f"{method} {path} with its key: {status} {text[:200]}"
        assert server.ask("/app/session", key=admin)[0] == 200 and server.ask("/metrics", key=admin)[0] == 200
        for path in ("/nothing", "/app/nothing", "/v1/", "/../health", "//health", "/health/", "/HEALTH", "/metrics/"):
            assert server.ask(path)[0] in (400, 401), path
        for method in ("TRACE", "CONNECT", "PUT", "DELETE"):
            assert server.ask("/health", method=method)[0] in (400, 401, 405), method


def test_strange_hosts_and_origins(home):
    ours = "https://app.example.com"
    with Server(home, "--allow-origin", ours) as server:
        def status(**headers):
            return server.ask("/v1/models", headers=headers)[0]

        here = f"127.0.0.1:{server.port}"
        for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", "localhost.evil.example",
                     "169.254.1.1", "0.0.0.0", "[::2]", "", "localhost@evil.example"):
            assert status(Host=host) in (400, 403), host
        for host in (here, f"localhost:{server.port}", "localhost", "LOCALHOST.", f"[::1]:{server.port}"):
            assert status(Host=host) == 200, host
        for origin in ("https://evil.example", "null", "https://app.example.com.evil.example", "http://app.example.com",
                       "https://app.example.com:444", "file://", f"http://evil.example:{server.port}"):
            assert status(Origin=origin) == 403, origin
        assert status(Origin=f"http://{here}", Host=here) == 200
        _, headers, _ = server.ask("/v1/models", headers={"Origin": ours})
        assert headers["Access-Control-Allow-Origin"] == ours and "X-Request-Id" in headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in headers
        asked = {"Origin": ours, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        code, headers, _ = server.ask("/v1/chat/completions", method="OPTIONS", headers=asked)
        assert code == 204 and headers["Access-Control-Allow-Origin"] == ours, headers
        code, headers, _ = server.ask("/v1/chat/completions", method="OPTIONS", headers=asked | {"Origin": "https://evil.example"})
        assert code == 403 and "Access-Control-Allow-Origin" not in headers, headers
    with Server(home) as server:
        _, headers, _ = server.ask("/v1/models")
        assert not [name for name in headers if name.lower().startswith("access-control")], headers


def main():
    global KILLS
    words = sys.argv[2:]
    KILLS = 5
    if words[:1] == ["--kills"]:
        KILLS = int(words[1])
        words = words[2:]
    fathom = str(pathlib.Path(sys.argv[1]).resolve())
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as models:
        pathlib.Path(models).chmod(0o755)
        model = tiny_model(models)
        for name, test in tests_of(globals(), words):
            with tempfile.TemporaryDirectory() as folder:
                outcome.attempt(name, lambda: test(Home(fathom, model, folder)))
    outcome.end()


if __name__ == "__main__":
    main()
