// Conversations in the browser, to be read while the server is away: those of the list, as the server gave them. What is
// not in the list any more is not here either. Browsers keep such things for pages of this machine or behind TLS alone.
import type { Conversation, Draft, Message } from "../api/client";

export interface Whole { conversation: Conversation; messages: Message[]; draft: Draft | null }

const kCache = "conversations";
const kList = "/app/conversations";
const there = "caches" in globalThis;
const urlOf = (id: string) => `/app/conversations/${id}`;

async function open(): Promise<Cache | null> {
  return there ? caches.open(kCache).catch(() => null) : null;
}

async function read<T>(url: string): Promise<T | null> {
  const found = await (await open())?.match(url);
  return found ? ((await found.json()) as T) : null;
}

// Where there is no room the page goes on without.
async function write(url: string, value: unknown): Promise<void> {
  await (await open())?.put(url, new Response(JSON.stringify(value), { headers: { "Content-Type": "application/json" } })).catch(() => {});
}

export const keptList = (): Promise<Conversation[] | null> => read<Conversation[]>(kList);
export const keptConversation = (id: string): Promise<Whole | null> => read<Whole>(urlOf(id));

export async function forget(id: string): Promise<void> {
  await (await open())?.delete(urlOf(id));
}

export async function forgetAll(): Promise<void> {
  if (there) await caches.delete(kCache).catch(() => false);
}

// Makes what is kept agree with the list: drops what is not in it, fetches what is not here as it is now. A reply is kept
// as it came; its ETag is the revision, which one with a run under way does not have.
export async function keepList(list: Conversation[]): Promise<void> {
  const cache = await open();
  if (!cache) return;
  await write(kList, list);
  const wanted = new Map(list.map((conversation) => [urlOf(conversation.id), conversation]));
  for (const { url } of await cache.keys()) {
    const path = new URL(url).pathname;
    if (path === kList) continue;
    const conversation = wanted.get(path);
    if (!conversation) await cache.delete(path);
    else if ((await cache.match(path))?.headers.get("ETag") === `"${conversation.revision}"`) wanted.delete(path);
  }
  for (const [path, { run_id }] of wanted) {
    if (run_id) continue;
    const reply = await fetch(path, { cache: "no-store" }).catch(() => null);
    if (!reply) return;
    if (reply.ok && reply.headers.has("ETag")) await cache.put(path, reply).catch(() => {});
  }
}
