// A conversation as one HTML file: the page's look in both themes, no script, nothing fetched. What the model wrote is
// sanitised last here too, and the file's own policy lets nothing run.
import type { Conversation, Message } from "../api/client";
import { typeset } from "../markdown/formulae";
import { highlight } from "../markdown/highlight";
import { createParser } from "../markdown/parser";
import { safe } from "../markdown/sanitize";
import prose from "../look/prose.css?inline";
import tokens from "../look/tokens.css?inline";
import { numberText, words } from "../texts/texts.svelte";
import frame from "./page.css?inline";

const kPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

// Formulae as MathML, which browsers draw without fonts of their own.
async function mathHtml(): Promise<(tex: string, display: boolean) => string> {
  const { default: katex } = await import("katex");
  return (tex, display) => typeset(katex, tex, display, "mathml");
}

export async function sharedPage(conversation: Conversation, path: Message[]): Promise<string> {
  const mayHaveMath = path.some(({ content, reasoning }) => /[$\\]/.test(content + (reasoning ?? "")));
  const md = createParser({ chat: true, ...(mayHaveMath ? { mathHtml: await mathHtml() } : {}) });
  const body = document.createElement("main");
  for (const message of path) body.append(message.role === "user" ? question(message) : await answer(message, (text) => md.render(text)));
  const title = conversation.title || words.t.untitled;
  const date = new Date(conversation.updated_at).toLocaleDateString(words.language, { dateStyle: "long" });
  const head = element("header", "", element("h1", "", title), element("p", "", date));
  return `<!doctype html>\n<html lang="${document.documentElement.lang}">\n<head>\n<meta charset="utf-8">\n`
    + `<meta http-equiv="Content-Security-Policy" content="${kPolicy}">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n`
    + `<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n${element("title", "", title).outerHTML}\n`
    + `<style>\n${tokens}\n${frame}\n${prose}\n</style>\n</head>\n<body>\n${head.outerHTML}\n${body.outerHTML}\n${element("footer", "", words.t.sharedNote).outerHTML}\n</body>\n</html>\n`;
}

function element(name: string, className: string, ...content: (Node | string)[]): HTMLElement {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

function question(message: Message): HTMLElement {
  const made = element("article", "question", element("div", "words", message.content));
  made.setAttribute("aria-label", words.t.you);
  if (message.files.length) made.prepend(element("p", "files", message.files.map(({ name }) => name).join(", ")));
  return made;
}

async function answer(message: Message, html: (text: string) => string): Promise<HTMLElement> {
  const made = element("article", "");
  made.setAttribute("aria-label", words.t.answer);
  if (message.reasoning) {
    const seconds = message.reasoning_seconds ?? 0;
    const summary = element("summary", "", words.t.thought(numberText(seconds >= 1 ? Math.floor(seconds) : seconds, 1)));
    made.append(element("details", "", summary, await written(html(message.reasoning))));
  }
  made.append(await written(html(message.content)));
  if (message.model) made.append(element("p", "model", message.model));
  return made;
}

async function written(html: string): Promise<HTMLElement> {
  const block = element("div", "block", safe(html));
  for (const figure of block.querySelectorAll<HTMLElement>("figure.code")) {
    const code = figure.querySelector("code")!;
    const coloured = await highlight(code.textContent ?? "", figure.dataset["label"] ?? "");
    if (coloured !== null) code.replaceChildren(safe(coloured));
  }
  return element("div", "prose", block);
}
