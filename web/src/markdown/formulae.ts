// KaTeX, loaded when the first formula is shown. Until then a formula stands as it was written.
import type katexModule from "katex";

let katex: typeof katexModule | null = null;
let loading: Promise<boolean> | null = null;
const made = new Map<string, string>();
const kKept = 1000;

export const kWaiting = "math-waiting";

export function mathHtml(tex: string, display: boolean): string {
  const kind = display ? "math display" : "math";
  if (!katex) return `<span class="${kind} ${kWaiting}">${escapeHtml(tex)}</span>`;
  const key = `${display ? "D" : "I"}${tex}`;
  let html = made.get(key);
  if (html === undefined) {
    html = `<span class="${kind}">${typeset(katex, tex, display, "htmlAndMathml")}</span>`;
    if (made.size >= kKept) made.clear();
    made.set(key, html);
  }
  return html;
}

// Without the formula's own source, of which the sanitiser would leave the text.
export function typeset(by: typeof katexModule, tex: string, display: boolean, output: "htmlAndMathml" | "mathml"): string {
  return by.renderToString(tex, {
    displayMode: display, throwOnError: false, trust: false, strict: "ignore", maxSize: 20, maxExpand: 200, output, errorColor: "currentColor",
  }).replace(/<annotation[^]*?<\/annotation>/g, "");
}

// Whether it is there now.
export function loadKatex(): Promise<boolean> {
  loading ??= Promise.all([import("katex"), import("katex/dist/katex.min.css")]).then(([module]) => {
    katex = module.default;
    return true;
  }, () => {
    loading = null;  // the server is away: formulae stand as they were written, and the next text asks again
    return false;
  });
  return loading;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
