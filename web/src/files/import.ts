// Hands an export of another chat app to the server, piece by piece.
import { api, Failure, given, newId, type Import } from "../api/client";
import { filesOf } from "./zip";

const kPiece = 4 * 1024 * 1024;
const kTries = 4;
const kConversations = /(^|\/)conversations[^/]*\.json$/i;

async function* pieces(stream: ReadableStream<Uint8Array>): AsyncGenerator<Blob> {
  let parts: Uint8Array<ArrayBuffer>[] = [], size = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value as Uint8Array<ArrayBuffer>);
    size += value.byteLength;
    if (size < kPiece) continue;
    yield new Blob(parts);
    parts = [];
    size = 0;
  }
  yield new Blob(parts);
}

// A lost reply, or a server that is away for a moment, is asked again.
async function send(id: string, from: number, last: boolean, piece: Blob): Promise<Import> {
  for (let attempt = 1;; attempt++) {
    try {
      return await given(api.PUT("/app/imports/{id}", { params: { path: { id }, query: { from, last } },
        body: piece as unknown as string, bodySerializer: (bytes) => bytes, headers: { "Content-Type": "application/octet-stream" } }));
    } catch (error) {
      if (!(error instanceof Failure) || error.code !== "unreachable" || attempt === kTries) throw error;
      await new Promise((resolve) => setTimeout(resolve, attempt * 1000));
    }
  }
}

async function importStream(stream: ReadableStream<Uint8Array>, progress: (state: Import) => void): Promise<Import> {
  const id = newId();
  let from = 0, waiting: Blob | null = null, state: Import | null = null;
  for await (const piece of pieces(stream)) {
    if (waiting) {
      progress((state = await send(id, from, false, waiting)));
      if (state.state !== "running") return state;
      from += waiting.size;
    }
    waiting = piece;
  }
  progress((state = await send(id, from, true, waiting ?? new Blob())));
  return state;
}

// A ZIP archive as ChatGPT and DeepSeek give it, or the conversations.json out of it. `progress` is told after each piece.
export async function importFile(file: File, progress: (state: Import) => void): Promise<Import> {
  const start = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  const zip = start[0] === 0x50 && start[1] === 0x4b && start[2] === 3 && start[3] === 4;
  const before: Import = { state: "done", source: "unknown", read_bytes: 0, conversations: 0, messages: 0, skipped: [], error: null };
  const added = (now: Import): Import => ({ ...now, read_bytes: before.read_bytes + now.read_bytes,
    conversations: before.conversations + now.conversations, messages: before.messages + now.messages, skipped: [...before.skipped, ...now.skipped] });
  let found = false;
  try {
    for await (const stream of zip ? filesOf(file, kConversations) : [file.stream()]) {
      found = true;
      Object.assign(before, added(await importStream(stream, (state) => progress(added(state)))));
      if (before.state === "failed") return before;
    }
  } catch (error) {
    if (error instanceof TypeError) throw new Failure("bad_archive", String(error));  // the browser could not unpack it
    throw error;
  }
  if (!found) throw new Failure("bad_archive", "it holds no conversations.json");
  return before;
}
