// [2] or [citation:2] in an answer: the number of a source. Here it is text in a place of its own; whether it names a
// source that was given, and so becomes a button, is up to the view.
import type MarkdownIt from "markdown-it";

const kCitation = /\[(?:citation:)?([1-9]\d{0,2})\](?![(:])/y;

export function citations(md: MarkdownIt): void {
  md.inline.ruler.before("link", "citation", (state, silent) => {
    if (state.src[state.pos] !== "[") return false;
    kCitation.lastIndex = state.pos;
    const found = kCitation.exec(state.src);
    const number = found?.[1];
    if (!found || number === undefined || kCitation.lastIndex > state.posMax) return false;
    if ((state.env as { references?: Record<string, unknown> }).references?.[number]) return false;  // the answer's own link
    if (!silent) state.push("citation", "", 0).content = number;
    state.pos = kCitation.lastIndex;
    return true;
  });
  md.renderer.rules["citation"] = (tokens, index) => {
    const { content } = tokens[index]!;
    return `<span class="cite" data-source="${content}">[${content}]</span>`;
  };
}
