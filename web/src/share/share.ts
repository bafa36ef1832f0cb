// What is done with a whole conversation: the items of its menu, in the list and above the thread.
import { api, given, type Conversation, type Message } from "../api/client";
import { download, saveText } from "../parts/download";
import { app } from "../state/app.svelte";
import type { MenuItem } from "../state/menu.svelte";
import { words } from "../texts/texts.svelte";

export function keepingItems(conversation: Conversation): MenuItem[] {
  const { id } = conversation;
  return [
    { label: words.t.share, note: words.t.shareNote, icon: "share", run: () => void share(id) },
    { label: words.t.exportMarkdown, icon: "download", run: () => download(`/app/conversations/${id}/export?format=markdown`) },
    { label: words.t.exportJson, icon: "download", run: () => download(`/app/conversations/${id}/export?format=json`) },
  ];
}

async function share(id: string): Promise<void> {
  await app.attempt(async () => {
    const { conversation, messages } = await given(api.GET("/app/conversations/{id}", { params: { path: { id } } }));
    const { sharedPage } = await import("./page");
    saveText(await sharedPage(conversation, shownPath(messages, conversation.leaf_id)), `${fileName(conversation.title)}.html`, "text/html");
  });
}

function shownPath(messages: Message[], leaf: string | null): Message[] {
  const byId = new Map(messages.map((message) => [message.id, message]));
  const path: Message[] = [];
  for (let message = byId.get(leaf ?? ""); message; message = byId.get(message.parent_id ?? "")) path.push(message);
  return path.reverse();
}

function fileName(title: string): string {
  return title.replaceAll(/[\s\\/:*?"<>|\p{Cc}]+/gu, " ").trim().slice(0, 80) || "conversation";
}
