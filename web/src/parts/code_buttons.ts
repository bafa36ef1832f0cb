// What a finished block of code offers: copy, wrap, download, and for HTML and SVG a preview.
import { words } from "../texts/texts.svelte";
import { saveText } from "./download";
import { drawn, type IconName } from "./icons";

const kEndings: Record<string, string> = { python: "py", py: "py", javascript: "js", js: "js", typescript: "ts", ts: "ts", bash: "sh", sh: "sh",
  shell: "sh", html: "html", svg: "svg", css: "css", json: "json", yaml: "yaml", cpp: "cpp", c: "c", java: "java", go: "go", rust: "rs",
  ruby: "rb", php: "php", sql: "sql", markdown: "md", xml: "xml", csv: "csv" };

export function addCodeButtons(figure: HTMLElement): void {
  const caption = figure.querySelector("figcaption")!;
  const label = (figure.dataset["label"] ?? "").toLowerCase();
  const text = () => figure.querySelector("code")!.textContent ?? "";
  if (label === "html" || label === "svg") {
    const show = button("eye", words.t.preview, () => preview(figure, text(), show));
    caption.append(show);
  }
  const wrap = button("wrap", words.t.wrap, () => wrap.setAttribute("aria-pressed", String(figure.classList.toggle("wrapped"))));
  wrap.setAttribute("aria-pressed", "false");
  const copy = button("copy", words.t.copy, async () => {
    await navigator.clipboard.writeText(text());
    copy.replaceChildren(drawn("check"));
    copy.setAttribute("aria-label", words.t.copied);
    setTimeout(() => {
      copy.replaceChildren(drawn("copy"));
      copy.setAttribute("aria-label", words.t.copy);
    }, 1500);
  });
  caption.append(wrap, button("download", words.t.download, () => saveText(text(), `code.${kEndings[label] ?? "txt"}`)), copy);
  figure.querySelector("pre")!.setAttribute("aria-label", label || words.t.code);
}

function button(icon: IconName, label: string, action: () => void): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "quiet";
  made.title = label;
  made.setAttribute("aria-label", label);
  made.append(drawn(icon));
  made.addEventListener("click", action);
  return made;
}

// In a frame without this page's origin, from a file with a policy of its own (public/preview.html).
function preview(figure: HTMLElement, text: string, button: HTMLButtonElement): void {
  const open = figure.classList.toggle("previewed");
  button.setAttribute("aria-label", open ? words.t.showCode : words.t.preview);
  button.title = open ? words.t.showCode : words.t.preview;
  figure.querySelector("iframe")?.remove();
  if (!open) return;
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  frame.title = words.t.previewTitle;
  frame.src = "/preview.html";
  const hand = (event: MessageEvent) => {
    if (event.source !== frame.contentWindow || event.data !== "ready") return;
    removeEventListener("message", hand);
    frame.contentWindow!.postMessage(text, "*");  // its origin is opaque, so it has no name to send to
  };
  addEventListener("message", hand);
  figure.append(frame);
}
