// The files that a person adds to a message: sent to the server at once, so that it has read them when the message goes.
import { api, Failure, given, newId, type FileInfo } from "../api/client";
import { words } from "../texts/texts.svelte";
import { app } from "./app.svelte";

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

  #reading = new Map<string, AbortController>();  // PDFs

  // `changed`: those that a draft names are others now. `temporary`: nothing of them is to be kept on the disk.
  constructor(private readonly changed: () => void, private readonly temporary: () => boolean) {}

  add(files: Iterable<File>): void {
    for (const file of files) if (this.list.length < kMost) void this.#send(file);
  }

  async #send(file: File): Promise<void> {
    const added: Attachment = { id: newId(), name: file.name, info: null, trouble: "" };
    this.list = [...this.list, added];
    if (/^(image|audio|video)\//.test(file.type)) return this.#set(added.id, { trouble: words.t.onlyText });
    try {
      const most = app.session?.limits.file_bytes ?? Infinity;
      const pdf = file.type === "application/pdf" || /\.pdf$/i.test(file.name);
      const body = pdf ? await this.#textOf(added.id, file, most) : file;
      if (body.size > most) throw new Failure("too_large", "");
      const info = await given(api.PUT("/app/files/{id}", {
        params: { path: { id: added.id }, query: { name: file.name, kind: pdf ? "pdf_text" : "text", temporary: this.temporary() } },
        body: body as unknown as string, bodySerializer: (bytes) => bytes, headers: { "Content-Type": "application/octet-stream" } }));
      if (!this.list.some((other) => other.id === added.id)) return this.#drop(added.id);  // removed meanwhile
      this.#set(added.id, { info });
      this.changed();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#set(added.id, { trouble: words.t.errors[error.code] ?? error.message });
    }
  }

  async #textOf(id: string, file: File, most: number): Promise<Blob> {
    const reading = new AbortController();
    this.#reading.set(id, reading);
    try {
      const { pdfText } = await import("../files/pdf").catch(() => { throw new Failure("unreachable", ""); });
      return new Blob([await pdfText(file, most, reading.signal)]);
    } finally {
      this.#reading.delete(id);
    }
  }

  #drop(id: string): void {
    given(api.DELETE("/app/files/{id}", { params: { path: { id } } })).catch(() => {});
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
    this.#reading.get(id)?.abort();
    if (file?.info) this.#drop(id);
    this.changed();
  }

  // Of a chat that leaves nothing behind.
  discard(): void {
    for (const { id } of this.list) this.remove(id);
  }

  take(): FileInfo[] {
    const files = this.list.flatMap((file) => file.info ?? []);
    this.list = [];
    return files;
  }
}
