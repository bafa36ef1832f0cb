// What the whole page shares: the session, the list of conversations, the models, and which conversation is open.
import { api, Failure, given, newId, type Conversation, type Machine, type Model, type Options, type Preset, type Session,
  type Settings, type SettingsPatch } from "../api/client";
import { words } from "../texts/texts.svelte";
import { forget, forgetAll, keepList, keptList } from "./kept";
import { Thread } from "./thread.svelte";
import { watchChanges } from "./changes";

export type SettingsPart = "general" | "answers" | "usage" | "keys" | "data";
export type Dialog = "settings" | "search" | "shortcuts" | "models" | "file";
export interface ShownFile { id: string; name: string; place: string; from: number; to: number }
export interface Toast { id: number; text: string; action?: { label: string; run: () => void } }

const kDefaults: Settings = {
  language: "auto", theme: "auto", send_with: "enter", remote_images: false, titles: true, options: {},
};
export const kNoOptions = {
  model: null, system_prompt: null, thinking: null, thinking_budget: null, temperature: null, top_p: null, top_k: null, min_p: null,
  repetition_penalty: null, max_tokens: null, seed: null,
} satisfies Required<Options>;
const kToastTime = 10_000;
const kKeepPause = 2_000;
const kRetry = 2_000;

class App {
  session = $state.raw<Session | null>(null);
  settings = $state.raw<Settings>(remembered());
  conversations = $state.raw<Conversation[]>([]);
  more = $state<string | null>(null);
  listed = $state(false);
  models = $state.raw<Model[]>([]);
  machine = $state.raw<Machine | null>(null);
  reachable = $state(true);
  thread = $state.raw<Thread>(new Thread(newId()));
  dialog = $state<Dialog | null>(null);
  settingsPart = $state<SettingsPart>("general");
  settingsScope = $state<"all" | "chat">("all");
  shownFile: ShownFile | null = null;  // in the dialog "file"
  typedAhead = "";  // what was typed before the search was there to take it
  sidebar = $state(localStorage.getItem("sidebar") !== "closed");
  sheet = $state(false);  // the sidebar on a narrow screen
  toasts = $state<Toast[]>([]);
  announcement = $state("");
  #nextToast = 0;

  model = $derived.by(() => {
    const wanted = this.thread.options.model ?? this.settings.options.model;
    return this.models.find((model) => model.id === wanted) ?? this.models.find((model) => model.default) ?? null;
  });
  thinking = $derived(this.thread.options.thinking ?? this.settings.options.thinking ?? true);

  // ---- Start

  async start(): Promise<void> {
    this.show(location.pathname);
    addEventListener("popstate", () => this.show(location.pathname));
    this.#apply(this.settings);
    watchChanges({
      change: (change) => {
        if (change.type === "reset") void this.refresh();
        else if (change.type === "conversation") this.take(change.conversation);
        else if (change.type === "gone") this.#forget(change.id);
        else if (change.type === "settings") this.#apply(change.settings);
        else if (change.type === "model") this.#takeModel(change.model);
      },
      reachable: (reachable) => (this.reachable = reachable),
    });
    await this.refresh();
  }

  // Everything that may have changed while nobody listened. Tries until it succeeds.
  async refresh(): Promise<void> {
    for (;;) {
      try {
        const [session, list, models] = await Promise.all([
          given(api.GET("/app/session")), given(api.GET("/app/conversations")), given(api.GET("/app/models"))]);
        this.session = session;
        this.#apply(session.settings);
        this.conversations = list.conversations;
        this.more = list.next;
        this.listed = true;
        this.models = models.models;
        this.machine = models.machine;
        this.reachable = true;
        void this.thread.refresh();
        this.#keepSoon();
        return;
      } catch {
        this.reachable = false;
        if (!this.listed) {
          this.conversations = await keptList().catch(() => null) ?? [];
          this.listed = true;
        }
        await new Promise((resolve) => setTimeout(resolve, kRetry));
      }
    }
  }

  // ---- Which conversation

  show(path: string): void {
    const id = /^\/c\/([0-9A-Za-z_-]{8,40})$/.exec(path)?.[1];
    if (id === this.thread.id && !this.thread.isNew) return;
    if (!id && this.thread.isNew && !this.thread.temporary) return;
    this.thread.leave();
    this.thread = new Thread(id ?? newId(), { known: id !== undefined });
    if (id) void this.thread.load();
  }

  open(id: string): void {
    this.sheet = false;
    if (id !== this.thread.id) history.pushState(null, "", `/c/${id}`);
    this.show(`/c/${id}`);
  }

  startNew(temporary = false): void {
    this.sheet = false;
    if (location.pathname !== "/") history.pushState(null, "", "/");
    this.thread.leave();
    this.thread = new Thread(newId(), { temporary });
    this.focusComposer();
  }

  focusComposer(): void {
    setTimeout(() => document.querySelector<HTMLElement>("#composer textarea")?.focus());
  }

  // ---- What can be read while the server is away

  #keeping = 0;
  #kept = Promise.resolve();

  // One after the other, when changes have come to rest.
  #keepSoon(): void {
    clearTimeout(this.#keeping);
    this.#keeping = window.setTimeout(() => whenIdle(() => {
      this.#kept = this.#kept.then(() => keepList(this.conversations)).catch(() => {});
    }), kKeepPause);
  }

  // ---- The list

  take(conversation: Conversation): void {
    if (conversation.id === this.thread.id) this.thread.changed(conversation);
    if (conversation.temporary) return;
    const others = this.conversations.filter((other) => other.id !== conversation.id);
    this.conversations = [...others, conversation].sort((a, b) =>
      Number(b.pinned) - Number(a.pinned) || b.updated_at - a.updated_at || (a.id < b.id ? 1 : -1));
    this.#keepSoon();
  }

  async listMore(): Promise<void> {
    if (!this.more) return;
    const after = this.more;
    this.more = null;
    try {
      const page = await given(api.GET("/app/conversations", { params: { query: { after } } }));
      const known = new Set(this.conversations.map((conversation) => conversation.id));
      this.conversations = [...this.conversations, ...page.conversations.filter(({ id }) => !known.has(id))];
      this.more = page.next;
    } catch {
      this.more = after;
    }
  }

  #forget(id: string): void {
    void forget(id).then(() => this.#keepSoon());
    this.conversations = this.conversations.filter((conversation) => conversation.id !== id);
    if (id === this.thread.id && !this.thread.isNew) this.startNew();
  }

  async change(id: string, patch: { title?: string; pinned?: boolean; leaf_id?: string; options?: Options; temporary?: false }): Promise<void> {
    await this.attempt(async () => {
      this.take(await given(api.PATCH("/app/conversations/{id}", { params: { path: { id } }, body: patch })));
    });
  }

  async remove(id: string): Promise<void> {
    await this.attempt(async () => {
      const { ids, purge_at } = await given(api.DELETE("/app/conversations/{id}", { params: { path: { id } } }));
      this.#forget(id);
      this.toast(words.t.removed, purge_at === null ? undefined : { label: words.t.undo, run: () => void this.restore(ids) });
    });
  }

  async removeAll(): Promise<void> {
    await this.attempt(async () => {
      const { ids } = await given(api.DELETE("/app/conversations"));
      this.conversations = [];
      await forgetAll();
      this.startNew();
      this.toast(words.t.removed, { label: words.t.undo, run: () => void this.restore(ids) });
    });
  }

  async restore(ids: string[]): Promise<void> {
    await this.attempt(async () => {
      for (const id of ids) this.take(await given(api.POST("/app/conversations/{id}/restore", { params: { path: { id } } })));
      this.toast(words.t.restored);
    });
  }

  // ---- Settings and models

  #apply(settings: Settings): void {
    this.settings = settings;
    localStorage.setItem("settings", JSON.stringify({ ...settings, options: {} }));
    if (settings.theme === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = settings.theme;
    void words.use(settings.language);
  }

  async set(patch: SettingsPatch): Promise<void> {
    await this.attempt(async () => this.#apply(await given(api.PATCH("/app/settings", { body: patch }))));
  }

  // For this conversation.
  async setOptions(options: Options): Promise<void> {
    const thread = this.thread;
    thread.options = { ...thread.options, ...options };
    if (!thread.isNew) await this.change(thread.id, { options });
  }

  // For this conversation; before it has begun, as what every next one begins with too.
  async choose(options: Pick<Options, "model" | "thinking">): Promise<void> {
    const isNew = this.thread.isNew;
    await this.setOptions(options);
    if (isNew) await this.set({ options });
  }

  // All that a preset says; what it does not say follows the settings again, but for the model.
  usePreset({ name, options }: Preset): void {
    const { model: _, ...none } = kNoOptions;
    void this.setOptions({ ...none, ...options }).then(() => this.toast(words.t.presetUsed(name)));
  }

  // For this conversation; the server loads it meanwhile.
  async useModel(model: Model): Promise<void> {
    await this.choose({ model: model.id });
    if (model.state !== "on_disk") return;
    await this.attempt(async () => {
      this.#takeModel(await given(api.POST("/app/models/{model}/load", { params: { path: { model: model.id } } })));
    });
  }

  async fetchModel(id: string, state: "running" | "paused"): Promise<void> {
    await this.attempt(async () => {
      this.#takeModel(await given(api.PUT("/app/models/{model}/download", { params: { path: { model: id } }, body: { state } })));
    });
  }

  #takeModel(model: Model): void {
    const known = this.models.some((other) => other.id === model.id);
    this.models = known ? this.models.map((other) => (other.id === model.id ? model : other)) : [...this.models, model];
  }

  // ---- Small things

  search(): void {
    this.sheet = false;
    this.typedAhead = "";
    this.dialog = "search";
  }

  openSettings(part: SettingsPart, scope: "all" | "chat" = "all"): void {
    this.sheet = false;
    this.settingsPart = part;
    this.settingsScope = scope;
    this.dialog = "settings";
  }

  showFile(file: ShownFile): void {
    this.shownFile = file;
    this.dialog = "file";
  }

  setSidebar(open: boolean): void {
    this.sidebar = open;
    localStorage.setItem("sidebar", open ? "open" : "closed");
  }

  toast(text: string, action?: Toast["action"]): void {
    const toast: Toast = { id: this.#nextToast++, text, ...(action ? { action } : {}) };
    this.toasts = [...this.toasts.slice(-2), toast];
    setTimeout(() => this.dismiss(toast.id), kToastTime);
  }

  dismiss(id: number): void {
    this.toasts = this.toasts.filter((toast) => toast.id !== id);
  }

  // Polite words for those who hear the page.
  announce(text: string): void {
    this.announcement = "";
    setTimeout(() => (this.announcement = text), 50);
  }

  async attempt(action: () => Promise<void>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (error) {
      this.toast(failureText(error));
      return false;
    }
  }
}

export function failureText(error: unknown): string {
  if (!(error instanceof Failure)) throw error;
  return words.t.errors[error.code] ?? `${words.t.errors["other"]}: ${error.message}`;
}

function whenIdle(action: () => void): void {
  if ("requestIdleCallback" in window) requestIdleCallback(action);
  else setTimeout(action, 1000);
}

function remembered(): Settings {
  try {
    return { ...kDefaults, ...(JSON.parse(localStorage.getItem("settings") ?? "{}") as Partial<Settings>) };
  } catch {
    return kDefaults;
  }
}

export const app = new App();
