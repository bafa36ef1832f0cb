// Where formulae stand in Markdown: $$…$$, \[…\], \(…\), and $…$ unless it is money. A markdown-it plug-in; what a formula
// looks like is the renderer's affair.
import type MarkdownIt from "markdown-it";
import type StateBlock from "markdown-it/lib/rules_block/state_block.mjs";
import type StateInline from "markdown-it/lib/rules_inline/state_inline.mjs";

const pairs = [
  { open: "$$", close: "$$", display: true },
  { open: "\\[", close: "\\]", display: true },
  { open: "\\(", close: "\\)", display: false },
];

function push(state: StateInline, content: string, display: boolean, end: number, silent: boolean): true {
  if (!silent) {
    const token = state.push("math", "math", 0);
    token.content = content.trim();
    token.meta = { display };
  }
  state.pos = end;
  return true;
}

function inline(state: StateInline, silent: boolean): boolean {
  const { src, pos } = state;
  for (const { open, close, display } of pairs) {
    if (!src.startsWith(open, pos)) continue;
    const end = src.indexOf(close, pos + open.length);
    if (end < 0 || end >= state.posMax || src.slice(pos + open.length, end).trim() === "") return false;
    return push(state, src.slice(pos + open.length, end), display, end + close.length, silent);
  }
  return src[pos] === "$" && dollar(state, silent);
}

// A single dollar opens a formula if no letter or digit stands before it and no space behind it, and closes one if no
// space stands before it and no digit behind it: "$5 and $10" stays money.
function dollar(state: StateInline, silent: boolean): boolean {
  const { src, pos, posMax } = state;
  if (/[A-Za-z0-9$\\]/.test(src[pos - 1] ?? " ")) return false;
  if (/[\s$]/.test(src[pos + 1] ?? " ")) return false;
  for (let end = pos + 1; end < posMax; end++) {
    const c = src[end];
    if (c === "\\") end++;
    else if (c === "\n" && src[end + 1] === "\n") return false;
    else if (c === "$") {
      if (/\s/.test(src[end - 1]!) || /[0-9$]/.test(src[end + 1] ?? " ")) return false;
      return push(state, src.slice(pos + 1, end), false, end + 1, silent);
    }
  }
  return false;
}

// A formula that begins a line and may go over several, up to its closing mark at the end of a line.
function block(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  const begin = state.bMarks[startLine]! + state.tShift[startLine]!;
  if (state.sCount[startLine]! - state.blkIndent >= 4) return false;
  const pair = pairs.find(({ open, display }) => display && state.src.startsWith(open, begin));
  if (!pair) return false;
  for (let line = startLine; line < endLine; line++) {
    if (line > startLine && (state.isEmpty(line) || state.sCount[line]! < state.blkIndent)) return false;
    const from = line === startLine ? begin + pair.open.length : state.bMarks[line]!;
    const text = state.src.slice(from, state.eMarks[line]!).trimEnd();
    const at = text.indexOf(pair.close);
    if (at < 0) continue;
    if (at + pair.close.length !== text.length) return false;  // words behind it: an inline formula of a paragraph
    const content = state.src.slice(begin + pair.open.length, from + at);
    if (content.trim() === "") return false;
    if (silent) return true;
    const token = state.push("math", "math", 0);
    token.block = true;
    token.content = content.trim();
    token.meta = { display: true };
    token.map = [startLine, line + 1];
    state.line = line + 1;
    return true;
  }
  return false;
}

export function math(md: MarkdownIt): void {
  md.inline.ruler.before("escape", "math", inline);
  md.block.ruler.before("fence", "math", block, { alt: ["paragraph", "blockquote", "list"] });
}
