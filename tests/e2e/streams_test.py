#!/usr/bin/env python3
"""streams_test.py PACED_SERVER
1,000 streams at once, each of ten tokens a second, from a server whose model computes nothing: none fails, the gaps
between tokens are at most twice those of a stream alone, the server stays under 400 MB."""
import asyncio
import json
import math
import re
import resource
import subprocess
import sys
import time
from urllib.parse import urlsplit

STREAMS, TOKENS, START_WITHIN = 1000, 60, 2.0
MOST_MEMORY_KB = 400 * 1024


class Stream(asyncio.Protocol):
    """Asks for one streamed answer and notes when each of its events comes."""

    def __init__(self, request):
        self.request, self.times, self.whole, self.tail = request, [], False, b""
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        transport.write(self.request)
        self.transport = transport

    def data_received(self, data):
        text = self.tail + data
        self.times += [time.perf_counter()] * (text.count(b'"content":"w"') - self.tail.count(b'"content":"w"'))
        if b"data: [DONE]" in text:
            self.whole = True
            self.transport.close()
        self.tail = text[-200:]

    def connection_lost(self, error):
        if not self.ended.done():
            self.ended.set_result(None)


async def stream(host, port, delay):
    body = json.dumps({"model": "paced", "stream": True, "max_tokens": TOKENS,
                       "messages": [{"role": "user", "content": "words " * 20}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n" \
           f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    await asyncio.sleep(delay)
    _, protocol = await asyncio.get_running_loop().create_connection(
        lambda: Stream(head.encode() + body), host, port)
    await asyncio.wait_for(protocol.ended, 60)
    return protocol


async def load(host, port, count):
    results = await asyncio.gather(
        *(stream(host, port, START_WITHIN * i / STREAMS) for i in range(count)), return_exceptions=True)
    problems = {repr(r) for r in results if not isinstance(r, Stream)}
    for problem in sorted(problems):
        print(problem)
    whole = [r for r in results if isinstance(r, Stream) and r.whole and len(r.times) == TOKENS]
    gaps = sorted(b - a for s in whole for a, b in zip(s.times, s.times[1:]))
    p99 = gaps[min(len(gaps) - 1, math.floor(len(gaps) * 0.99))] if gaps else math.inf
    return len(whole), p99


def peak_memory_kb(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read()).group(1))


def main():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    server = subprocess.Popen([sys.argv[1], "100"], stdout=subprocess.PIPE, text=True)
    try:
        url = urlsplit(server.stdout.readline().strip())
        _, alone = asyncio.run(load(url.hostname, url.port, 1))
        whole, many = asyncio.run(load(url.hostname, url.port, STREAMS))
        memory = peak_memory_kb(server.pid)
    finally:
        server.terminate()
        ended = server.wait(30)
    checks = [
        (f"{whole} of {STREAMS} streams whole, expected all", whole == STREAMS),
        (f"p99 of the gap between tokens {1e3 * many:.1f} ms, {1e3 * alone:.1f} ms alone: {many / alone:.2f} times, "
         "expected at most 2", many <= 2 * alone),
        (f"the server's memory reached {memory / 1024:.0f} MB, expected less than 400", memory < MOST_MEMORY_KB),
        (f"the server ended with {ended}, expected 0", ended == 0),
    ]
    for text, good in checks:
        print(("ok    " if good else "FAIL  ") + text)
    failed = sum(not good for _, good in checks)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed > 0


sys.exit(main())
