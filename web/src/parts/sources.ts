// The sources of an answer: what their places are called, and the button that a citation becomes.
import type { FileInfo, Source } from "../api/client";
import { app } from "../state/app.svelte";
import { words } from "../texts/texts.svelte";

const kMostShown = 200_000;  // bytes of a file that are shown at once

export function placeText({ unit, first, last }: Source): string {
  return unit === "page" ? words.t.pages(first, last) : words.t.lines(first, last);
}

export function showSource(source: Source): void {
  app.showFile({ id: source.file_id, name: source.title, place: placeText(source), from: source.from, to: source.to });
}

export function showFile(file: FileInfo): void {
  app.showFile({ id: file.id, name: file.name, place: "", from: 0, to: kMostShown });
}

export function citation(sources: Source[], number: number): HTMLElement | null {
  const source = sources[number - 1];
  if (!source) return null;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "cite-button";
  button.textContent = String(number);
  button.title = `${source.title}, ${placeText(source)}`;
  button.setAttribute("aria-label", `${words.t.source(number)}: ${button.title}`);
  button.addEventListener("click", () => showSource(source));
  return button;
}
