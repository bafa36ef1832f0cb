// What was typed and not sent: at once in the browser, a moment later on the server.
import { api, given, type Draft } from "../api/client";

const kPause = 800;
const timers = new Map<string, number>();

function stored(key: string): Draft | null {
  try {
    return JSON.parse(localStorage.getItem(`draft:${key}`) ?? "null") as Draft | null;
  } catch {
    return null;
  }
}

export function localDraft(key: string): Draft | null {
  return stored(key);
}

export function keepDraft(key: string, text: string, fileIds: string[]): void {
  const draft: Draft = { text, file_ids: fileIds, updated_at: Date.now() };
  if (text === "" && fileIds.length === 0) localStorage.removeItem(`draft:${key}`);
  else localStorage.setItem(`draft:${key}`, JSON.stringify(draft));
  clearTimeout(timers.get(key));
  timers.set(key, window.setTimeout(() => {
    // The browser has it; the server gets it with the next change if it cannot be reached now.
    given(api.PUT("/app/drafts/{key}", { params: { path: { key } }, body: draft })).catch(() => {});
  }, kPause));
}

export async function serverDraft(key: string): Promise<Draft | null> {
  try {
    return await given(api.GET("/app/drafts/{key}", { params: { path: { key } } }));
  } catch {
    return null;
  }
}

export function newer(a: Draft | null, b: Draft | null): Draft | null {
  if (!a || !b) return a ?? b;
  return b.updated_at > a.updated_at ? b : a;
}
