// A text that grows, as blocks of HTML: what is finished is parsed once and keeps its place; only the tail is parsed again.
// Knows no browser.
import type MarkdownIt from "markdown-it";
import type Token from "markdown-it/lib/token.mjs";
import remend from "remend";

export interface Block {
  html: string;
  code: string | null;     // the text of a fenced block that is not closed yet
  items: string[] | null;  // of a list: its items' HTML, so that a long one need not be shown anew for each word
}

const kMend = { linkMode: "text-only", htmlTags: false, comparisonOperators: false } as const;

type Env = { references?: Record<string, unknown> };

const kMayDefine = /^[ \t>*+\-\d.)]*\[[^\]]+\]:/m;  // a link's definition, which may change what stands before it

export class Blocks {
  #finished: Block[] = [];
  #start = 0;  // where the tail begins
  #text = "";
  #env: Env = {};

  constructor(private readonly md: MarkdownIt) {}

  forget(): void {
    this.#finished = [];
    this.#start = 0;
    this.#text = "";
    this.#env = {};
  }

  // All blocks of the text; those that were finished before are the same objects. `open`: more of it may come.
  update(text: string, open: boolean): Block[] {
    const same = text.length >= this.#start && text.slice(0, this.#start) === this.#text.slice(0, this.#start);
    if (!same || (!open && kMayDefine.test(text))) this.forget();
    this.#text = text;
    if (open) this.#finish(text);
    const tail = text.slice(this.#start);
    return [...this.#finished, ...this.#parse(open ? this.#mended(tail) : tail, this.#copyOfEnv())];
  }

  get finished(): number {
    return this.#finished.length;
  }

  // What stands before the last block can no longer change, if that block began on a line that is whole.
  #finish(text: string): void {
    const whole = text.slice(this.#start, text.lastIndexOf("\n") + 1);
    if (whole === "") return;
    const env = this.#copyOfEnv();
    const groups = topLevel(this.md.parse(whole, env));
    const line = groups.at(-1)?.[0]?.map?.[0];
    if (groups.length < 2 || line === undefined) return;
    const length = offsetOfLine(whole, line);
    for (const tokens of groups.slice(0, -1)) this.#finished.push(this.#render(tokens, env, false));
    this.md.parse(whole.slice(0, length), this.#env);  // for the links that it defines
    this.#start += length;
  }

  #parse(text: string, env: Env): Block[] {
    const lines = text.split("\n").length;
    return topLevel(this.md.parse(text, env)).map((tokens, index, all) =>
      this.#render(tokens, env, index === all.length - 1 && (tokens[0]!.map?.[1] ?? 0) >= lines - 1 && !closedFence(tokens[0]!, text)));
  }

  #render(tokens: Token[], env: Env, last: boolean): Block {
    const html = this.md.renderer.render(tokens, this.md.options, env);
    const first = tokens[0]!;
    const isList = first.type === "bullet_list_open" || first.type === "ordered_list_open";
    return {
      html,
      code: last && first.type === "fence" ? first.content : null,
      items: isList ? listItems(tokens).map((item) => this.md.renderer.render(item, this.md.options, env)) : null,
    };
  }

  // The emphasis, code and links that the last block has opened are closed for show; in code nothing is.
  #mended(tail: string): string {
    const last = topLevel(this.md.parse(tail, this.#copyOfEnv())).at(-1)?.[0];
    if (!last?.map || last.type === "fence" || last.type === "code_block") return tail;
    const from = offsetOfLine(tail, last.map[0]);
    return tail.slice(0, from) + remend(tail.slice(from), kMend);
  }

  #copyOfEnv(): Env {
    return { references: { ...this.#env.references } };
  }
}

function topLevel(tokens: Token[]): Token[][] {
  const groups: Token[][] = [];
  let depth = 0;
  for (const token of tokens) {
    if (depth === 0) groups.push([]);
    groups.at(-1)!.push(token);
    depth += token.nesting;
  }
  return groups;
}

function listItems(tokens: Token[]): Token[][] {
  return topLevel(tokens.slice(1, -1));
}

function offsetOfLine(text: string, line: number): number {
  let offset = 0;
  for (; line > 0; line--) offset = text.indexOf("\n", offset) + 1;
  return offset;
}

function closedFence(token: Token, text: string): boolean {
  if (token.type !== "fence" || !token.map) return false;
  const lines = text.split("\n").slice(token.map[0], token.map[1]);
  const last = lines.at(-1)?.trim() ?? "";
  return lines.length > 1 && last.startsWith(token.markup) && last.replaceAll(token.markup[0]!, "") === "";
}
