// A server of the chat page's contract (web/api/app.yaml), in memory, that says set tokens at set speeds and can fail,
// stall and cut lines. For what a real model cannot be made to do; the page's files come from a folder, with the policy
// that the program serves them with.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const kPolicy = "default-src 'self'; img-src 'self' data: blob:; style-src-attr 'unsafe-inline'; object-src 'none'; "
  + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const kPreviewPolicy = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
  + "img-src data: blob:; font-src data:; media-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
const kTypes = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
  ".woff2": "font/woff2", ".png": "image/png", ".webmanifest": "application/manifest+json" };
const kContext = 4096;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export const kModels = [
  { id: "r1-distill-qwen-1.5b", name: "DeepSeek-R1-Distill-Qwen-1.5B", description: "Reasons step by step; good at mathematics, weak on facts.",
    state: "loaded", default: true, thinks: "choice", bytes: 1.12e9, memory_bytes: 1.6e9, fits: "well", context_length: 131072, tokens_per_second: 14, licence: "MIT", download: null, error: null },
  { id: "smollm2-135m", name: "SmolLM2-135M-Instruct", description: "Shows that everything works; too small to know much.",
    state: "on_disk", default: false, thinks: "never", bytes: 9.8e7, memory_bytes: 2.4e8, fits: "well", context_length: 8192, tokens_per_second: 90, licence: "Apache-2.0", download: null, error: null },
  { id: "r1-distill-qwen-7b", name: "DeepSeek-R1-Distill-Qwen-7B", description: "Reasons well; slow without a fast memory.",
    state: "downloading", default: false, thinks: "always", bytes: 4.7e9, memory_bytes: 5.6e9, fits: "tight", context_length: 131072, tokens_per_second: 3.4, licence: "MIT",
    download: { done_bytes: 1.9e9, total_bytes: 4.7e9, bytes_per_second: 2.1e7, seconds_left: 133 }, error: null },
  { id: "deepseek-v2-lite", name: "DeepSeek-V2-Lite-Chat", description: "Sixteen billion parameters, of which few work at a time.",
    state: "remote", default: false, thinks: "never", bytes: 9.7e9, memory_bytes: 1.1e10, fits: "too_large", context_length: 32768, tokens_per_second: null, licence: "DeepSeek", download: null, error: null },
];

// A run as a script sees it: it says things, and sees whether it was stopped.
class Run {
  log = [];        // { position, event }
  latest = null;   // the last event that is not logged
  readers = new Set();
  stopped = false;
  tokens = 0;
  started = performance.now();
  firstToken = 0;

  constructor(server, answer, body) {
    Object.assign(this, { server, answer, id: body.id, body, conversationId: body.conversation.id, status: "running", thinking: 0 });
  }
  #tell(event) {
    const entry = { position: this.log.length + 1, event };
    this.log.push(entry);
    for (const reader of this.readers) reader(entry);
  }
  #word(type, text) {
    this.firstToken ||= performance.now();
    this.tokens += 1;
    this.#tell({ type, text, tokens: this.tokens });
  }
  passing(event) {
    this.latest = event;
    for (const reader of this.readers) reader({ position: null, event });
  }
  think(text) {
    this.thinking ||= performance.now();
    this.answer.reasoning = (this.answer.reasoning ?? "") + text;
    this.#word("reasoning", text);
  }
  endThinking() {
    if (!this.thinking || this.answer.reasoning_seconds !== null) return;
    this.answer.reasoning_seconds = (performance.now() - this.thinking) / 1000;
    this.#tell({ type: "reasoning_end", seconds: this.answer.reasoning_seconds });
  }
  say(text) {
    this.endThinking();
    this.answer.content += text;
    this.#word("content", text);
  }
  // Pieces of so many characters, so many a second.
  async stream(text, { perSecond = 200, size = 4, kind = "say" } = {}) {
    const letters = [...text];
    const start = performance.now();
    for (let i = 0; i < letters.length && !this.stopped; i += size) {
      this[kind](letters.slice(i, i + size).join(""));
      const due = start + ((i / size + 1) * 1000) / perSecond;
      if (due > performance.now()) await pause(due - performance.now());
    }
  }
  end(status = "done", error = null) {
    if (this.status !== "running") return;
    this.endThinking();
    const now = performance.now();
    const seconds = this.firstToken ? (now - this.firstToken) / 1000 : 0;
    this.status = this.answer.status = status;
    this.answer.error = error;
    this.answer.run = null;
    this.answer.usage = { prompt_tokens: 412, cached_tokens: 380, output_tokens: this.tokens, reasoning_tokens: 0,
      first_token_seconds: Math.max(0, (this.firstToken - this.started) / 1000), seconds, tokens_per_second: seconds ? this.tokens / seconds : null,
      context_length: kContext, context_left: this.server.contextLeft, cost: null };
    this.server.runEnded(this);
    this.#tell({ type: "end", status, error, usage: this.answer.usage });
  }
  json() {
    return { id: this.id, conversation_id: this.conversationId, message_id: this.answer.id, status: this.status, position: this.log.length,
      model: this.answer.model, error: this.answer.error, usage: this.answer.usage };
  }
}

export class AppStub {
  conversations = new Map();  // id to { conversation, messages, draft }
  runs = new Map();
  presets = new Map();
  files = new Map();   // id to what was read of it
  texts = new Map();   // and to its text
  imports = new Map(); // id to the bytes so far
  keys = [];
  usage = [];          // rows of the ledger
  drafts = new Map();
  models = structuredClone(kModels);
  hub = "unknown";   // "reachable", "unreachable"
  settings = { language: "auto", theme: "auto", send_with: "enter", remote_images: false, titles: true, options: {} };
  contextLeft = 3100;
  mostFileBytes = 1 << 25;
  script = async (run) => run.stream("A short answer.");
  requests = [];
  fit = null;        // (body of a check) => Fit, or null
  refuse = null;     // (method, path, body) => { status, code, message, … } or null
  down = false;      // whether every connection is closed at once
  changes = new Set();
  #sockets = new Set();

  static async start(folder) {
    const stub = new AppStub();
    stub.folder = folder;
    stub.server = createServer((request, response) => stub.#answer(request, response).catch((error) => {
      console.error(error);
      response.destroy();
    }));
    stub.server.on("connection", (socket) => {
      stub.#sockets.add(socket);
      socket.on("close", () => stub.#sockets.delete(socket));
      if (stub.down) socket.destroy();
    });
    await new Promise((resolve) => stub.server.listen(0, "127.0.0.1", resolve));
    stub.url = `http://127.0.0.1:${stub.server.address().port}`;
    return stub;
  }
  // How an import stands of which these bytes have come.
  imported(bytes, last) {
    const state = { state: "running", source: "chatgpt", read_bytes: bytes.length, conversations: 0, messages: 0, skipped: [], error: null };
    if (!last) return state;
    try {
      const list = JSON.parse(bytes.toString());
      for (const { conversation_id: name, title } of list) this.add(name, title, [["Q", "A"]]);
      return { ...state, state: "done", conversations: list.length, messages: 2 * list.length, skipped: ["conversation 9 of the file: it has no id"] };
    } catch {
      return { ...state, state: "failed", error: { code: "bad_import", message: "the file is no export: not valid JSON at byte 1" } };
    }
  }
  stop() {
    this.cut();
    this.server.close();
  }
  // Ends every connection in the middle of what it was.
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }
  setDown(down) {
    this.down = down;
    if (down) this.cut();
  }
  reset() {
    for (const run of this.runs.values()) run.stopped = true;
    this.keys = [];
    this.usage = [];
    for (const map of [this.conversations, this.runs, this.presets, this.drafts, this.files, this.texts, this.imports]) map.clear();
    this.models = structuredClone(kModels);
    this.hub = "unknown";
    this.settings = { language: "auto", theme: "auto", send_with: "enter", remote_images: false, titles: true, options: {} };
    this.contextLeft = 3100;
    this.mostFileBytes = 1 << 25;
    this.requests = [];
    this.refuse = this.fit = null;
    this.script = async (run) => run.stream("A short answer.");
  }

  // A conversation that is there already: turns of [question, answer, more fields of the answer].
  add(id, title, turns, fields = {}) {
    const conversation = { ...this.#newConversation({ id, title }), title_by: "model", ...fields };
    const messages = [];
    let parent = null;
    turns.forEach(([question, answer, more], index) => {
      const at = conversation.updated_at - (turns.length - index) * 1000;
      messages.push(message({ id: `${id}-q${index}`, parent_id: parent, role: "user", content: question, by_person: true, created_at: at }));
      parent = `${id}-q${index}`;
      if (answer === undefined) return;
      messages.push(message({ id: `${id}-a${index}`, parent_id: parent, role: "assistant", content: answer, model: this.models[0].id, created_at: at + 1,
        usage: { prompt_tokens: 412, cached_tokens: 380, output_tokens: 127, reasoning_tokens: 0, first_token_seconds: 0.21, seconds: 9.1,
          tokens_per_second: 13.9, context_length: kContext, context_left: this.contextLeft, cost: null }, ...more }));
      parent = `${id}-a${index}`;
    });
    conversation.leaf_id = parent;
    this.conversations.set(id, { conversation, messages, draft: null });
    return id;
  }
  change(event) {
    for (const send of this.changes) send(event);
  }
  touch(entry) {
    entry.conversation.revision += 1;
    if (!entry.conversation.temporary) this.change({ type: "conversation", conversation: entry.conversation });
  }
  runEnded(run) {
    const entry = this.conversations.get(run.conversationId);
    if (!entry) return;
    entry.conversation.run_id = null;
    this.touch(entry);
  }

  #newConversation({ id, title = "", temporary = false, options = {} }) {
    const now = Date.now();
    return { id, title, title_by: "question", pinned: false, temporary, leaf_id: null, options, created_at: now, updated_at: now, deleted_at: null, revision: 1, run_id: null };
  }

  async #answer(request, response) {
    const url = new URL(request.url, this.url);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    const body = request.headers["content-type"] === "application/octet-stream" ? bytes : bytes.length ? JSON.parse(bytes.toString()) : null;
    if (!url.pathname.startsWith("/app/")) return this.#file(url.pathname, response);
    this.requests.push({ method: request.method, path: url.pathname, query: url.search, body });
    const refusal = this.refuse?.(request.method, url.pathname, body);
    if (refusal) return fail(response, refusal);
    for (const [method, pattern, action] of routes) {
      const found = method === request.method && pattern.exec(url.pathname);
      if (!found) continue;
      const result = await action.call(this, { id: decodeURIComponent(found[1] ?? ""), body, query: url.searchParams, response, request });
      if (result === undefined) return;
      const whole = typeof result.status === "number";  // of a run it is a word
      return result.error && result.error.status ? fail(response, result.error) : json(response, whole ? result.status : 200, whole ? result.body : result);
    }
    fail(response, { status: 404, code: "not_found", message: `nothing at ${url.pathname}` });
  }

  async #file(path, response) {
    const name = path === "/" || path.startsWith("/c/") ? "/index.html" : normalize(path);
    const content = await readFile(join(this.folder, name)).catch(() => null);
    if (content === null) return response.writeHead(404).end();
    response.writeHead(200, { "Content-Type": kTypes[extname(name)] ?? "application/octet-stream",
      "Content-Security-Policy": name === "/preview.html" ? kPreviewPolicy : kPolicy, "Referrer-Policy": "no-referrer" }).end(content);
  }

  startRun(body) {
    const known = this.runs.get(body.id);
    if (known) return { status: 200, body: known.json() };
    let entry = this.conversations.get(body.conversation.id);
    if (!entry) {
      entry = { conversation: this.#newConversation(body.conversation), messages: [], draft: null };
      entry.conversation.title = body.message?.content.slice(0, 60) ?? "";
      this.conversations.set(body.conversation.id, entry);
    }
    const { conversation, messages } = entry;
    if (conversation.run_id) return { error: { status: 409, code: "run_in_progress", message: "a run is in progress", run_id: conversation.run_id } };
    if (body.message) messages.push(message({ id: body.message.id, parent_id: body.parent_id ?? null, role: "user", content: body.message.content, by_person: true,
      files: (body.message.file_ids ?? []).map((id) => this.files.get(id)) }));
    let answer = messages.find(({ id }) => id === body.continue_id);
    if (!answer) {
      answer = message({ id: body.answer_id, parent_id: body.message?.id ?? body.parent_id, role: "assistant", content: "", model: this.models[0].id });
      messages.push(answer);
    }
    const run = new Run(this, answer, body);
    Object.assign(answer, { status: "running", usage: null, error: null, run: { id: run.id, position: 0 } });
    this.runs.set(run.id, run);
    Object.assign(conversation, { leaf_id: answer.id, run_id: run.id, updated_at: Date.now() });
    this.touch(entry);
    this.script(run).then(() => run.end(run.stopped ? "stopped" : "done"),
      (error) => run.end("failed", { code: error.code ?? "internal_error", message: error.message }));
    return { status: 201, body: run.json() };
  }
}

function message(fields) {
  return { parent_id: null, content: "", reasoning: null, reasoning_seconds: null, status: "done", error: null, model: null, usage: null, run: null,
    by_person: false, files: [], sources: [], created_at: Date.now(), ...fields };
}
function json(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" }).end(status === 204 ? undefined : JSON.stringify(body));
}
function fail(response, { status, ...error }) {
  json(response, status, { error: { type: "error", param: null, ...error } });
}
function exported(response, name, format, entries) {
  const markdown = format === "markdown";
  response.writeHead(200, { "Content-Type": markdown ? "text/markdown" : "application/json",
    "Content-Disposition": `attachment; filename="${name}.${markdown ? "md" : "json"}"` });
  const conversations = entries.map(({ conversation, messages }) => ({ conversation, messages }));
  response.end(markdown ? conversations.flatMap(({ messages }) => messages.map(({ content }) => content)).join("\n\n")
    : JSON.stringify({ format: "fathom", version: 1, conversations }));
}
const missing = { error: { status: 404, code: "not_found", message: "it is not there" } };

function eventStream(response) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write(": hello\n\n");
  return (event, id) => response.write(`${id === null ? "" : `id: ${id}\n`}event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
}
const merged = (target, patch) => {
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete target[name];
    else if (typeof value === "object" && !Array.isArray(value)) target[name] = merged({ ...target[name] }, value);
    else target[name] = value;
  }
  return target;
};
// What of a text matches, in pieces.
function marked(text, query) {
  const at = text.toLowerCase().indexOf(query.toLowerCase());
  if (at < 0) return [{ text: text.slice(0, 160), hit: false }];
  const from = Math.max(0, at - 60);
  return [{ text: text.slice(from, at), hit: false }, { text: text.slice(at, at + query.length), hit: true },
    { text: text.slice(at + query.length, at + 100), hit: false }].filter((piece) => piece.text);
}

const kId = "([^/]+)";
const route = (method, path, action) => [method, new RegExp(`^${path.replaceAll("{id}", kId)}$`), action];
const routes = [
  route("GET", "/app/session", function () {
    return { version: "0.1.0", person: null, csrf_token: null, settings: this.settings, limits: { message_bytes: 1 << 20, file_bytes: this.mostFileBytes },
      features: { files: true, web_search: false, downloads: true, imports: true, usage: true, people: false, keys: true } };
  }),
  route("GET", "/app/events", function ({ response }) {
    const send = eventStream(response);
    let position = 0;
    const tell = (event) => send(event, `s-${++position}`);
    this.changes.add(tell);
    response.on("close", () => this.changes.delete(tell));
  }),
  route("GET", "/app/conversations", function ({ query }) {
    const deleted = query.get("deleted") === "true";
    const all = [...this.conversations.values()].map(({ conversation }) => conversation)
      .filter((conversation) => !conversation.temporary && (conversation.deleted_at !== null) === deleted)
      .sort((a, b) => Number(b.pinned) - Number(a.pinned) || b.updated_at - a.updated_at);
    const from = Number(query.get("after") ?? 0), limit = Number(query.get("limit") ?? 50);
    return { conversations: all.slice(from, from + limit), next: all.length > from + limit ? String(from + limit) : null };
  }),
  route("POST", "/app/conversations", function ({ body }) {
    this.add(body.id, body.title ?? "", []);
    return { status: 201, body: this.conversations.get(body.id).conversation };
  }),
  route("DELETE", "/app/conversations", function () {
    const ids = [];
    for (const { conversation } of this.conversations.values()) {
      conversation.deleted_at ??= Date.now();
      ids.push(conversation.id);
      this.change({ type: "gone", id: conversation.id });
    }
    return { ids, purge_at: Date.now() + 86_400_000 };
  }),
  route("GET", "/app/conversations/{id}", function ({ id, response }) {
    const entry = this.conversations.get(id);
    if (!entry || entry.conversation.deleted_at !== null) return missing;
    const { conversation, messages } = entry;
    if (conversation.run_id === null) response.setHeader("ETag", `"${conversation.revision}"`);
    return { conversation, draft: this.drafts.get(id) ?? null,
      messages: messages.map((each) => each.run ? { ...each, run: { id: each.run.id, position: this.runs.get(each.run.id).log.length } } : each) };
  }),
  route("PATCH", "/app/conversations/{id}", function ({ id, body }) {
    const entry = this.conversations.get(id);
    if (!entry) return missing;
    merged(entry.conversation, body);
    if ("title" in body) entry.conversation.title_by = "person";
    this.touch(entry);
    return entry.conversation;
  }),
  route("DELETE", "/app/conversations/{id}", function ({ id }) {
    const entry = this.conversations.get(id);
    if (!entry) return missing;
    if (entry.conversation.temporary) this.conversations.delete(id);
    entry.conversation.deleted_at = Date.now();
    this.change({ type: "gone", id });
    return { ids: [id], purge_at: entry.conversation.temporary ? null : Date.now() + 86_400_000 };
  }),
  route("POST", "/app/conversations/{id}/restore", function ({ id }) {
    const entry = this.conversations.get(id);
    if (!entry) return missing;
    entry.conversation.deleted_at = null;
    this.touch(entry);
    return entry.conversation;
  }),
  route("POST", "/app/conversations/{id}/title", function ({ id }) {
    const entry = this.conversations.get(id);
    if (!entry) return missing;
    entry.conversation.title = "A better title";
    this.touch(entry);
    return { status: 202, body: {} };
  }),
  route("POST", "/app/conversations/{id}/messages", function ({ id, body }) {
    const entry = this.conversations.get(id);
    if (!entry) return missing;
    const added = message({ ...body, by_person: true });
    entry.messages.push(added);
    entry.conversation.leaf_id = added.id;
    this.touch(entry);
    return { status: 201, body: added };
  }),
  route("GET", "/app/conversations/{id}/export", function ({ id, query, response }) {
    exported(response, "conversation", query.get("format"), [this.conversations.get(id)]);
  }),
  route("GET", "/app/export", function ({ query, response }) {
    exported(response, "fathom", query.get("format"), [...this.conversations.values()]);
  }),
  route("GET", "/app/drafts/{id}", function ({ id }) {
    return this.drafts.get(id) ?? { text: "", file_ids: [], updated_at: 0 };
  }),
  route("PUT", "/app/drafts/{id}", function ({ id, body }) {
    if ((this.drafts.get(id)?.updated_at ?? 0) <= body.updated_at) body.text || body.file_ids.length ? this.drafts.set(id, body) : this.drafts.delete(id);
    return this.drafts.get(id) ?? body;
  }),
  route("POST", "/app/runs/check", function ({ body }) {
    return this.fit?.(body) ?? { prompt_tokens: 100, context_length: kContext, fits: true, leave_out: 0 };
  }),
  route("POST", "/app/runs", function ({ body }) { return this.startRun(body); }),
  route("GET", "/app/runs/{id}", function ({ id }) { return this.runs.get(id)?.json() ?? missing; }),
  route("GET", "/app/runs/{id}/events", function ({ id, query, response }) {
    const run = this.runs.get(id);
    if (!run) return missing;
    const send = eventStream(response);
    const write = ({ position, event }) => {
      send(event, position);
      if (event.type === "end") response.end();
    };
    const past = run.log.filter(({ position }) => position > Number(query.get("from") ?? 0));
    if (run.latest && run.log.length === 0) send(run.latest, null);
    past.forEach(write);
    if (run.status !== "running") return void response.end();
    run.readers.add(write);
    response.on("close", () => run.readers.delete(write));
  }),
  route("POST", "/app/runs/{id}/stop", function ({ id }) {
    const run = this.runs.get(id);
    if (!run) return missing;
    run.stopped = true;
    run.end("stopped");
    return run.json();
  }),
  route("PUT", "/app/files/{id}", function ({ id, body, query }) {
    const text = body.toString();
    if (text.includes("\0")) return { error: { status: 415, code: "unsupported_file", message: "it holds no text" } };
    const tokens = Math.ceil(text.length / 4);
    this.files.set(id, { id, name: query.get("name"), bytes: body.length, kind: query.get("kind") === "pdf_text" ? "pdf" : "text", tokens,
      excerpt: text.slice(0, 200), indexed: tokens > kContext / 2 });
    this.texts.set(id, text);
    return this.files.get(id);
  }),
  route("GET", "/app/files/{id}/text", function ({ id, query, response }) {
    if (!this.texts.has(id)) return missing;
    const bytes = Buffer.from(this.texts.get(id)).subarray(Number(query.get("from") ?? 0), Number(query.get("to") ?? Infinity));
    response.writeHead(200, { "Content-Type": "text/plain; charset=utf-8" }).end(bytes);
  }),
  route("PUT", "/app/imports/{id}", function ({ id, body, query }) {
    const known = this.imports.get(id) ?? Buffer.alloc(0), from = Number(query.get("from") ?? 0);
    if (from !== known.length) return { error: { status: 400, code: "bad_request", message: `from: expected ${known.length}` } };
    const bytes = Buffer.concat([known, body]);
    this.imports.set(id, bytes);
    return this.imported(bytes, query.get("last") === "true");
  }),
  route("GET", "/app/imports/{id}", function ({ id }) {
    return this.imports.has(id) ? this.imported(this.imports.get(id), false) : missing;
  }),
  route("GET", "/app/files/{id}", function ({ id }) { return this.files.get(id) ?? missing; }),
  route("DELETE", "/app/files/{id}", function ({ id }) {
    this.files.delete(id);
    return { status: 204, body: null };
  }),
  route("GET", "/app/search", function ({ query }) {
    const q = query.get("q");
    const hits = [];
    for (const { conversation, messages } of this.conversations.values()) {
      if (conversation.deleted_at !== null || conversation.temporary) continue;
      const found = messages.find(({ content }) => content.toLowerCase().includes(q.toLowerCase()));
      if (!found && !conversation.title.toLowerCase().includes(q.toLowerCase())) continue;
      hits.push({ conversation_id: conversation.id, message_id: found?.id ?? null, title: marked(conversation.title, q),
        snippet: found ? marked(found.content, q) : [], at: conversation.updated_at });
    }
    return { hits };
  }),
  route("GET", "/app/settings", function () { return this.settings; }),
  route("PATCH", "/app/settings", function ({ body }) {
    this.settings = merged({ ...this.settings }, body);
    this.change({ type: "settings", settings: this.settings });
    return this.settings;
  }),
  route("GET", "/app/presets", function () { return { presets: [...this.presets.values()] }; }),
  route("PUT", "/app/presets/{id}", function ({ id, body }) {
    this.presets.set(id, { id, ...body });
    return this.presets.get(id);
  }),
  route("DELETE", "/app/presets/{id}", function ({ id }) {
    this.presets.delete(id);
    return { status: 204, body: null };
  }),
  route("GET", "/app/usage", function ({ query }) {
    return { currency: "USD", days: this.usage.filter(({ date }) => date >= query.get("from") && date <= query.get("to")) };
  }),
  route("GET", "/app/keys", function () { return { currency: "USD", keys: this.keys }; }),
  route("POST", "/app/keys", function ({ body }) {
    if (this.keys.some(({ name }) => name === body.name)) return { error: { status: 409, code: "name_taken", message: "there is a key of this name" } };
    const key = { name: body.name, hint: "sk-fathom-Ab…yz", scope: body.scope ?? "api", limits: body.limits, created_at: Date.now(), revoked_at: null, spent: 0 };
    this.keys.push(key);
    return { status: 201, body: { key, secret: "sk-fathom-Abcdefghijklmnopqrstuvwxyz" } };
  }),
  route("PATCH", "/app/keys/{id}", function ({ id, body }) {
    return Object.assign(this.keys.find(({ name }) => name === id), body);
  }),
  route("DELETE", "/app/keys/{id}", function ({ id }) {
    return Object.assign(this.keys.find(({ name }) => name === id), { revoked_at: Date.now() });
  }),
  route("GET", "/app/models", function () {
    return { models: this.models, machine: { memory_bytes: 1.6e10, memory_free_bytes: 9.2e9, disk_free_bytes: 8e10, cores: 8 }, hub: this.hub };
  }),
  route("PUT", "/app/models/{id}/download", function ({ id, body }) {
    const model = this.models.find((each) => each.id === id);
    if (!model) return missing;
    model.state = body.state === "running" ? "downloading" : "paused";
    model.download ??= { done_bytes: 0, total_bytes: model.bytes, bytes_per_second: null, seconds_left: null };
    this.change({ type: "model", model });
    return { status: 202, body: model };
  }),
  route("POST", "/app/models/{id}/load", function ({ id }) {
    const model = this.models.find((each) => each.id === id);
    if (!model) return missing;
    model.state = "loaded";
    this.change({ type: "model", model });
    return { status: 202, body: model };
  }),
  route("DELETE", "/app/models/{id}/download", function ({ id }) {
    const model = this.models.find((each) => each.id === id);
    if (!model) return missing;
    Object.assign(model, { state: "remote", download: null });
    this.change({ type: "model", model });
    return model;
  }),
];
