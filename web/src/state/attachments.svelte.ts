// The files that a person adds to a message: sent to the server at once, so that it has read them when the message goes.
import { api, Failure, given, newId, type FileInfo } from "../api/client";
import { words } from "../texts/texts.svelte";

export interface Attachment {
  id: string;
  name: string;
  info: FileInfo | null;  // what the server read of it; null while it is being sent
  trouble: string;
}

export const kLongPaste = 4_000;  // characters; a longer paste becomes a file
export const kMost = 20;

export class Attachments {
  list = $state.raw<Attachment[]>([]);
  ids = $derived(this.list.filter((file) => file.info !== null).map((file) => file.id));
  sending = $derived(this.list.some((file) => file.info === null && file.trouble === ""));

  #restored = new Set<string>();  // the browser's draft and the server's may both name a file

  constructor(private readonly changed: () => void) {}

  add(files: Iterable<File>): void {
    for (const file of files) if (this.list.length < kMost) void this.#send(file);
  }

  async #send(file: File): Promise<void> {
    const added: Attachment = { id: newId(), name: file.name, info: null, trouble: "" };
    this.list = [...this.list, added];
    if (/^(image|audio|video)\//.test(file.type)) return this.#set(added.id, { trouble: words.t.onlyText });
    try {
      const info = await given(api.PUT("/app/files/{id}", {
        params: { path: { id: added.id }, query: { name: file.name } }, body: file as unknown as string,
        bodySerializer: (body) => body, headers: { "Content-Type": "application/octet-stream" } }));
      this.#set(added.id, { info });
      this.changed();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#set(added.id, { trouble: words.t.errors[error.code] ?? error.message });
    }
  }

  #set(id: string, fields: Partial<Attachment>): void {
    this.list = this.list.map((file) => (file.id === id ? { ...file, ...fields } : file));
  }

  // Those of a draft, by what the server knows of them.
  async restore(ids: string[]): Promise<void> {
    for (const id of ids) {
      if (this.#restored.has(id)) continue;
      this.#restored.add(id);
      try {
        const info = await given(api.GET("/app/files/{id}", { params: { path: { id } } }));
        this.list = [...this.list, { id, name: info.name, info, trouble: "" }];
      } catch {
        // It is gone; the draft is shown without it.
      }
    }
  }

  remove(id: string): void {
    const file = this.list.find((other) => other.id === id);
    this.list = this.list.filter((other) => other.id !== id);
    if (file?.info) given(api.DELETE("/app/files/{id}", { params: { path: { id } } })).catch(() => {});
    this.changed();
  }

  take(): FileInfo[] {
    const files = this.list.flatMap((file) => file.info ?? []);
    this.list = [];
    return files;
  }
}
