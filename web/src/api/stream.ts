// Server-sent events that outlive their connection: read from a position, and again from there when the line is lost.
import { EventSourceParserStream } from "eventsource-parser/stream";

export interface StreamEvent { id: string | undefined; data: unknown }

const kSilence = 40_000;     // the server says something every 15 s; a line that says nothing for so long is dead
const kFirstPause = 250;
const kLongestPause = 5_000;

export interface Following {
  url: (position: string) => string;
  position: string;                        // "" or 0: from the start
  signal: AbortSignal;
  take: (event: StreamEvent) => boolean;   // true: that was the last one
  state?: (connected: boolean) => void;
  gone?: (status: number) => void;         // the server says that there is no such thing; no further try
}

export async function follow(given: Following): Promise<void> {
  let position = given.position;
  let pause = kFirstPause;
  while (!given.signal.aborted) {
    try {
      const status = await readOnce(given.url(position), given.signal, (event) => {
        if (event.id !== undefined) position = event.id;
        pause = kFirstPause;
        return given.take(event);
      }, () => given.state?.(true));
      if (status === "over") return;
      if (typeof status === "number" && status >= 400 && status < 500) return given.gone?.(status);
    } catch {
      // A lost line and a dead one are the same: try again.
    }
    if (given.signal.aborted) return;
    given.state?.(false);
    await rest(pause, given.signal);
    pause = Math.min(pause * 2, kLongestPause);
  }
}

// "over": the last event was read. A number: what the server answered instead of events. "cut": the line ended early.
async function readOnce(url: string, outer: AbortSignal, take: (event: StreamEvent) => boolean, opened: () => void) {
  const inner = new AbortController();
  let timer = 0;
  const alive = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => inner.abort(), kSilence);
  };
  alive();
  try {
    const response = await fetch(url, {
      headers: { Accept: "text/event-stream" }, cache: "no-store", signal: AbortSignal.any([outer, inner.signal]),
    });
    if (!response.ok || !response.body) return response.status;
    opened();
    const events = response.body
      .pipeThrough(new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, control) {
          alive();
          control.enqueue(chunk);
        },
      }))
      .pipeThrough(new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>)
      .pipeThrough(new EventSourceParserStream())
      .getReader();
    for (;;) {
      const { done, value } = await events.read();
      if (done) return "cut";
      if (take({ id: value.id, data: JSON.parse(value.data) })) return "over";
    }
  } finally {
    clearTimeout(timer);
    inner.abort();  // whatever the reason, nobody reads on
  }
}

// A pause that ends early when the network comes back or the page is shown again.
function rest(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}
