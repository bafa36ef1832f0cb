// The conversation that is open: its tree of messages, the path that is shown, and the answer that is being written.
import { api, Failure, given, newId, type Conversation, type Draft, type FileInfo, type Fit, type Message, type NewRun, type Options, type RunEvent } from "../api/client";
import { follow } from "../api/stream";
import { words } from "../texts/texts.svelte";
import { app } from "./app.svelte";
import { keepDraft, localDraft, newer, serverDraft } from "./drafts";
import { keptConversation } from "./kept";
import { Attachments } from "./attachments.svelte";
import { summarise } from "./summary";
import { Turn } from "./turn.svelte";

const kLeastAnswer = 300;       // tokens that the server leaves for an answer, and a few for the turn itself
const kUnknownContext = 2_000;  // so much fits every model
const kLookPause = 300;

export class Thread {
  readonly id: string;
  temporary = $state(false);
  isNew = $state(true);            // the server does not know it yet
  state = $state<"ready" | "loading" | "gone" | "failed">("ready");
  conversation = $state.raw<Conversation | null>(null);
  options = $state.raw<Options>({});
  turns = $state.raw<Turn[]>([]);  // all branches, parents before children
  leafId = $state<string | null>(null);
  draft = $state("");
  readonly attachments = new Attachments(() => this.type(this.draft), () => this.temporary);
  editing = $state<string | null>(null);  // the message that is being edited
  reveal = $state<string | null>(null);   // the message that a search led to
  leaveOut = $state(0);                   // so many of the oldest turns do not go to the model
  fit = $state.raw<Fit | null>(null);     // of what is typed, where there was a reason to ask
  summarising = $state.raw<AbortController | null>(null);
  #looking = 0;
  #revision = -1;
  #reading: AbortController | null = null;
  #left = false;

  path = $derived.by(() => {
    const byId = new Map(this.turns.map((turn) => [turn.id, turn]));
    const path: Turn[] = [];
    for (let turn = byId.get(this.leafId ?? ""); turn; turn = byId.get(turn.parentId ?? "")) path.push(turn);
    return path.reverse();
  });
  running = $derived(this.path.find((turn) => turn.running) ?? null);
  contextLeft = $derived(this.path.findLast((turn) => turn.usage)?.usage?.context_left ?? null);

  constructor(id: string, given: { known?: boolean; temporary?: boolean } = {}) {
    this.id = id;
    this.isNew = !given.known;
    this.temporary = given.temporary ?? false;
    if (!this.temporary) this.#resume(localDraft(this.draftKey));
    document.addEventListener("visibilitychange", this.#visibility);
    addEventListener("pagehide", this.#hidden);
    if (this.isNew && !this.temporary && this.draft === "") {
      void serverDraft("new").then((draft) => {
        if (this.draft === "" && this.isNew && !this.#left) this.#resume(draft);
      });
    }
  }

  get draftKey(): string {
    return this.isNew ? "new" : this.id;
  }

  type(text: string): void {
    this.draft = text;
    this.#lookSoon(text);
    if (!this.temporary) keepDraft(this.draftKey, text, this.attachments.ids);
  }

  #resume(draft: Draft | null): void {
    if (!draft) return;
    this.draft = draft.text;
    void this.attachments.restore(draft.file_ids);
  }

  siblings(turn: Turn): Turn[] {
    return this.turns.filter((other) => other.parentId === turn.parentId && other.role === turn.role);
  }

  // ---- Loading and agreeing with the server

  async load(): Promise<void> {
    this.state = this.turns.length > 0 ? "ready" : "loading";
    try {
      const { conversation, messages, draft } =
        await given(api.GET("/app/conversations/{id}", { params: { path: { id: this.id } } }));
      if (this.#left) return;
      this.#merge(conversation, messages);
      if (this.draft === "" && this.attachments.list.length === 0) this.#resume(newer(localDraft(this.id), draft));
      this.state = "ready";
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (this.turns.length > 0) return;
      const gone = error.code === "not_found" || error.code === "status_404";
      const kept = gone ? null : await keptConversation(this.id).catch(() => null);
      if (this.#left || this.turns.length > 0) return;
      if (kept) this.#merge(kept.conversation, kept.messages);
      this.state = kept ? "ready" : gone ? "gone" : "failed";
    }
  }

  async refresh(): Promise<void> {
    if (!this.isNew) await this.load();
  }

  changed(conversation: Conversation): void {
    this.conversation = conversation;
    this.temporary = conversation.temporary;
    this.isNew = false;
    // While an answer is written here its own log tells all; after it the revision is asked for once more.
    if (conversation.revision !== this.#revision && !this.running) void this.load();
  }

  #merge(conversation: Conversation, messages: Message[]): void {
    this.#revision = conversation.revision;
    this.conversation = conversation;
    this.options = conversation.options;
    this.temporary = conversation.temporary;
    this.isNew = false;
    const known = new Map(this.turns.map((turn) => [turn.id, turn]));
    this.turns = messages.map((message) => {
      const turn = known.get(message.id);
      if (!turn) return new Turn(message);
      const followed = turn.running && message.status === "running" && turn.run?.id === message.run?.id;
      if (!followed) turn.set(message);
      return turn;
    });
    // What the server never got is known here alone.
    const unsent = [...known.values()].filter((turn) =>
      this.#unsent.has(turn.id) || (turn.parentId !== null && this.#unsent.has(turn.parentId)));
    this.turns = [...this.turns, ...unsent];
    if (!unsent.some((turn) => turn.id === this.leafId)) this.leafId = conversation.leaf_id;
    this.#follow();
  }

  // ---- Asking

  ask(content: string): Promise<void> {
    const files = this.attachments.take();
    this.type("");
    return this.#ask(this.leafId, content, files);
  }

  async #ask(parentId: string | null, content: string, files: FileInfo[]): Promise<void> {
    const question = new Turn({ id: newId(), parent_id: parentId, role: "user", content, created_at: Date.now(), by_person: true, files });
    await this.#start(this.#newAnswer(question.id), {
      parent_id: parentId, message: { id: question.id, content, file_ids: files.map((file) => file.id) } }, [question]);
  }

  // Another wording of a question: a sibling of it.
  edit(question: Turn, content: string): Promise<void> {
    this.editing = null;
    return this.#ask(question.parentId, content, question.files);
  }

  async correct(answer: Turn, content: string): Promise<void> {
    this.editing = null;
    await app.attempt(async () => {
      const message = await given(api.POST("/app/conversations/{id}/messages", {
        params: { path: { id: this.id } }, body: { id: newId(), parent_id: answer.parentId, role: "assistant", content } }));
      this.turns = [...this.turns, new Turn(message)];
      this.leafId = message.id;
    });
  }

  // Another answer to the same question, or the same request again if the server never had it.
  async retry(answer: Turn): Promise<void> {
    const question = this.turns.find((turn) => turn.id === answer.parentId);
    if (question && this.#unsent.has(question.id)) {
      this.turns = this.turns.filter((turn) => turn !== answer && turn !== question);
      await this.#ask(question.parentId, question.content, question.files);
    } else {
      await this.#start(this.#newAnswer(answer.parentId), { parent_id: answer.parentId });
    }
  }

  async continue(answer: Turn): Promise<void> {
    await this.#start(answer, { continue_id: answer.id });
  }

  #unsent = new Set<string>();  // questions that the server refused or never got

  #newAnswer(parentId: string | null): Turn {
    return new Turn({ id: newId(), parent_id: parentId, role: "assistant", created_at: Date.now(), model: app.model?.id ?? null });
  }

  async #start(answer: Turn, wish: Partial<NewRun>, before: Turn[] = []): Promise<void> {
    const id = newId();
    answer.begin(id);
    if (!this.turns.includes(answer)) this.turns = [...this.turns, ...before, answer];
    this.leafId = answer.id;
    for (const turn of before) this.#unsent.add(turn.id);
    try {
      await given(api.POST("/app/runs", { body: {
        id, answer_id: answer.id,
        conversation: { id: this.id, temporary: this.temporary, options: this.options }, leave_out: this.leaveOut, ...wish } }));
      for (const turn of before) this.#unsent.delete(turn.id);
      if (this.#left) return;
      this.isNew = false;
      if (!this.temporary && location.pathname === "/") history.replaceState(null, "", `/c/${this.id}`);
      this.#follow();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const { fit } = error.details;
      answer.fail({ code: error.code, message: error.message, ...(fit ? { fit } : {}) });
    }
  }

  async stop(): Promise<void> {
    const turn = this.running;
    if (!turn?.run || turn.stopping) return;
    turn.stopping = true;
    const { id } = turn.run;
    try {
      await given(api.POST("/app/runs/{id}/stop", { params: { path: { id } } }));
    } catch (error) {
      turn.stopping = false;
      app.toast(error instanceof Failure ? words.t.errors[error.code] ?? error.message : String(error));
    }
  }

  // ---- Whether it fits

  questionOf(answer: Turn): string {
    return this.turns.find((turn) => turn.id === answer.parentId)?.content ?? "";
  }

  #mayNotFit(text: string): boolean {
    const left = this.contextLeft ?? kUnknownContext;
    return text !== "" && new TextEncoder().encode(text).length + kLeastAnswer > left;  // no tokenizer makes more of it than bytes
  }

  #lookSoon(text: string): void {
    clearTimeout(this.#looking);
    if (this.fit?.fits === false || this.leaveOut > 0 || this.#mayNotFit(text)) this.#looking = window.setTimeout(() => void this.look(text), kLookPause);
  }

  // Asks the server whether this question would fit; nothing is known where it cannot be reached.
  async look(text: string): Promise<void> {
    clearTimeout(this.#looking);
    if (text.trim() === "") return void (this.fit = null);
    this.fit = await given(api.POST("/app/runs/check", { body: {
      id: newId(), answer_id: newId(), conversation: { id: this.id, temporary: this.temporary, options: this.options }, parent_id: this.leafId,
      message: { id: newId(), content: text, file_ids: this.attachments.ids }, leave_out: this.leaveOut } })).catch(() => null);
  }

  // Another conversation, which begins with a summary of this one and the question; nothing of it is sent yet.
  async moveOn(question: string): Promise<void> {
    const stop = (this.summarising = new AbortController());
    const done = await app.attempt(async () => {
      const summary = await summarise(this.path.filter((turn) => turn.status !== "failed"), this.options, stop.signal).catch((error: unknown) => {
        if (stop.signal.aborted) return null;
        throw error;
      });
      if (summary === null) return;
      if (this.draft === question) this.type("");
      const { options } = this;
      app.startNew();
      app.thread.options = options;
      app.thread.type(`${words.t.summary.intro}\n\n${summary}\n\n${question}`);
    });
    if (!done || stop.signal.aborted) this.summarising = null;
  }

  stopSummary(): void {
    this.summarising?.abort();
    this.summarising = null;
  }

  // ---- Branches

  // Shows another sibling: down from it, the newest of each branching.
  select(turn: Turn): void {
    let leaf = turn;
    for (;;) {
      const child = this.turns.findLast((other) => other.parentId === leaf.id);
      if (!child) break;
      leaf = child;
    }
    this.leafId = leaf.id;
    this.#follow();
    void app.change(this.id, { leaf_id: leaf.id });
  }

  // ---- Reading the log of the answer that is being written

  #follow(): void {
    const turn = this.running;
    this.#reading?.abort();
    this.#reading = null;
    if (!turn?.run || this.#left || document.hidden) return;
    const reading = (this.#reading = new AbortController());
    const run = turn.run;
    void follow({
      url: (position) => `/app/runs/${run.id}/events?from=${position}`,
      position: String(run.position),
      signal: reading.signal,
      state: (connected) => (turn.connected = connected),
      gone: () => void this.load(),
      take: (event) => {
        if (event.id !== undefined) run.position = Number(event.id);
        const last = turn.take(event.data as RunEvent);
        if (last) {
          app.announce(words.t.ready);
          void this.load();
        }
        return last;
      },
    });
  }

  // A hidden tab reads no log: it would hold a connection, and what it misses comes at once when it is shown.
  #visibility = (): void => this.#follow();

  // The tab is closed: nothing would ask for a temporary conversation again.
  #hidden = (event: PageTransitionEvent): void => {
    if (!event.persisted && this.temporary && !this.isNew) void fetch(`/app/conversations/${this.id}`, { method: "DELETE", keepalive: true }).catch(() => {});
  };

  leave(): void {
    this.#left = true;
    this.#reading?.abort();
    document.removeEventListener("visibilitychange", this.#visibility);
    removeEventListener("pagehide", this.#hidden);
    if (this.temporary) this.attachments.discard();
    if (this.temporary && !this.isNew) {
      given(api.DELETE("/app/conversations/{id}", { params: { path: { id: this.id } } })).catch(() => {});
    }
  }
}
