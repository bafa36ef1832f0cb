// One message as the page holds it. A running answer's text is collected and shown once per frame.
import type { FileInfo, Fit, Message, RunEvent, Source, Usage } from "../api/client";

export type Phase = { kind: "starting" } | { kind: "queued"; ahead: number } | { kind: "loading"; done: number | null }
  | { kind: "prefill"; done: number; total: number } | { kind: "writing" };

export interface Trouble { code: string; message: string; fit?: Fit }

export class Turn {
  readonly id: string;
  readonly parentId: string | null;
  readonly role: "user" | "assistant";
  readonly createdAt: number;
  content = $state("");
  reasoning = $state<string | null>(null);
  reasoningSeconds = $state<number | null>(null);
  status = $state<Message["status"]>("done");
  error = $state.raw<Trouble | null>(null);
  model = $state<string | null>(null);
  files = $state.raw<FileInfo[]>([]);
  sources = $state.raw<Source[]>([]);  // what an answer was given of them
  usage = $state.raw<Usage | null>(null);
  byPerson = $state(false);
  run = $state.raw<{ id: string; position: number } | null>(null);
  phase = $state.raw<Phase>({ kind: "starting" });
  connected = $state(true);
  thinkingSince = $state(0);       // by performance.now(); 0: it does not think now
  tokens = $state(0);              // of the run that is going on
  tokensPerSecond = $state<number | null>(null);
  stopping = $state(false);
  #content = "";
  #reasoning = "";
  #frame = 0;
  #firstToken = 0;
  #tokens = 0;

  constructor(message: Pick<Message, "id" | "parent_id" | "role" | "created_at"> & Partial<Message>) {
    this.id = message.id;
    this.parentId = message.parent_id;
    this.role = message.role;
    this.createdAt = message.created_at;
    this.set(message);
  }

  get running(): boolean {
    return this.status === "running";
  }

  set(message: Partial<Message>): void {
    if (message.content !== undefined) this.content = this.#content = message.content;
    if (message.reasoning !== undefined) {
      this.reasoning = message.reasoning;
      this.#reasoning = message.reasoning ?? "";
    }
    if (message.reasoning_seconds !== undefined) this.reasoningSeconds = message.reasoning_seconds;
    if (message.status !== undefined) this.status = message.status;
    if (message.error !== undefined) this.error = message.error;
    if (message.model !== undefined) this.model = message.model;
    if (message.usage !== undefined) this.usage = message.usage;
    if (message.by_person !== undefined) this.byPerson = message.by_person;
    if (message.files !== undefined) this.files = message.files;
    if (message.sources !== undefined) this.sources = message.sources;
    if (message.run !== undefined) this.run = message.run;
    if (this.running && (this.#content || this.#reasoning)) this.phase = { kind: "writing" };
    if (this.running && this.#reasoning && !this.#content && this.reasoningSeconds === null) this.thinkingSince ||= performance.now();
  }

  begin(runId: string): void {
    this.run = { id: runId, position: 0 };
    this.status = "running";
    this.phase = { kind: "starting" };
    this.error = null;
    this.usage = null;
    this.stopping = false;
    this.tokens = this.#tokens = this.#firstToken = 0;
    this.tokensPerSecond = null;
  }

  // True: that was the run's last event.
  take(event: RunEvent): boolean {
    switch (event.type) {
      case "queued":
        this.phase = { kind: "queued", ahead: event.ahead };
        return false;
      case "loading":
        this.phase = { kind: "loading", done: event.done };
        return false;
      case "prefill":
        this.phase = { kind: "prefill", done: event.done, total: event.total };
        return false;
      case "reasoning":
        this.#reasoning += event.text;
        if (!this.thinkingSince) this.thinkingSince = performance.now();
        this.#count(event.tokens);
        return false;
      case "content":
        this.#content += event.text;
        this.#endThinking(null);
        this.#count(event.tokens);
        return false;
      case "reasoning_end":
        this.#endThinking(event.seconds);
        return false;
      case "end":
        this.flush();
        this.#endThinking(null);
        this.status = event.status;
        this.error = event.error;
        this.usage = event.usage;
        this.run = null;
        this.stopping = false;
        return true;
    }
  }

  fail(trouble: Trouble): void {
    this.flush();
    this.#endThinking(null);
    this.status = "failed";
    this.error = trouble;
    this.run = null;
  }

  #endThinking(seconds: number | null): void {
    if (this.thinkingSince && this.reasoningSeconds === null) {
      this.reasoningSeconds = seconds ?? (performance.now() - this.thinkingSince) / 1000;
    } else if (seconds !== null) {
      this.reasoningSeconds = seconds;
    }
    this.thinkingSince = 0;
  }

  #count(tokens: number): void {
    this.#tokens = tokens;
    this.#firstToken ||= performance.now();
    // Hidden pages get no frames; what they miss is shown with the first one.
    this.#frame ||= requestAnimationFrame(() => this.flush());
  }

  flush(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#reasoning) this.reasoning = this.#reasoning;
    this.content = this.#content;
    this.tokens = this.#tokens;
    const seconds = (performance.now() - this.#firstToken) / 1000;
    if (this.#firstToken && seconds > 1) this.tokensPerSecond = this.#tokens / seconds;
    if (this.running && (this.#content || this.#reasoning)) this.phase = { kind: "writing" };
  }
}
