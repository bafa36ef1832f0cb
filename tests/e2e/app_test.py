#!/usr/bin/env python3
"""app_test.py FATHOM MODEL [--kills N]

Drives the chat app's API (web/api/app.yaml) of a real `fathom serve` as the page does, then kills the server N times
(5 unless told) at random moments and looks whether anything that it acknowledged is lost. Ends with
"N passed, N failed". Standard library only.
"""
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
    fathom, model = sys.argv[1:3]
    kills = int(sys.argv[4]) if sys.argv[3:4] == ["--kills"] else 5
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as data:
        server = Server(fathom, model, data)
        expect(server.host, server.words)
        for function in tests:
            outcome.attempt(function.__name__, lambda: function(server))
        outcome.attempt("the_server_stops", lambda: expect_equal(server.stop(), 0, "exit status"))
        outcome.attempt("one_server_for_a_data_folder", lambda: refusals(fathom, model, data))
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
