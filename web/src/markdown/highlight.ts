// Asks the worker for coloured code; null where its language is not known or it is too long to be worth it.
const kLongest = 100_000;

let worker: Worker | null = null;
let next = 0;
const waiting = new Map<number, (html: string | null) => void>();

export function highlight(code: string, label: string): Promise<string | null> {
  if (label === "" || code.length > kLongest) return Promise.resolve(null);
  if (!worker) {
    worker = new Worker(new URL("./highlight.worker.ts", import.meta.url), { type: "module" });
    worker.addEventListener("message", (event: MessageEvent<{ id: number; html: string | null }>) => {
      waiting.get(event.data.id)?.(event.data.html);
      waiting.delete(event.data.id);
    });
  }
  const id = next++;
  worker.postMessage({ id, code, label: label.toLowerCase() });
  return new Promise((resolve) => waiting.set(id, resolve));
}
