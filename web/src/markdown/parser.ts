// Markdown as the page speaks it. No raw HTML; links to http, https and mailto only; pictures become links.
import MarkdownIt from "markdown-it";
import cjkFriendly from "markdown-it-cjk-friendly";
import { citations } from "./citations";
import { math } from "./math";

export type MathHtml = (tex: string, display: boolean) => string;

// `chat` adds what goes beyond CommonMark and tables; without it the parser can be held against the specification.
export function createParser(given: { chat: boolean; mathHtml?: MathHtml }): MarkdownIt {
  const md = new MarkdownIt({ html: false, linkify: given.chat, breaks: given.chat });
  if (!given.chat) return md;
  md.use(cjkFriendly).use(math).use(citations);
  md.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
  md.validateLink = (url) => /^(https?:|mailto:)/i.test(url.trim());
  const escape = md.utils.escapeHtml;

  md.renderer.rules.math = (tokens, index) => {
    const { content, meta, block } = tokens[index]!;
    const html = given.mathHtml?.(content, meta.display) ?? escape(content);
    return block ? `<p>${html}</p>\n` : html;
  };
  const code = (text: string, label: string) =>
    `<figure class="code" data-label="${escape(label)}"><figcaption><span>${escape(label)}</span></figcaption>` +
    `<pre tabindex="0"><code>${escape(text)}</code></pre></figure>\n`;
  md.renderer.rules.fence = (tokens, index) => code(tokens[index]!.content, fenceLabel(tokens[index]!.info));
  md.renderer.rules.code_block = (tokens, index) => code(tokens[index]!.content, "");
  md.renderer.rules.table_open = () => `<div class="table-scroll" tabindex="0"><table>\n`;
  md.renderer.rules.table_close = () => "</table></div>\n";
  md.renderer.rules.image = (tokens, index) => {
    const { content, attrGet } = tokens[index]!;
    const url = attrGet.call(tokens[index]!, "src") ?? "";
    return `<a class="picture" href="${escape(url)}">${escape(content || url)}</a>`;
  };
  return md;
}

export function fenceLabel(info: string): string {
  return /^[\w+#.-]+/.exec(info.trim())?.[0] ?? "";
}
