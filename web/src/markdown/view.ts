// Markdown in the page: keeps the elements of finished blocks, shows what changed of the tail, and dresses a block up
// (colours, buttons, formulae) once it is finished.
import { Blocks, type Block } from "./blocks";
import { kWaiting, loadKatex, mathHtml } from "./formulae";
import { highlight } from "./highlight";
import { createParser } from "./parser";
import { safe } from "./sanitize";

const md = createParser({ chat: true, mathHtml });
const kSlice = 8;  // milliseconds of work at once for a text that is whole

interface Shown { block: Block; element: HTMLElement; dressed: boolean }

export class MarkdownView {
  #blocks = new Blocks(md);
  #shown: Shown[] = [];
  #text = "";
  #open = false;
  #frame = 0;
  #waiting = false;  // for KaTeX
  #cite: (number: number) => HTMLElement | null = () => null;

  // `buttons` adds what a finished code block offers to its caption.
  constructor(private readonly place: HTMLElement, private readonly buttons: (figure: HTMLElement) => void) {}

  // What stands for the number of a source; null where there is none of that number, which stays text.
  cite(make: (number: number) => HTMLElement | null): void {
    this.#cite = make;
    for (const { element, dressed } of this.#shown) if (dressed) this.#dressCitations(element);
  }

  update(text: string, open: boolean): void {
    if (text === this.#text && open === this.#open && this.#shown.length > 0) return;
    this.#text = text;
    this.#open = open;
    cancelAnimationFrame(this.#frame);
    this.#show(this.#blocks.update(text, open), 0);
  }

  destroy(): void {
    cancelAnimationFrame(this.#frame);
  }

  #show(blocks: Block[], from: number): void {
    const start = performance.now();
    for (let index = from; index < blocks.length; index++) {
      if (!this.#open && index > from && performance.now() - start > kSlice) {
        this.#frame = requestAnimationFrame(() => this.#show(blocks, index));
        return;
      }
      const shown = this.#shown[index];
      if (!shown || shown.block !== blocks[index]) this.#put(index, blocks[index]!);
      const now = this.#shown[index]!;
      const finished = !this.#open || index < this.#blocks.finished;
      if (finished && !now.dressed) this.#dress(now);
    }
    for (const { element } of this.#shown.splice(blocks.length)) element.remove();
    if (this.#shown.some(({ block }) => block.html.includes(kWaiting))) this.#waitForKatex();
  }

  // With KaTeX there, formulae that stood as text are set; all else keeps its elements.
  #waitForKatex(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    void loadKatex().then((loaded) => {
      this.#waiting = false;
      if (!loaded) return;
      this.#blocks.forget();
      this.#show(this.#blocks.update(this.#text, this.#open), 0);
    });
  }

  #put(index: number, block: Block): void {
    const shown = this.#shown[index];
    if (shown && shown.block.html === block.html) {
      shown.block = block;
    } else if (shown && extendCode(shown, block)) {
      shown.block = block;
    } else if (shown && changeItems(shown, block)) {
      shown.block = block;
    } else {
      const element = shown?.element ?? document.createElement("div");
      element.replaceChildren(safe(block.html));
      if (!shown) {
        element.className = "block";
        this.place.append(element);
      }
      this.#shown[index] = { block, element, dressed: false };
    }
  }

  #dressCitations(element: HTMLElement): void {
    for (const span of element.querySelectorAll<HTMLElement>("span.cite")) {
      const number = span.dataset["source"]!;
      span.replaceChildren(this.#cite(Number(number)) ?? `[${number}]`);
    }
  }

  #dress(shown: Shown): void {
    shown.dressed = true;
    if (this.#open) shown.element.classList.add("settled");
    this.#dressCitations(shown.element);
    for (const figure of shown.element.querySelectorAll<HTMLElement>("figure.code")) {
      this.buttons(figure);
      const code = figure.querySelector("code")!;
      const text = code.textContent ?? "";
      void highlight(text, figure.dataset["label"] ?? "").then((html) => {
        if (html !== null && code.textContent === text) code.replaceChildren(safe(html));
      });
    }
  }
}

// A code block that only grew gets its new text appended; the rest stays laid out.
function extendCode(shown: Shown, block: Block): boolean {
  if (block.code === null || shown.dressed) return false;
  const element = shown.element.querySelector("figure.code code");
  const before = element?.firstChild;
  if (shown.block.code === null || !(before instanceof Text) || element!.childNodes.length !== 1) return false;
  if (!block.code.startsWith(shown.block.code) || before.data !== shown.block.code) return false;
  if (label(block.html) !== label(shown.block.html)) return false;
  before.appendData(block.code.slice(shown.block.code.length));
  return true;
}

function label(html: string): string {
  return /data-label="([^"]*)"/.exec(html)?.[1] ?? "";
}

// Of a list that grew, the items that are the same stay.
function changeItems(shown: Shown, block: Block): boolean {
  const before = shown.block.items, after = block.items;
  const list = shown.element.firstElementChild;
  if (!before || !after || !list || list.children.length !== before.length || shown.dressed) return false;
  if (/^<[^>]*>/.exec(shown.block.html)![0] !== /^<[^>]*>/.exec(block.html)![0]) return false;
  for (let i = 0; i < after.length; i++) {
    if (before[i] === after[i]) continue;
    const item = safe(after[i]!).firstElementChild!;  // without the line end behind it, of which each change would leave one
    if (i < before.length) list.children[i]!.replaceWith(item);
    else list.append(item);
  }
  for (let i = before.length - 1; i >= after.length; i--) list.children[i]!.remove();
  return true;
}
