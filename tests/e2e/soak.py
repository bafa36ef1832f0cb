#!/usr/bin/env python3
"""soak.py FATHOM MODEL MINUTES [RESULT]

Mixed work for so many minutes: chats whole and streamed, conversations that go on, tools and schemas, thoughts, runs of
the page, clients that hang up, requests that are refused, long prompts. The server's memory is read all the while; what
it has grown by since the first sixth (five minutes of thirty) must be under 1 %. RESULT is a page to write. Standard
library only.
"""
import http.client
import json
import os
import pathlib
import platform
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid

from serving import Home, Server

MOST_GROWTH = 0.01
SAMPLE_SECONDS = 2
WORKERS = 4
CITY = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}, "people": {"type": "integer", "maximum": 99}},
        "required": ["city", "people"], "additionalProperties": False}
WORDS = "the sea and a river run past old stones while a heron waits for rain over green hills".split()


def words(count):
    return " ".join(random.choices(WORDS, k=count))


def chat(server, **fields):
    messages = fields.pop("messages", [{"role": "user", "content": words(random.randrange(5, 60))}])
    return server.chat(tokens=random.randrange(4, 32), messages=messages, **fields)


def a_conversation(server):
    messages = []
    for _ in range(3):
        messages.append({"role": "user", "content": words(20)})
        status, _, body = chat(server, messages=messages)
        if status == 200:
            messages.append({"role": "assistant", "content": body["choices"][0]["message"]["content"] or "-"})


def a_schema(server):
    form = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": CITY}}
    chat(server, response_format=form, ignore_eos=False)


def a_tool(server):
    tool = {"type": "function", "function": {"name": "note_city", "parameters": CITY}}
    chat(server, tools=[tool], tool_choice="required", ignore_eos=False, stream=random.random() < 0.5)


def a_run_of_the_page(server):
    conversation = str(uuid.uuid4())
    wish = {"id": str(uuid.uuid4()), "conversation": {"id": conversation}, "parent_id": None, "answer_id": str(uuid.uuid4()),
            "message": {"id": str(uuid.uuid4()), "content": words(10)}, "options": {"max_tokens": 16}}
    server.ask("/app/runs", wish)
    server.ask(f"/app/runs/{wish['id']}/events?from=0")
    server.ask(f"/app/conversations/{conversation}?purge=true", method="DELETE")


def a_client_that_hangs_up(server):
    connection = server.connect()
    body = {"messages": [{"role": "user", "content": words(30)}], "max_tokens": 500, "ignore_eos": True, "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    reply = connection.getresponse()
    reply.read(random.randrange(1, 2000))
    reply.close(), connection.close()


def a_refusal(server):
    random.choice([lambda: chat(server, temperature=9), lambda: server.ask("/nothing"), lambda: server.ask("/tokenize", "{"),
                   lambda: server.ask("/v1/messages", {"max_tokens": 1, "messages": []}),
                   lambda: chat(server, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "no"}}})])()


WORK = ((6, chat), (6, lambda server: chat(server, stream=True)), (3, a_conversation), (3, a_schema), (2, a_tool),
        (2, a_run_of_the_page), (3, a_client_that_hangs_up), (3, a_refusal), (1, lambda server: server.ask("/metrics")),
        (1, lambda server: chat(server, messages=[{"role": "user", "content": words(600)}])),
        (2, lambda server: chat(server, n=3, logprobs=True, top_logprobs=5)),
        (2, lambda server: server.ask("/v1/messages", {"max_tokens": 12, "messages": [{"role": "user", "content": words(9)}]})))


def work(server, ended, done, wrong):
    while not ended.is_set():
        task = random.choices([task for _, task in WORK], [weight for weight, _ in WORK])[0]
        try:
            task(server)
            done.append(1)
        except (OSError, http.client.HTTPException) as failure:
            wrong.append(repr(failure))


def resident(server):
    """What the server holds itself: the weights, which are mapped, come and go with the system's file cache."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s*(\d+) kB", status)[1]) * 1024


def table(samples, start):
    minutes = max(1, (samples[-1][0] - start) / 60 / 10)
    rows, due = [], start
    for at, size in samples:
        if at >= due:
            rows.append(f"| {(at - start) / 60:.1f} | {size / 1e6:.1f} |")
            due += minutes * 60
    return "\n".join(["| minutes | MB |", "| --- | --- |", *rows])


def main():
    fathom, model, minutes = str(pathlib.Path(sys.argv[1]).resolve()), sys.argv[2], float(sys.argv[3])
    result = pathlib.Path(sys.argv[4]) if len(sys.argv) > 4 else None
    random.seed(7)
    samples, done, wrong, ended = [], [], [], threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(fathom, model, folder)
        with Server(home, "--ctx", "2048", "--cache-memory", "64MB", "--cache-disk", "64MB",
                    "--log-file", str(home.folder / "log")) as server:
            server.ask("/app/settings", {"titles": False}, method="PATCH")
            start = time.monotonic()
            workers = [threading.Thread(target=work, args=(server, ended, done, wrong)) for _ in range(WORKERS)]
            for worker in workers:
                worker.start()
            while time.monotonic() - start < minutes * 60:
                time.sleep(SAMPLE_SECONDS)
                samples.append((time.monotonic(), resident(server)))
            ended.set()
            for worker in workers:
                worker.join()
            now = server.metrics()
    # The largest of a while, not one moment: what a request takes for a moment is not what stays.
    settled = start + minutes * 60 / 6
    early = max(size for at, size in samples if settled <= at < settled + minutes * 60 / 6)
    late = max(size for at, size in samples if at >= samples[-1][0] - minutes * 60 / 6)
    growth = late / early - 1
    tokens = sum(value for name, value in now.items() if name.startswith("fathom_tokens_total") and '"decode"' in name)
    lines = [f"{minutes:g} minutes, {len(done)} tasks of {WORKERS} clients, {tokens:.0f} tokens, {len(wrong)} connections lost.",
             "", f"Memory of its own (RssAnon): {early / 1e6:.1f} MB in the second sixth of the time, {late / 1e6:.1f} MB in the last: "
             f"{growth * 100:+.2f} % (at most {MOST_GROWTH * 100:g} %).", "", table(samples, start)]
    print("\n".join(lines))
    if result:
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "")
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        head = ["# A server under mixed work", "", f"{time.strftime('%Y-%m-%d', time.gmtime())}, commit {commit}, "
                f"{os.cpu_count()} cores, {system}, model {pathlib.Path(model).stem}. Made by `scripts/soak.sh`.", ""]
        result.write_text("\n".join(head + lines) + "\n")
    good = growth < MOST_GROWTH and not wrong and len(done) > 0
    for each in wrong[:10]:
        print(each)
    print(f"{int(good)} passed, {int(not good)} failed")
    sys.exit(not good)


if __name__ == "__main__":
    main()
