#!/usr/bin/env python3
"""operation_test.py FATHOM

Running a server: its numbers, its log, its backups, what the page uses, how long a request may wait. The model is tiny
and random, so what it says does not matter; the packages are those of contract/requirements.txt. The last line is
"N passed, N failed".
"""
import collections
import contextlib
import json
import pathlib
import re
import sqlite3
import sys
import tempfile
import threading
import time
import uuid

import prometheus_client.parser

from outcome import Outcome, tests_of
from serving import Home, Server, tiny_model

LONG_TEXT = [{"role": "user", "content": "the sea and the rivers " * 30}]


class Numbers:
    """The samples of /metrics, and how they moved since others were taken."""

    def __init__(self, server, key=None):
        status, headers, text = server.ask("/metrics", key=key)
        assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), (status, headers)
        self.samples, self.types = {}, {}
        for family in prometheus_client.parser.text_string_to_metric_families(text):
            self.types[family.name] = family.type
            for sample in family.samples:
                labels = tuple(sorted(sample.labels.items()))
                assert (sample.name, labels) not in self.samples, f"twice: {sample}"
                self.samples[sample.name, labels] = sample.value

    def get(self, name, **labels):
        """The sum of the samples that have these labels."""
        return sum(value for (found, its), value in self.samples.items()
                   if found == name and labels.items() <= dict(its).items())

    def since(self, before, name, **labels):
        return self.get(name, **labels) - before.get(name, **labels)


def settled(server, before, requests):
    """The numbers once so many more requests are over: a request is counted after its answer has gone out."""
    deadline = time.monotonic() + 10
    while True:
        now = Numbers(server)
        scrapes = now.since(before, "fathom_requests_total", route="/metrics")
        idle = now.get("fathom_runs") == 0 and now.get("fathom_streams") == 0
        if (now.since(before, "fathom_requests_total") - scrapes == requests and idle) or time.monotonic() > deadline:
            return now
        time.sleep(0.05)


def test_the_numbers_move_as_they_should(home):
    with Server(home) as server:
        before = Numbers(server)
        answers = [server.chat(tokens=9, messages=LONG_TEXT)[2]["usage"] for _ in range(2)]
        server.chat(tokens=5, stream=True)
        assert server.chat(temperature=9)[0] == 422
        assert server.ask("/v1/messages", {"messages": [], "max_tokens": 1})[0] == 400
        assert server.ask("/nothing")[0] == 404
        now = settled(server, before, 6)
        moved = lambda name, **labels: now.since(before, name, **labels)  # noqa: E731
        chat = {"route": "/v1/chat/completions", "dialect": "openai"}
        assert moved("fathom_requests_total", status="200", **chat) == 3, now.samples
        assert moved("fathom_requests_total", status="422", **chat) == 1
        assert moved("fathom_requests_total", route="/v1/messages", dialect="anthropic", status="400") == 1
        assert moved("fathom_requests_total", route="none", status="404") == 1
        assert moved("fathom_errors_total", code="not_found") == 1 and moved("fathom_errors_total") == 3
        assert moved("fathom_tokens_total", phase="decode", model="tiny") == 9 + 9 + 5
        cached = sum(usage["prompt_cache_hit_tokens"] for usage in answers)
        assert cached >= 64 and moved("fathom_tokens_total", phase="cached") == cached, (cached, answers)
        assert moved("fathom_tokens_total", phase="prefill") > answers[0]["prompt_tokens"]
        assert moved("fathom_cache_hit_pages_total", **{"from": "memory"}) >= 1
        assert moved("fathom_first_token_seconds_count") == 3
        assert moved("fathom_between_tokens_seconds_count") == 9 + 9 + 5 - 3
        for name in ("fathom_first_token_seconds", "fathom_between_tokens_seconds", "fathom_request_seconds"):
            expect_histogram(now, name)
        assert now.get("fathom_runs") == 0 and now.get("fathom_cache_pages", state="in_use") == 0
        assert now.get("fathom_cache_pages", state="kept") >= 1 and now.get("fathom_cache_page_bytes") > 0
        assert now.get("fathom_connections") >= 1 and now.get("fathom_streams") == 0
        assert 1e6 < now.get("process_resident_memory_bytes") < 1e9 and now.get("process_open_fds") > 5
        assert moved("process_cpu_seconds_total") > 0
        drafted = [now.get("fathom_drafted_tokens_total", guess=guess) for guess in ("accepted", "rejected")]
        assert min(drafted) >= 0, drafted
        kinds = {name: now.types[name] for name in ("fathom_runs", "fathom_tokens", "fathom_between_tokens_seconds")}
        assert list(kinds.values()) == ["gauge", "counter", "histogram"], kinds


def expect_histogram(numbers, name):
    buckets = collections.defaultdict(list)
    for (found, labels), value in numbers.samples.items():
        if found == name + "_bucket":
            its = dict(labels)
            buckets[its.get("model") or its.get("dialect")].append((float(its["le"]), value))
    assert buckets, name
    for series in buckets.values():
        counts = [value for _, value in sorted(series)]
        assert counts == sorted(counts) and max(bound for bound, _ in series) == float("inf"), (name, series)
    assert sum(max(series)[1] for series in buckets.values()) == numbers.get(name + "_count")
    assert numbers.get(name + "_sum") > 0


def test_a_conversation_that_comes_back_is_read_from_disk(home):
    with Server(home) as server:
        server.chat(messages=LONG_TEXT)
    with Server(home) as server:
        assert server.chat(messages=LONG_TEXT)[2]["usage"]["prompt_cache_hit_tokens"] > 0
        now = Numbers(server)
        assert now.get("fathom_cache_hit_pages_total", **{"from": "disk"}) >= 1
        assert now.get("fathom_disk_cache_operations_total", operation="read") >= 1
        assert now.get("fathom_disk_cache_bytes") > 0 and now.get("fathom_disk_cache_pages") >= 1


def test_the_numbers_are_for_administrators(home):
    key, admin = home.add_key("ada"), home.add_key("root", "--scope", "admin")
    with Server(home) as server:
        assert server.ask("/metrics")[0] == 401
        status, _, text = server.ask("/metrics", key=key)
        assert status == 403 and "--scope admin" in text, text
        assert Numbers(server, admin).get("fathom_requests_total", route="/metrics", status="403") == 1


def lines_of(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def line_of(path, request_id):
    """A line is written after its answer has gone out."""
    for _ in range(100):
        for line in lines_of(path):
            if line.get("id") == request_id:
                return line
        time.sleep(0.05)
    raise AssertionError(f"no line for {request_id} in {lines_of(path)}")


def test_a_line_for_each_request(home):
    key, log = home.add_key("ada"), str(home.folder / "log.jsonl")
    secret_words = "tell nobody of the heron"
    with Server(home, "--log-format", "json", "--log-file", log) as server:
        status, headers, body = server.chat(key, 6, messages=[{"role": "user", "content": secret_words}])
        line = line_of(log, headers["X-Request-Id"])
        expected = {"method": "POST", "path": "/v1/chat/completions", "route": "/v1/chat/completions", "dialect": "openai",
                    "key": "ada", "model": "tiny", "status": 200, "error": None, "complete": True, "level": "info",
                    "prompt_tokens": body["usage"]["prompt_tokens"], "output_tokens": 6}
        assert expected.items() <= line.items(), line
        assert 0 < line["first_token_ms"] <= line["ms"] < 60_000 and line["queue_ms"] >= 0, line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]), line
        _, headers, _ = server.chat(key, 6, stream=True)
        assert line_of(log, headers["X-Request-Id"])["output_tokens"] == 6
        _, headers, _ = server.chat(key + "x")
        line = line_of(log, headers["X-Request-Id"])
        assert (line["status"], line["error"], line["key"], line["model"]) == (401, "invalid_api_key", None, None), line
        _, headers, _ = server.ask("/v1/messages", {}, key)
        assert headers["Request-Id"] == headers["X-Request-Id"]
        line = line_of(log, headers["X-Request-Id"])
        assert (line["route"], line["dialect"], line["status"]) == ("/v1/messages", "anthropic", 400), line
        _, headers, _ = server.ask('/"x%20\\?q=heron', key=key)
        assert line_of(log, headers["X-Request-Id"])["path"] == '/"x%20\\', "a path is a JSON text, without its query"
        ids = [line["id"] for line in lines_of(log) if "id" in line]  # other lines tell of models
        assert len(ids) == len(set(ids)), ids
    text = pathlib.Path(log).read_text()
    assert key not in text and key[:20] not in text and "heron" not in text, text


def test_prompts_are_logged_where_that_is_asked_for(home):
    log = str(home.folder / "log.jsonl")
    with Server(home, "--log-format", "json", "--log-file", log, "--log-prompts") as server:
        _, headers, _ = server.chat(messages=[{"role": "user", "content": "tell nobody of the heron"}])
        assert "heron" in line_of(log, headers["X-Request-Id"])["body"]


def test_the_log_is_text_on_standard_error_otherwise(home):
    with Server(home) as server:
        _, headers, _ = server.chat(tokens=3)
        deadline = time.monotonic() + 5
        while headers["X-Request-Id"] not in server.words() and time.monotonic() < deadline:
            time.sleep(0.05)
        line, = [line for line in server.words().splitlines() if headers["X-Request-Id"] in line]
        assert re.match(r"\d{4}-\S+Z info request id=req_[0-9a-f]{24} method=POST path=/v1/chat/completions ", line), line
        assert " status=200 " in line and " output_tokens=3 " in line and " key=" not in line, line
    said = home.run("serve", home.model, "--port", "0", "--log-file", "/dev/null/log", status=1)
    assert "--log-file" in said and said.count("\n") == 1, said


def test_a_client_that_leaves_is_noted(home):
    log = str(home.folder / "log.jsonl")
    with Server(home, "--log-format", "json", "--log-file", log) as server:
        body = json.dumps({"messages": LONG_TEXT, "max_tokens": 8000, "ignore_eos": True, "stream": True})
        connection = server.connect()
        connection.request("POST", "/v1/chat/completions", body)
        reply = connection.getresponse()
        request_id = reply.getheader("X-Request-Id")
        reply.read(1000)  # the role and some text
        reply.close(), connection.close()
        line = line_of(log, request_id)
        assert line["complete"] is False and line["status"] == 200 and 0 < line["output_tokens"] < 8000, line
        assert Numbers(server).get("fathom_answers_cut_total", route="/v1/chat/completions") == 1
        assert home.usage()[0]["output_tokens"] == line["output_tokens"], "what was made is booked"


def talk(server, question="Hi", tokens=12):
    """One question of the page, to its answer's end; gives the run."""
    conversation = str(uuid.uuid4())
    wish = {"id": str(uuid.uuid4()), "conversation": {"id": conversation}, "parent_id": None,
            "answer_id": str(uuid.uuid4()), "message": {"id": str(uuid.uuid4()), "content": question},
            "options": {"temperature": 0, "max_tokens": tokens}}
    status, _, text = server.ask("/app/runs", wish)
    assert status == 201, text
    server.ask(f"/app/runs/{wish['id']}/events?from=0")
    run = json.loads(server.ask(f"/app/runs/{wish['id']}")[2])
    assert run["status"] in ("done", "length"), run
    return conversation, run


def test_what_the_page_uses_is_booked(home):
    assert "page" in home.run("keys", "add", "page", status=1)
    with Server(home) as server:
        server.ask("/app/settings", {"titles": False}, method="PATCH")
        _, run = talk(server)
        row, = home.usage()
        used = run["usage"]
        assert (row["key"], row["model"], row["requests"]) == ("page", "tiny", 1), row
        assert row["output_tokens"] == used["output_tokens"] and row["cache_miss_tokens"] == used["prompt_tokens"], (row, used)
        server.chat()
        assert json.loads(home.run("usage", "--key", "page", "--json")) == [row], "the page's alone"
        assert sorted(each["key"] for each in home.usage()) == ["", "page"]


def test_a_backup_under_writes_comes_back_whole(home):
    key = home.add_key("ada")
    files = [str(home.folder / f"{number}.backup") for number in range(3)]
    with Server(home) as server:
        conversation, _ = talk(server, "What is a heron?")
        ended, reported = threading.Event(), []

        def work():
            while not ended.is_set():
                reported.append(server.chat(key, 2)[2]["usage"]["completion_tokens"])
                talk(server, "Another one?", 2)

        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        sure = []
        for file in files:
            time.sleep(0.3)
            sure.append(sum(reported))
            assert "server.db, chat.db" in home.run("backup", file)
        after = sum(reported)
        ended.set()
        for worker in workers:
            worker.join()
        assert "is there already" in home.run("backup", files[0], status=1)
        said = home.run("restore", files[0], status=1)
        assert "stop it before" in said and said.count("\n") == 1, said
    assert after > sure[-1] > 0, "it was written to meanwhile"
    assert pathlib.Path(files[0]).stat().st_mode & 0o777 == 0o600
    assert not list(home.folder.glob("*.part"))

    with tempfile.TemporaryDirectory() as folder:
        other = Home(home.fathom, home.model, folder)
        other.run("restore", files[-1])
        booked = sum(row["output_tokens"] for row in other.usage() if row["key"] == "ada")
        assert sure[-1] <= booked <= sum(reported), (sure, booked, sum(reported))
        with Server(other) as server:
            assert server.chat(key)[0] == 200 and server.chat()[0] == 401
            status, _, text = server.ask(f"/app/conversations/{conversation}")
            assert status == 200 and "heron" in text, text
            assert "heron" in server.ask("/app/search?q=heron")[2]
    # Into the folder that it is from: what was there is kept.
    now = home.usage()
    home.run("restore", files[0])
    assert sum(row["output_tokens"] for row in home.usage()) < sum(row["output_tokens"] for row in now)
    kept = sqlite3.connect(home.data / "server.db.before-restore")
    assert kept.execute("select sum(output_tokens) from usage").fetchone()[0] == sum(row["output_tokens"] for row in now)


def test_a_damaged_backup_replaces_nothing(home):
    home.add_key("ada")
    file = home.folder / "backup"
    home.run("backup", str(file))
    good = file.read_bytes()
    before = (home.data / "server.db").read_bytes()
    for bad, word in ((good[:-1], "cut off"), (good[:-100] + bytes([good[-100] ^ 1]) + good[-99:], "damaged"),
                      (b"hello\n", "no backup"), (good.replace(b'backup":1', b'backup":9', 1), "newer version")):
        (home.folder / "bad").write_bytes(bad)
        said = home.run("restore", str(home.folder / "bad"), status=1)
        assert word in said and said.count("\n") == 1, said
        assert (home.data / "server.db").read_bytes() == before
    assert not list(home.data.glob("*.restoring*")), list(home.data.iterdir())


def make_newer(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("pragma user_version = 99")
        database.commit()


def test_a_newer_database_is_refused_and_left_alone(home):
    home.add_key("ada")
    with Server(home) as server:
        talk(server)
    file = str(home.folder / "backup")
    home.run("backup", file)
    for name, commands in (("server.db", (("keys", "list"), ("usage",), ("serve", home.model, "--port", "0"),
                                          ("backup", file + "2"), ("restore", file))),
                           ("chat/chat.db", (("serve", home.model, "--port", "0"), ("backup", file + "2"), ("restore", file)))):
        path = home.data / name
        good = path.read_bytes()
        make_newer(path)
        newer = path.read_bytes()
        for words in commands:
            said = home.run(*words, status=1)
            assert "newer version of this program" in said and said.count("\n") == 1, (words, said)
            assert path.read_bytes() == newer, f"{words} wrote to {name}"
        path.write_bytes(good)
    # Nor is a backup of a newer one taken.
    make_newer(home.data / "server.db")
    head, _, rest = pathlib.Path(file).read_bytes().partition(b"\n")
    assert json.loads(head)["parts"][0]["schema"] < 99


def test_a_request_whose_turn_does_not_come_is_told(home):
    # One prompt fills the cache, so the others wait for its answer's end.
    flags = ("--queue-limit", "1", "--ctx", "8192", "--cache-memory", "1500KB", "--cache-disk", "0")
    big = [{"role": "user", "content": "x" * 6000}]
    with Server(home, *flags) as server:
        results = []

        def ask(number):
            results.append(server.chat(tokens=2000, messages=[{"role": "user", "content": f"{number} " + "x" * 6000}]))

        workers = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        told = [(headers, body) for status, headers, body in results if status == 503]
        assert told and any(status == 200 for status, _, _ in results), [status for status, _, _ in results]
        for headers, body in told:
            assert body["error"]["code"] == "queue_timeout" and "within 1 s" in body["error"]["message"], body
            assert int(headers["Retry-After"]) >= 1
        now = Numbers(server)
        assert now.get("fathom_runs_expired_total") == len(told) == now.get("fathom_errors_total", code="queue_timeout")
        booked = sum(row["requests"] for row in home.usage())
        assert booked == len(results) - len(told), "what never ran costs nothing"
        assert server.chat(messages=big)[0] == 200, "and goes on"


def main():
    fathom = str(pathlib.Path(sys.argv[1]).resolve())
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as models:
        model = tiny_model(models)
        for name, test in tests_of(globals(), sys.argv[2:]):
            with tempfile.TemporaryDirectory() as folder:
                outcome.attempt(name, lambda: test(Home(fathom, model, folder)))
    outcome.end()


if __name__ == "__main__":
    main()
