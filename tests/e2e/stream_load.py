"""Many streams at once from a server of this machine, and when their events came. For tests and measurements."""
import asyncio
import json
import math
import re
import resource
import time


class Stream(asyncio.Protocol):
    """One streamed answer: the times of its events with text, its tokens by `usage`, whether it came to its end."""

    def __init__(self, request):
        self.request, self.times, self.tokens, self.whole, self.tail = request, [], 0, False, b""
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport, self.start = transport, time.perf_counter()
        transport.write(self.request)

    def data_received(self, data):
        text = self.tail + data
        events = text.count(b"data: {") - self.tail.count(b"data: {")
        self.times += [time.perf_counter()] * events
        if found := re.findall(rb'"completion_tokens":\s*(\d+)', text):
            self.tokens = int(found[-1])
        if b"data: [DONE]" in text:
            self.whole = True
            self.transport.close()
        self.tail = text[-400:]

    def connection_lost(self, error):
        if not self.ended.done():
            self.ended.set_result(None)


async def _stream(url, body, delay, limit):
    data = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    head = f"POST {url.path} HTTP/1.1\r\nHost: {url.hostname}:{url.port}\r\nContent-Type: application/json\r\n" \
           f"Connection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    await asyncio.sleep(delay)
    _, stream = await asyncio.get_running_loop().create_connection(
        lambda: Stream(head.encode() + data), url.hostname, url.port)
    await asyncio.wait_for(stream.ended, limit)
    return stream


async def _all(url, bodies, within, limit):
    return await asyncio.gather(
        *(_stream(url, body, within * i / len(bodies), limit) for i, body in enumerate(bodies)), return_exceptions=True)


def streams(url, bodies, within=0.0, limit=60.0):
    """One stream for each request body, begun within so many seconds. Gives those that came to their end and, in words,
    what became of the others."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    results = asyncio.run(_all(url, bodies, within, limit))
    whole = [r for r in results if isinstance(r, Stream) and r.whole]
    lost = [repr(r) if isinstance(r, BaseException) else f"cut off after {r.tail[-200:]!r}"
            for r in results if not (isinstance(r, Stream) and r.whole)]
    return whole, lost


def gap_seconds(whole, share):
    """Of the times between two events of a stream, that which `share` of them do not exceed."""
    gaps = sorted(b - a for s in whole for a, b in zip(s.times, s.times[1:]))
    return gaps[min(len(gaps) - 1, math.floor(len(gaps) * share))] if gaps else math.inf


def tokens_per_second(whole):
    """All tokens over the time from the first event to the last."""
    first, last = min(s.times[0] for s in whole), max(s.times[-1] for s in whole)
    return sum(s.tokens for s in whole) / (last - first)
