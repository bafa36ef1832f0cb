#!/usr/bin/env python3
"""app_test.py FATHOM MODEL [--kills N] [--megabytes N]

Drives the chat app's API (web/api/app.yaml) of a real `fathom serve` as the page does, takes in an export of N megabytes
(4 unless told), then kills the server N times (5 unless told) at random moments and looks whether anything that it
acknowledged is lost. Ends with "N passed, N failed". Standard library only.
"""
import argparse
import contextlib
import http.client
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid

from export_samples import write as write_export
from outcome import Outcome, expect, expect_equal

START_SECONDS = 120
ANSWER_SECONDS = 120
# What a crash may cost an answer: the tenth of a second between two commits, and as much for a commit under way.
LOST_SECONDS = 0.2

tests = []


def test(function):
    tests.append(function)
    return function


def new_id():
    return str(uuid.uuid4())


class Server:
    """`fathom serve` with a data folder of its own."""

    def __init__(self, fathom, model, data, *flags):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([fathom, "serve", model, "--port", "0", *flags], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True,
                                        env=os.environ | {"FATHOM_CHAT_DATA": data, "XDG_DATA_HOME": data})
        stuck = threading.Timer(START_SECONDS, self.process.kill)
        stuck.start()
        line = self.process.stdout.readline()
        stuck.cancel()
        found = re.search(r"http://([^:]+):(\d+)", line)
        self.words = line
        if not found:
            self.log.seek(0)
            self.words = self.log.read()
        self.host, self.port = (found.group(1), int(found.group(2))) if found else (None, None)

    def connect(self, timeout=ANSWER_SECONDS):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None):
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Content-Type": "application/json"} | (headers or {}))
            reply = connection.getresponse()
            data = reply.read()
            with contextlib.suppress(ValueError):
                data = json.loads(data)
            return reply.status, dict(reply.getheaders()), data

    def put_bytes(self, path, data):
        with contextlib.closing(self.connect()) as connection:
            connection.request("PUT", path, data, {"Content-Type": "application/octet-stream"})
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read())

    def take_in(self, path, piece=1 << 20):
        """Imports a file in pieces, as the page does; gives the import's last state."""
        name, at = new_id(), 0
        with open(path, "rb") as file:
            data = file.read(piece)
            while True:
                following = file.read(piece)
                last = "false" if following else "true"
                status, state = self.put_bytes(f"/app/imports/{name}?from={at}&last={last}", data)
                expect_equal(status, 200, f"a piece ({state})")
                if not following or state["state"] != "running":
                    expect_equal(self.get(f"/app/imports/{name}"), state, "and its state is known after it")
                    return state
                at, data = at + len(data), following

    def memory(self):
        """Bytes of this server's own memory, what it was at most."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmHWM:\s*(\d+) kB", file.read()).group(1)) * 1024

    def get(self, path):
        status, _, data = self.ask("GET", path)
        expect_equal(status, 200, f"GET {path} ({data})")
        return data

    def events(self, path):
        """The events of a stream as they come: (type, data, id)."""
        with contextlib.closing(self.connect()) as connection:
            connection.request("GET", path)
            reply = connection.getresponse()
            expect_equal(reply.status, 200, f"GET {path}")
            fields = {}
            for line in reply:
                line = line.decode().rstrip("\n")
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif not line and fields:
                    yield fields["event"], json.loads(fields["data"]), fields.get("id")
                    fields = {}

    def start_run(self, conversation, question, parent=None, **fields):
        wish = {"id": new_id(), "conversation": {"id": conversation}, "parent_id": parent, "answer_id": new_id(),
                "message": {"id": new_id(), "content": question},
                "options": {"temperature": 0, "max_tokens": 24}} | fields
        status, _, run = self.ask("POST", "/app/runs", wish)
        expect_equal(status, 201, f"starting a run ({run})")
        return wish, run

    def follow(self, run, position=0):
        """The texts of a run from a position to its end, and the end."""
        content = reasoning = ""
        end = None
        for kind, data, _ in self.events(f"/app/runs/{run}/events?from={position}"):
            if kind == "content":
                content += data["text"]
            elif kind == "reasoning":
                reasoning += data["text"]
            elif kind == "end":
                end = data
        expect(end is not None, "a log has an end")
        return content, reasoning, end

    def talk(self, conversation):
        return self.get(f"/app/conversations/{conversation}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@test
def a_session_and_its_settings(server):
    session = server.get("/app/session")
    expect_equal(session["person"], None, "nobody logs in")
    status, _, settings = server.ask("PATCH", "/app/settings", {"theme": "dark"})
    expect_equal((status, settings["theme"]), (200, "dark"), "settings are changed")
    status, _, refused = server.ask("PATCH", "/app/settings", {"theme": "pink"})
    expect_equal((status, refused["error"]["code"]), (400, "bad_request"), "and checked")
    server.ask("PATCH", "/app/settings", {"theme": None, "titles": False})
    models = server.get("/app/models")
    expect_equal(models["models"][0]["state"], "loaded", "the model that serves")


@test
def another_site_may_not(server):
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        status, _, refused = server.ask("GET", "/app/session", headers=headers)
        expect_equal(status, 403, f"{headers} ({refused})")


@test
def a_talk_of_two_turns(server):
    conversation = new_id()
    first, _ = server.start_run(conversation, "Say hello in one word.")
    content, _, end = server.follow(first["id"])
    expect(content and end["status"] in ("done", "length"), f"an answer comes: {content!r} {end}")
    expect(end["usage"]["output_tokens"] > 0 and end["usage"]["context_left"] > 0, "it is counted")
    second, _ = server.start_run(conversation, "And in French?", parent=first["answer_id"])
    server.follow(second["id"])
    talk = server.talk(conversation)
    expect_equal([m["role"] for m in talk["messages"]], ["user", "assistant"] * 2, "four messages")
    expect_equal(talk["messages"][1]["content"], content, "what was streamed is what is kept")
    expect_equal(talk["conversation"]["leaf_id"], second["answer_id"], "the last answer is shown")
    expect(talk["messages"][3]["usage"]["prompt_tokens"] > end["usage"]["prompt_tokens"], "the first turn is read again")
    status, _, again = server.ask("POST", "/app/runs", second)
    expect_equal((status, again["status"]), (200, talk["messages"][3]["status"]), "a repetition starts nothing")


@test
def readers_come_and_go(server):
    conversation = new_id()
    wish, _ = server.start_run(conversation, "Count from one to fifty in words.",
                               options={"temperature": 0, "max_tokens": 120})
    seen, position = "", 0
    for kind, data, place in server.events(f"/app/runs/{wish['id']}/events"):
        if kind == "content":
            seen += data["text"]
            position = int(place)
            if data["tokens"] >= 10:
                break
    now = server.talk(conversation)["messages"][1]
    expect(now["status"] == "running" and now["content"].startswith(seen), "a reload shows the text so far")
    rest, _, end = server.follow(wish["id"], position)
    tail, _, _ = server.follow(wish["id"], now["run"]["position"])
    whole = server.talk(conversation)["messages"][1]["content"]
    expect_equal(seen + rest, whole, "a line that broke goes on where it was")
    expect_equal(now["content"] + tail, whole, "and so does a reload")
    expect_equal(server.follow(wish["id"])[0], whole, "whoever comes late gets all")
    expect(end["status"] in ("done", "length"), f"nobody stopped it: {end}")


@test
def stop_and_continue(server):
    conversation = new_id()
    wish, _ = server.start_run(conversation, "Count from one to one hundred in words.",
                               options={"temperature": 0, "max_tokens": 400})
    for kind, _, _ in server.events(f"/app/runs/{wish['id']}/events"):
        if kind == "content":
            break
    status, _, second = server.ask("POST", "/app/runs", wish | {"id": new_id(), "answer_id": new_id()})
    expect_equal((status, second["error"]["code"]), (409, "run_in_progress"), "one run at a time")
    asked = time.monotonic()
    status, _, run = server.ask("POST", f"/app/runs/{wish['id']}/stop")
    expect_equal((status, run["status"]), (200, "stopped"), "it stops")
    expect(time.monotonic() - asked < 10, "soon")
    begun = server.talk(conversation)["messages"][1]
    expect_equal(begun["status"], "stopped", "and the message says so")
    on = {"id": new_id(), "conversation": {"id": conversation}, "continue_id": wish["answer_id"],
          "answer_id": wish["answer_id"], "options": {"temperature": 0, "max_tokens": 10}}
    status, _, run = server.ask("POST", "/app/runs", on)
    expect_equal(status, 201, f"it is continued ({run})")
    more, _, _ = server.follow(on["id"])
    expect(more, "by new text")
    expect_equal(server.talk(conversation)["messages"][1]["content"], begun["content"] + more, "behind the old")


@test
def branches_and_search(server):
    conversation = new_id()
    first, _ = server.start_run(conversation, "바늘을 찾는 방법을 한 단어로 말해 줘.")
    server.follow(first["id"])
    again = {"id": new_id(), "conversation": {"id": conversation}, "parent_id": first["message"]["id"],
             "answer_id": new_id(), "options": {"temperature": 0, "max_tokens": 8}}
    expect_equal(server.ask("POST", "/app/runs", again)[0], 201, "an answer is made again")
    server.follow(again["id"])
    talk = server.talk(conversation)
    expect_equal(talk["messages"][1]["parent_id"], talk["messages"][2]["parent_id"], "as a sibling")
    hits = server.get("/app/search?q=%EB%B0%94%EB%8A%98")["hits"]
    expect_equal([h["conversation_id"] for h in hits], [conversation], "two Korean letters are found")
    expect("바늘" in [piece["text"] for piece in hits[0]["title"] if piece["hit"]], f"and marked: {hits[0]}")


@test
def titles_and_changes(server):
    server.ask("PATCH", "/app/settings", {"titles": True})
    conversation = new_id()
    titled = threading.Event()

    def listen():
        for kind, data, _ in server.events("/app/events"):
            if kind == "conversation" and data["conversation"]["id"] == conversation:
                if data["conversation"]["title_by"] == "model":
                    titled.set()
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    time.sleep(0.3)
    wish, _ = server.start_run(conversation, "What is the capital of France? One word.")
    server.follow(wish["id"])
    expect(titled.wait(ANSWER_SECONDS), "a title by the model is told")
    expect(server.talk(conversation)["conversation"]["title"], "and kept")
    server.ask("PATCH", "/app/settings", {"titles": False})


@test
def deleting_and_exports(server):
    conversation = new_id()
    wish, _ = server.start_run(conversation, "Say hello.")
    server.follow(wish["id"])
    status, headers, text = server.ask("GET", f"/app/conversations/{conversation}/export?format=markdown")
    expect(status == 200 and b"Say hello." in text, "an export as Markdown")
    expect("attachment" in headers["Content-Disposition"], "is a file")
    expect(any(c["conversation"]["id"] == conversation for c in server.get("/app/export?format=json")["conversations"]),
           "an export of all as JSON")
    status, _, deleted = server.ask("DELETE", f"/app/conversations/{conversation}")
    expect_equal((status, deleted["ids"]), (200, [conversation]), "it is deleted")
    expect_equal(server.ask("GET", f"/app/conversations/{conversation}")[0], 404, "and gone")
    expect_equal(server.ask("POST", f"/app/conversations/{conversation}/restore")[0], 200, "and back")
    server.talk(conversation)


@test
def a_file_is_read_and_cited_by_its_place(server):
    status, small = server.put_bytes(f"/app/files/{new_id()}?name=note.txt", "The colour of the door is 푸른색.".encode())
    expect_equal((status, small["kind"], small["indexed"]), (200, "text", False), f"a small file ({small})")
    lines = "".join(f"Shelf {n} holds box {n * 7}.\n" for n in range(5000)) + "The 바늘 lies in box nowhere.\n"
    status, large = server.put_bytes(f"/app/files/{new_id()}?name=shelves.csv", lines.encode("cp949"))
    expect_equal((status, large["kind"], large["indexed"]), (200, "csv", True), f"a large file ({large})")
    status, refused = server.put_bytes(f"/app/files/{new_id()}?name=x.png", b"\x89PNG\r\n\x1a\n")
    expect_equal((status, refused["error"]["code"]), (415, "unsupported_file"), "a picture")
    conversation = new_id()
    wish, _ = server.start_run(conversation, "바늘은 어디에 있나요?", message={
        "id": new_id(), "content": "바늘은 어디에 있나요?", "file_ids": [small["id"], large["id"]]})
    server.follow(wish["id"])
    question, answer = server.talk(conversation)["messages"]
    expect_equal([f["name"] for f in question["files"]], ["note.txt", "shelves.csv"], "the question's files")
    sources = answer["sources"]
    expect_equal(sources[0]["title"], "note.txt", "the small one is given whole")
    found = [s for s in sources if s["title"] == "shelves.csv" and s["first"] <= 5001 <= s["last"]]
    expect(found, f"and of the large one the passage with the question's word: {sources}")
    status, _, text = server.ask("GET", f"/app/files/{large['id']}/text?from={found[0]['from']}&to={found[0]['to']}")
    expect(status == 200 and "The 바늘 lies" in text.decode(), "whose text is there")
    expect(answer["usage"]["prompt_tokens"] < large["tokens"] / 4, "not all of it went to the model")
    expect_equal(server.ask("DELETE", f"/app/conversations/{conversation}?purge=true")[0], 200, "deleted for good")
    expect_equal(server.ask("GET", f"/app/files/{large['id']}")[0], 404, "its files go with it")


def imports(fathom, model, data, megabytes):
    """Exports of other apps, taken in twice; a large one in bounded memory while answers go on."""
    server = Server(fathom, model, data)
    expect(server.host, server.words)
    try:
        for app in ("deepseek", "chatgpt"):
            path = os.path.join(data, f"{app}.json")
            write_export(app, 20, path, seed=5)
            state = server.take_in(path, piece=9000)
            expect_equal((state["state"], state["source"], state["conversations"], state["skipped"]), ("done", app, 20, []), f"{state}")
            again = server.take_in(path)
            expect_equal((again["state"], again["conversations"], again["messages"]), ("done", 0, 0), "the second time")
            with open(path) as file:
                first = json.load(file)[0]
            mine = [c for c in server.get("/app/conversations?limit=200")["conversations"] if c["title"] == first["title"]]
            expect(mine, "it is in the list by its title")
            messages = server.talk(mine[0]["id"])["messages"]
            roots = [m for m in messages if m["parent_id"] is None]
            siblings = [m for m in messages if sum(o["parent_id"] == m["parent_id"] for o in messages) > 1]
            expect(len(roots) == 1 and siblings, "branches are kept")
            expect(any(m["reasoning"] for m in messages), "and thoughts")
        whole = os.path.join(data, "whole.json")
        with open(whole, "w") as file:
            json.dump(server.get("/app/export?format=json"), file)
        again = server.take_in(whole)
        expect_equal((again["source"], again["conversations"]), ("fathom", 0), "fathom's own export")
        for text, words in ((b"nonsense", "not valid JSON"), (b'{"a": 1}', "no conversations")):
            status, state = server.put_bytes(f"/app/imports/{new_id()}", text)
            expect((status, state["state"]) == (200, "failed") and words in state["error"]["message"], f"{state}")
        status, refused = server.put_bytes(f"/app/imports/{new_id()}?from=5", b"x")
        expect_equal(status, 404, f"a piece of nothing ({refused})")

        large = os.path.join(data, "large.json")
        write_export("chatgpt", megabytes * 31, large, seed=6, words=250)
        before, size = server.memory(), os.path.getsize(large)
        started = time.monotonic()
        state = server.take_in(large, piece=4 << 20)
        took = time.monotonic() - started
        expect_equal((state["state"], state["conversations"]), ("done", megabytes * 31), f"{state}")
        grown = server.memory() - before
        print(f"     {size / 1e6:.0f} MB of an export in {took:.1f} s, {grown / 1e6:.0f} MB of memory more", flush=True)
        expect(grown < 150e6, f"memory is bounded: {grown / 1e6:.0f} MB more")
        wish, _ = server.start_run(new_id(), "Say hello.")
        server.follow(wish["id"])
    finally:
        expect_equal(server.stop(), 0, "the server stops")


def what_was_lost(server, acknowledged):
    """Looks for everything that the server before acknowledged."""
    for conversation, (wish, _, _) in acknowledged.items():
        talk = server.talk(conversation)
        expect_equal([m["id"] for m in talk["messages"]], [wish["message"]["id"], wish["answer_id"]], "both messages")
        expect_equal(talk["messages"][0]["content"], wish["message"]["content"], "the question")
        expect(talk["messages"][1]["status"] != "running", "nothing runs after a restart")


def killed_at_a_random_moment(fathom, model, data):
    """One round: runs are started until the server is killed, then it is looked at what a new one knows."""
    server = Server(fathom, model, data)
    expect(server.host, server.words)
    acknowledged = {}  # conversation -> wish, text as it came with its times, whether its end was seen
    killed = []

    def kill():
        killed.append(time.monotonic())
        server.process.kill()

    threading.Timer(random.uniform(0.1, 3), kill).start()
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        while True:
            conversation = new_id()
            wish, _ = server.start_run(conversation, f"Count to {random.randint(5, 90)} in words.",
                                       options={"temperature": 0, "max_tokens": 60})
            pieces, ended = [], []
            acknowledged[conversation] = (wish, pieces, ended)
            for kind, event, _ in server.events(f"/app/runs/{wish['id']}/events"):
                if kind == "content":
                    pieces.append((time.monotonic(), event["text"]))
                elif kind == "end":
                    ended.append(event["status"])
    server.process.wait(30)
    server.process.stdout.close(), server.log.close()

    server = Server(fathom, model, data)
    expect(server.host, server.words)
    try:
        what_was_lost(server, acknowledged)
        for conversation, (wish, pieces, ended) in acknowledged.items():
            answer = server.talk(conversation)["messages"][1]
            if ended:
                expect_equal(answer["status"], ended[0], "an end that was told")
            sure = "".join(text for at, text in pieces if ended or at < killed[0] - LOST_SECONDS)
            expect(answer["content"].startswith(sure), f"text older than {LOST_SECONDS} s: {sure!r}, kept {answer['content']!r}")
            content, _, end = server.follow(wish["id"])
            expect_equal((content, end["status"]), (answer["content"], answer["status"]), "the log after a restart")
    finally:
        expect_equal(server.stop(), 0, "the server stops")
    return len(acknowledged)


def refusals(fathom, model, data):
    """A second server on the same data folder, and one that leaves it alone."""
    first = Server(fathom, model, data)
    expect(first.host, first.words)
    try:
        second = Server(fathom, model, data)
        expect_equal(second.host, None, "the second server's address")
        expect(f":{first.port}" in second.words, f"it is told where the first one is: {second.words!r}")
        third = Server(fathom, model, data, "--no-chat")
        expect(third.host, third.words)
        expect_equal(third.ask("GET", "/app/session")[0], 404, "without the chat there is no app")
        third.stop()
    finally:
        expect_equal(first.stop(), 0, "the server stops")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("fathom")
    parser.add_argument("model")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=4)
    options = parser.parse_args()
    fathom, model, kills = options.fathom, options.model, options.kills
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as data:
        server = Server(fathom, model, data)
        expect(server.host, server.words)
        for function in tests:
            outcome.attempt(function.__name__, lambda: function(server))
        outcome.attempt("the_server_stops", lambda: expect_equal(server.stop(), 0, "exit status"))
        outcome.attempt("one_server_for_a_data_folder", lambda: refusals(fathom, model, data))
    with tempfile.TemporaryDirectory() as data:
        outcome.attempt("imports", lambda: imports(fathom, model, data, options.megabytes))
    with tempfile.TemporaryDirectory() as data:
        seed = random.randrange(10**6)
        random.seed(seed)
        counted = []
        for number in range(kills):
            outcome.attempt(f"kill_{number + 1}_of_{kills}_seed_{seed}",
                            lambda: counted.append(killed_at_a_random_moment(fathom, model, data)))
        print(f"killed {kills} times with {sum(counted)} runs acknowledged", flush=True)
    outcome.end()


if __name__ == "__main__":
    main()
