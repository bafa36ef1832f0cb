// page_app_test.mjs PAGE SCREENSHOTS [NAME]
//
// The chat page (the built files in the folder PAGE) in Chromium against a server that says set tokens: what the page
// promises, a test for each. Leaves pictures in the folder SCREENSHOTS. NAME: only tests whose name holds it.
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AppStub, pause } from "./app_stub.mjs";
import { answers, ask, axeFindings, done, lastAnswer, question, runTests, test, thread, until, watchLongTasks, withPage } from "./page_kit.mjs";

const [folder, shots, only] = process.argv.slice(2);
if (!shots) {
  console.error("usage: node page_app_test.mjs PAGE SCREENSHOTS [NAME]");
  process.exit(2);
}
await mkdir(shots, { recursive: true });
const stub = await AppStub.start(folder);
const withStub = (options, run) => {
  stub.reset();
  options.before?.();
  delete options.before;
  return withPage(stub.url, options, run);
};
const kWords = "The sea keeps the sum of rivers and gives back clouds. ";
const kText = `${kWords.repeat(8)}\n\n`;

// ---- Streaming

test("finished blocks are never rendered again, and the tail is repaired", () => withStub({}, async (page) => {
  let go;
  const gate = new Promise((resolve) => (go = resolve));
  stub.script = async (run) => {
    await run.stream("First paragraph.\n\n```python\nx = 1\n```\n\nThen **bold that is not yet clo", { perSecond: 200 });
    await gate;
    await run.stream("sed** now.\n\n- one\n- two\n\nLast.", { perSecond: 200 });
  };
  await ask(page, "Go");
  await page.getByText("bold that is not yet clo").waitFor();
  assert.equal(await lastAnswer(page).locator("strong").textContent(), "bold that is not yet clo");
  await page.evaluate(() => document.querySelectorAll(".block").forEach((block, index) => { block.firstElementChild.dataset.seen = index; }));
  go();
  await done(page);
  const seen = await lastAnswer(page).locator(".block > :first-child").evaluateAll((nodes) => nodes.map((node) => node.dataset.seen ?? null));
  assert.deepEqual(seen.slice(0, 2), ["0", "1"], "the first two kept their elements");
  assert.equal(await lastAnswer(page).locator("li").count(), 2);
}));

test("a list that grew word by word leaves nothing behind between its items", () => withStub({}, async (page) => {
  stub.script = (run) => run.stream("- one item\n- another item\n- a third\n\nEnd.", { perSecond: 60, size: 2 });
  await ask(page, "Go");
  await page.getByText("End.").waitFor();
  await done(page);
  assert.ok(await page.locator(".prose ul").evaluate((list) => list.childNodes.length) <= 7, "three items and what stood between them at first");
}));

test("the page is changed at most once per frame", () => withStub({}, async (page) => {
  stub.script = (run) => run.stream(kText.repeat(2), { perSecond: 1000, size: 2 });
  await page.evaluate(() => {
    window.frames_ = 0;
    window.changes_ = 0;
    const tick = () => { window.frames_ += 1; requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
    new MutationObserver(() => { window.changes_ += 1; }).observe(document.querySelector("main"), { subtree: true, childList: true, characterData: true });
  });
  await ask(page, "Go");
  await until(() => stub.runs.size > 0 && [...stub.runs.values()][0].status !== "running", "the end of the run");
  await done(page);
  const { frames_, changes_, tokens } = await page.evaluate(() => ({ frames_: window.frames_, changes_: window.changes_ }));
  assert.ok(changes_ <= frames_ * 1.2 + 10, `${changes_} changes in ${frames_} frames`);
}));

test("a long answer streams without long tasks, and scrolling after it has none", () => withStub({}, async (page) => {
  stub.script = (run) => run.stream(`${kText.repeat(3)}\`\`\`python\n${"value = compute(1, 2)  # a line\n".repeat(30)}\`\`\`\n\n- item **one**\n- item two\n\n`.repeat(4), { perSecond: 600, size: 5 });
  await ask(page, "Go");
  await pause(1000);
  const tasks = await watchLongTasks(page);
  await done(page, 60_000);
  const long = (await tasks()).filter(({ duration }) => duration > 150);
  assert.deepEqual(long, [], "on a shared machine, so with room: no task over 150 ms");
}));

test("a conversation of 500 messages opens at its end and shows only what is seen", () => withStub({
  before: () => stub.add("long-conversation", "Long", Array.from({ length: 250 }, (_, i) =>
    [`Question ${i}`, `Answer ${i} with $x^${i}$\n\n\`\`\`js\nlet a = ${i};\n\`\`\`\n\n${kWords.repeat(4)}`])), path: "/c/long-conversation" }, async (page) => {
  await page.getByText("Answer 249").waitFor();
  assert.ok(await page.locator("article").count() < 40, "few of the 500 are in the page");
  await pause(500);
  const tasks = await watchLongTasks(page);
  await thread(page).hover();
  for (let i = 0; i < 20; i++) {
    await page.mouse.wheel(0, -600);
    await pause(30);
  }
  assert.deepEqual((await tasks()).filter(({ duration }) => duration > 200), []);
  assert.ok(await page.locator("article").count() < 60);
}));

// ---- Code, formulae, Korean

test("code has a label, copies, wraps, downloads, and is highlighted without a jump", () => withStub({
  before: () => stub.add("code-conversation", "Code", [["Q", "```python\ndef f(x):\n    return x\n```\n\n```html\n<b id=x>bold</b><script>document.body.dataset.ran = 1; try { top.document.title = 'x' } catch { document.body.dataset.shut = 1 }</script>\n```"]]),
  path: "/c/code-conversation" }, async (page) => {
  const figure = page.locator("figure.code").first();
  assert.equal(await figure.locator("figcaption span").textContent(), "python");
  await figure.locator(".hljs-keyword").first().waitFor();
  const height = await figure.evaluate((node) => node.getBoundingClientRect().height);
  await figure.getByRole("button", { name: "Copy" }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "def f(x):\n    return x\n");
  await figure.getByRole("button", { name: "Wrap lines" }).click();
  assert.equal(await figure.locator("pre").evaluate((node) => getComputedStyle(node).whiteSpace), "pre-wrap");
  const [saved] = await Promise.all([page.waitForEvent("download"), figure.getByRole("button", { name: "Download" }).click()]);
  assert.equal(saved.suggestedFilename(), "code.py");
  assert.equal(await figure.evaluate((node) => node.getBoundingClientRect().height), height);
  // The preview: it runs, shut in.
  await page.getByRole("button", { name: "Preview" }).click();
  const frame = page.frameLocator("figure.code iframe");
  await frame.locator("b").waitFor();
  assert.equal(await frame.locator("body").getAttribute("data-ran"), "1");
  assert.equal(await frame.locator("body").getAttribute("data-shut"), "1", "it does not reach the page");
}));

test("no jump when a block of code closes", () => withStub({}, async (page) => {
  let go;
  const gate = new Promise((resolve) => (go = resolve));
  stub.script = async (run) => {
    await run.stream("```python\nprint(1)\nprint(2)\n", { perSecond: 300 });
    await gate;
    run.say("```\n\nAfter.");
  };
  await ask(page, "Go");
  const figure = page.locator("figure.code");
  await page.getByText("print(2)").waitFor();
  const height = await figure.evaluate((node) => node.getBoundingClientRect().height);
  go();
  await figure.locator("button").first().waitFor();
  await done(page);
  assert.ok(Math.abs(await figure.evaluate((node) => node.getBoundingClientRect().height) - height) < 1);
}));

test("formulae are set, KaTeX is loaded with the first one, money stays money", () => withStub({
  before: () => {
    stub.add("no-formulae-here", "None", [["Q", "It costs $5 or $10."]]);
    stub.add("formulae-are-here", "Some", [["Q", "Inline $E = mc^2$, \\(a\\), and\n\n$$\\sqrt{\\pi}$$\n\n\\[x\\]\n\nIt costs $5 or $10. \\href{javascript:alert(1)}{x} $\\href{javascript:alert(1)}{x}$"]]);
  }, path: "/c/no-formulae-here" }, async (page) => {
  const loaded = [];
  page.on("request", (request) => loaded.push(request.url()));
  await page.getByText("It costs $5 or $10.").waitFor();
  assert.equal(await page.locator(".katex").count(), 0);
  await page.getByRole("link", { name: "Some" }).click();
  await page.locator(".katex").first().waitFor();
  assert.equal(await page.locator(".math").count(), 5);
  assert.ok(await page.locator(".katex svg path").count() > 0, "the root is drawn");
  assert.equal(await page.locator(".katex math").count(), 5, "and can be read aloud");
  assert.equal(await page.locator("a[href^=javascript]").count(), 0);
  assert.equal(loaded.filter((url) => /katex-.*\.js/.test(url)).length, 1);
}));

test("bold beside Hangul and Han; Korean words are not cut", () => withStub({
  before: () => stub.add("korean-conversation", "한글", [["질문", "**“공개 문서는 점검한다”**는 원칙, **한국어 구문(괄호 포함)**을, **中文文本（带括号）。**这句"]]),
  path: "/c/korean-conversation", locale: "ko-KR" }, async (page) => {
  await page.locator("strong").first().waitFor();
  assert.deepEqual(await page.locator(".prose strong").allTextContents(), ["“공개 문서는 점검한다”", "한국어 구문(괄호 포함)", "中文文本（带括号）。"]);
  assert.equal(await page.evaluate(() => document.documentElement.lang), "ko");
  assert.equal(await page.locator(".prose").first().evaluate((node) => getComputedStyle(node).wordBreak), "keep-all");
}));

test("names of characters are known, and stay text", () => withStub({ before: () => stub.add("named-characters", "N", [["Q", "&copy; &amp;lt; &lt;b&gt; &NotEqualTilde; &nosuch; \\&copy; `&copy;`"]]),
  path: "/c/named-characters" }, async (page) => {
  await page.getByText("©").first().waitFor();
  assert.equal((await page.locator(".prose p").textContent()), "© &lt; <b> ≂̸ &nosuch; &copy; &copy;");
}));

// ---- IME

test("Enter while composing never sends, in any box", () => withStub({ before: () => stub.add("some-conversation", "Title", [["Q", "A"]]), path: "/c/some-conversation" }, async (page) => {
  const enter = (locator, fields) => locator.evaluate((node, given) => {
    const event = new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, isComposing: given.isComposing ?? false });
    if (given.keyCode) Object.defineProperty(event, "keyCode", { value: given.keyCode });
    if (given.endsFirst) node.dispatchEvent(new CompositionEvent("compositionend", { bubbles: true, data: "한" }));
    node.dispatchEvent(event);
  }, fields);
  const ways = [{ isComposing: true }, { keyCode: 229 }, { endsFirst: true }];
  await question(page).fill("안녕하세");
  for (const way of ways) await enter(question(page), way);
  await pause(200);
  assert.equal(stub.runs.size, 0);
  assert.equal(await question(page).inputValue(), "안녕하세");

  await page.getByRole("button", { name: "More for “Title”" }).click();
  await page.getByRole("menuitem", { name: "Rename" }).click();
  const title = page.getByRole("textbox", { name: "Rename" });
  await title.fill("새 제");
  for (const way of ways) await enter(title, way);
  await pause(100);
  assert.ok(await title.isVisible(), "still renaming");

  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+k");
  const search = page.getByRole("combobox");
  await search.fill("Tit");
  await page.getByRole("option").first().waitFor();
  for (const way of ways) await enter(search, way);
  assert.ok(await search.isVisible(), "still searching");

  await page.keyboard.press("Escape");
  await pause(50);
  await question(page).focus();
  await question(page).press("Enter");
  await until(() => stub.runs.size === 1, "a plain Enter sends");
}));

// ---- Scroll

test("following stops with any upward scroll and starts again at the bottom", () => withStub({}, async (page) => {
  stub.script = (run) => run.stream(kText.repeat(30), { perSecond: 300, size: 8 });
  await ask(page, "Go");
  const place = () => thread(page).evaluate((node) => ({ top: node.scrollTop, left: node.scrollHeight - node.scrollTop - node.clientHeight }));
  await until(async () => (await place()).top > 300, "the thread grows over the page");
  assert.ok((await place()).left < 60, "it follows");
  await thread(page).hover();
  await page.mouse.wheel(0, -150);
  await pause(200);
  const before = (await place()).top;
  await pause(600);
  assert.ok(Math.abs((await place()).top - before) < 1, "what is read does not move");
  const latest = page.getByRole("button", { name: "Go to the latest" });
  await latest.click();
  await pause(300);
  assert.ok((await place()).left < 60, "it follows again");
  assert.equal(await latest.count(), 0);
  await page.keyboard.press("Escape");
}));

// ---- Stop, continue, branches

test("stop acts at once and keeps the text; continue goes on from it", () => withStub({}, async (page) => {
  stub.script = (run) => run.stream(kText.repeat(10), { perSecond: 100 });
  await ask(page, "Go");
  await page.getByText("The sea keeps").first().waitFor();
  const start = Date.now();
  await page.getByRole("button", { name: "Stop" }).click();
  await done(page);
  assert.ok(Date.now() - start < 1000, "within a second");
  const text = await lastAnswer(page).locator(".prose").textContent();
  assert.ok(text.startsWith("The sea keeps"));
  await pause(200);
  assert.equal(await lastAnswer(page).locator(".prose").textContent(), text, "nothing more comes");
  stub.script = async (run) => run.say(" AND ON.");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("AND ON.").waitFor();
  await done(page);
  assert.equal(await answers(page).count(), 1, "the same answer");
  assert.ok((await lastAnswer(page).locator(".prose").textContent()).startsWith(text.trimEnd()));
  assert.ok(stub.requests.findLast(({ path }) => path === "/app/runs").body.continue_id);
}));

test("editing a question and regenerating an answer make siblings", () => withStub({}, async (page) => {
  let count = 0;
  stub.script = async (run) => run.say(`Answer number ${++count}.`);
  await ask(page, "First wording");
  await done(page);
  await lastAnswer(page).getByRole("button", { name: "Try again" }).click();
  await page.getByText("Answer number 2.").waitFor();
  await done(page);
  const versions = (number, of) => page.getByRole("group", { name: `Version ${number} of ${of}` });
  await versions(2, 2).waitFor();
  await page.getByRole("button", { name: "Previous version" }).click();
  await page.getByText("Answer number 1.").waitFor();
  await until(() => stub.requests.some(({ method, path, body }) => method === "PATCH" && path.startsWith("/app/conversations/") && body.leaf_id), "the server is told");

  await page.getByRole("button", { name: "Edit", exact: true }).click();
  await page.getByRole("textbox", { name: "Edit question" }).fill("Second wording");
  await page.getByRole("button", { name: "Send" }).first().click();
  await page.getByText("Answer number 3.").waitFor();
  await done(page);
  await until(async () => (await page.locator("article").getByText("First wording").count()) === 0, "the first wording is on the other branch");
  await page.reload();
  await page.getByText("Answer number 3.").waitFor();
  await page.getByRole("button", { name: "Previous version" }).click();
  await page.getByText(/Answer number [12]\./).waitFor();
}));

test("an answer can be corrected, as a sibling of the model's", () => withStub({ before: () => stub.add("correct-this", "T", [["Q", "Wrong."]]), path: "/c/correct-this" }, async (page) => {
  await lastAnswer(page).getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Edit answer" }).click();
  await page.getByRole("textbox", { name: "Edit answer" }).fill("Right.");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Right.").waitFor();
  await page.getByText("Edited by you").waitFor();
  await page.getByRole("group", { name: "Version 2 of 2" }).waitFor();
}));

// ---- Thoughts

test("thoughts have a live timer, fold when the answer begins, and hold Markdown", () => withStub({}, async (page) => {
  let go;
  const gate = new Promise((resolve) => (go = resolve));
  stub.script = async (run) => {
    await run.stream("Let me see about **light**. It has $x$ waves.", { kind: "think", perSecond: 100 });
    await gate;
    await run.stream("The answer.", { perSecond: 100 });
  };
  await ask(page, "Why?");
  const line = page.getByRole("button", { name: /Thinking \d+ s/ });
  await line.waitFor();
  await page.getByRole("button", { name: /Thinking [1-9] s/ }).waitFor();
  assert.equal(await page.locator(".preview").textContent(), "It has $x$ waves.");
  await line.click();
  await page.locator(".thoughts strong").waitFor();
  await page.locator(".thoughts .katex").waitFor();
  await line.click();
  go();
  await done(page);
  const thought = page.getByRole("button", { name: /Thought for [\d.]+ s/ });
  assert.equal(await thought.getAttribute("aria-expanded"), "false");
  await page.getByText("The answer.").waitFor();
}));

// ---- Numbers

test("numbers stand behind an answer's more", () => withStub({ before: () => stub.add("numbers-here", "N", [["Q", "A", { usage: { prompt_tokens: 1234, cached_tokens: 1000, output_tokens: 77,
  reasoning_tokens: 20, first_token_seconds: 0.25, seconds: 5, tokens_per_second: 15.4, context_length: 4096, context_left: 2785, cost: 0.0012 } }]]), path: "/c/numbers-here" }, async (page) => {
  await lastAnswer(page).getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Numbers" }).click();
  const text = (await page.locator("dl.numbers").innerText()).replaceAll(/\s+/g, " ");
  for (const part of ["tokens/s 15.4", "first token 0.25 s", "prompt 1,234", "cached 1,000", "output 77", "thinking 20", "context left 2,785", "cost 0.0012"]) {
    assert.ok(text.includes(part), `${part} in ${text}`);
  }
}));

// ---- Resume

test("a reload and a lost line pick the stream up where it was; two tabs show the same", () => withStub({}, async (page, open) => {
  const text = Array.from({ length: 120 }, (_, i) => `word${i} `).join("");
  stub.script = (run) => run.stream(text, { perSecond: 40, size: 10 });
  await ask(page, "Go");
  await page.getByText("word5").waitFor();
  await until(() => page.url().includes("/c/"), "the address");
  const second = await open(new URL(page.url()).pathname);
  await second.getByText("word9").waitFor();
  await page.reload();
  await page.getByText("word20").waitFor();
  stub.cut();
  await done(page);
  await second.bringToFront();
  await done(second);
  for (const tab of [page, second]) assert.equal((await lastAnswer(tab).locator(".prose").textContent()).trim(), text.trim());
}));

test("a server that comes back after a break is found again, and old words stay readable", () => withStub({ before: () => stub.add("readable-words", "Old", [["Q", "Old words."]]), path: "/c/readable-words" }, async (page) => {
  await page.getByText("Old words.").waitFor();
  stub.setDown(true);
  await page.getByText("The server cannot be reached").waitFor();
  await page.getByText("Old words.").waitFor();
  await ask(page, "Are you there?");
  await page.getByRole("alert").getByText("The server does not answer. What you wrote is kept.").waitFor();
  stub.setDown(false);
  await page.getByText("The server cannot be reached").waitFor({ state: "detached", timeout: 15_000 });
  await page.getByRole("alert").getByRole("button", { name: "Try again" }).click();
  await page.getByText("A short answer.").waitFor();
  assert.equal(await page.getByText("Are you there?").count(), 1);
}));

test("what another tab changes is shown: a title, a deletion", () => withStub({ before: () => stub.add("shared-conversation", "Before", [["Q", "A"]]) }, async (page, open) => {
  const second = await open("/");
  await second.getByRole("link", { name: "Before" }).waitFor();
  await page.bringToFront();
  await page.getByRole("button", { name: "More for “Before”" }).click();
  await page.getByRole("menuitem", { name: "Rename" }).click();
  await page.getByRole("textbox", { name: "Rename" }).fill("After");
  await page.keyboard.press("Enter");
  await second.getByRole("link", { name: "After" }).waitFor();
  await second.bringToFront();
  await second.getByRole("button", { name: "More for “After”" }).click();
  await second.getByRole("menuitem", { name: "Delete" }).click();
  await page.getByRole("link", { name: "After" }).waitFor({ state: "detached" });
}));

test("a run that the server's end interrupted says so and can be continued", () => withStub({ before: () => stub.add("interrupted-one", "I", [["Q", "Half of", { status: "interrupted" }]]), path: "/c/interrupted-one" }, async (page) => {
  await page.getByText("The server was stopped during this answer").waitFor();
  stub.script = async (run) => run.say(" it.");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("Half of it.").waitFor();
}));

test("an address of a conversation that is gone says so", () => withStub({ path: "/c/not-there-at-all" }, async (page) => {
  await page.getByText("This conversation is not there.").waitFor();
}));

// ---- Composer, list, keys

test("drafts are kept for each conversation, on the server too", () => withStub({ before: () => { stub.add("conversation-one", "One", [["Q", "A"]]); stub.add("conversation-two", "Two", [["Q", "A"]]); }, path: "/c/conversation-one" }, async (page, open, context) => {
  await page.getByRole("link", { name: "One" }).waitFor();
  await question(page).fill("half a thought");
  await page.getByRole("link", { name: "Two" }).click();
  assert.equal(await question(page).inputValue(), "");
  await page.getByRole("link", { name: "One" }).click();
  assert.equal(await question(page).inputValue(), "half a thought");
  await until(() => stub.drafts.get("conversation-one")?.text === "half a thought", "the server has it");
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  await until(async () => (await question(page).inputValue()) === "half a thought", "it comes from the server");
}));

test("the composer grows to 40 % of the height, ↑ edits the last question, Esc stops", () => withStub({}, async (page) => {
  stub.script = (run) => run.stream(kText.repeat(20), { perSecond: 100 });
  const height = () => question(page).evaluate((node) => node.getBoundingClientRect().height);
  const small = await height();
  await question(page).fill("a line\n".repeat(4));
  assert.ok(await height() > small + 50);
  await question(page).fill("a line\n".repeat(60));
  assert.ok(await height() <= 800 * 0.4 + 1);
  await question(page).fill("Short");
  await page.keyboard.press("Enter");
  await page.getByText("The sea keeps").first().waitFor();
  await page.keyboard.press("Escape");
  await done(page);
  await page.getByText("Stopped").waitFor();
  await question(page).press("ArrowUp");
  assert.equal(await page.getByRole("textbox", { name: "Edit question" }).inputValue(), "Short");
  await page.keyboard.press("Escape");
  await until(() => page.evaluate(() => document.activeElement?.id === "question"), "the focus comes back");
}));

test("files are dropped, picked and pasted; a long paste becomes one; a picture says why not", () => withStub({}, async (page) => {
  await page.getByRole("button", { name: "Attach files" }).waitFor();
  const give = (kind, files, text = "") => question(page).evaluate((node, [what, list, words]) => {
    const data = new DataTransfer();
    for (const { name, type, content } of list) data.items.add(new File([content], name, { type }));
    if (words) data.setData("text/plain", words);
    node.dispatchEvent(what === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
      : new DragEvent(what, { dataTransfer: data, bubbles: true, cancelable: true }));
  }, [kind, files, text]);
  const file = (name, content = "some text", type = "text/plain") => ({ name, type, content });
  const list = page.getByRole("list", { name: "Attached files" }).last();
  await give("dragenter", [file("a.md")]);
  await page.getByText("Drop files here").waitFor();
  await give("drop", [file("a.md"), file("b.csv", "x,y\n1,2\n")]);
  await list.getByText("b.csv").waitFor();
  await give("paste", [], "long ".repeat(1000));
  await list.getByText("pasted.txt").waitFor();
  await list.getByText("1,250 tokens").waitFor();
  await give("paste", [file("photo.png", "x", "image/png")]);
  await list.getByText("The models read text alone").waitFor();
  await page.getByRole("button", { name: "Remove photo.png" }).click();
  await page.locator("input[type=file]").setInputFiles({ name: "c.bin", mimeType: "application/octet-stream", buffer: Buffer.from([1, 0, 2]) });
  await list.getByText("No text was found in this file.").waitFor();
  await page.getByRole("button", { name: "Remove c.bin" }).click();
  await page.getByRole("button", { name: "Remove b.csv" }).click();
  await until(() => stub.drafts.get("new")?.file_ids.length === 2, "the draft knows its files");
  await page.reload();
  await list.getByText("a.md").waitFor();
  await ask(page, "What do they say?");
  await done(page);
  const { message } = stub.requests.findLast(({ path }) => path === "/app/runs").body;
  assert.equal(message.file_ids.length, 2);
  await page.getByRole("article", { name: "You" }).getByText("pasted.txt").waitFor();
}));

test("Shift+Enter makes a line, and Ctrl+Enter sends where that was chosen", () => withStub({ before: () => { stub.settings.send_with = "mod_enter"; } }, async (page) => {
  await page.getByRole("button", { name: "Model:" }).waitFor();
  await until(() => question(page).getAttribute("enterkeyhint").then((hint) => hint === "enter"), "the setting is known");
  await question(page).fill("one");
  await question(page).press("Enter");
  await page.keyboard.type("two");
  assert.equal(await question(page).inputValue(), "one\ntwo");
  await question(page).press("Control+Enter");
  await until(() => stub.runs.size === 1, "sent");
  assert.equal([...stub.runs.values()][0].body.message.content, "one\ntwo");
}));

test("the keys: search, sidebar, new chat, help", () => withStub({ before: () => stub.add("find-me-please", "Deep lakes", [["Q", "The water of Baikal is clear."]]), path: "/c/find-me-please" }, async (page) => {
  await page.getByText("Baikal").waitFor();
  await page.keyboard.press("Control+b");
  await page.getByRole("navigation").waitFor({ state: "hidden" });
  await page.keyboard.press("Control+b");
  await page.getByRole("navigation").waitFor();
  await page.keyboard.press("Control+Shift+o");
  await page.getByText("What would you like to know?").waitFor();
  assert.equal(new URL(page.url()).pathname, "/");
  await page.keyboard.press("Control+k");
  await page.keyboard.type("baikal");
  await page.locator("#hits mark", { hasText: /^Baikal$/ }).first().waitFor();
  await page.keyboard.press("Enter");
  await page.getByText("The water of Baikal is clear.").waitFor();
  await page.evaluate(() => document.activeElement?.blur());
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
}));

test("deleting can be undone; pinned ones stand first", () => withStub({ before: () => { stub.add("conversation-one", "One", [["Q", "A"]], { updated_at: 1 }); stub.add("conversation-two", "Two", [["Q", "A"]]); } }, async (page) => {
  const titles = () => page.getByRole("navigation").getByRole("link").allTextContents().then((all) => all.map((text) => text.trim()));
  await page.getByRole("link", { name: "One" }).waitFor();
  assert.deepEqual(await titles(), ["Two", "One"]);
  await page.getByRole("button", { name: "More for “One”" }).click();
  await page.getByRole("menuitem", { name: "Pin" }).click();
  await until(async () => (await titles())[0] === "One", "the pinned one stands first");
  await page.getByRole("button", { name: "More for “One”" }).click();
  await page.getByRole("menuitem", { name: "Delete" }).click();
  await page.getByRole("link", { name: "One" }).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("link", { name: "One" }).waitFor();
}));

test("a conversation is exported as Markdown and as JSON", () => withStub({ before: () => stub.add("export-this-one", "Export", [["Q", "A"]]) }, async (page) => {
  for (const [name, file] of [["Export as Markdown", "conversation.md"], ["Export as JSON", "conversation.json"]]) {
    await page.getByRole("button", { name: "More for “Export”" }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name }).click()]);
    assert.equal(download.suggestedFilename(), file);
  }
}));

// Opens a saved file without script and with the network watched.
async function openSaved(context, download, run) {
  const html = await readFile(await download.path(), "utf8");
  const other = await context.browser().newContext({ javaScriptEnabled: false, viewport: { width: 900, height: 900 } });
  const asked = [];
  const page = await other.newPage();
  page.on("request", (request) => { if (!request.url().startsWith("file:")) asked.push(request.url()); });
  const path = `${await download.path()}.html`;
  await writeFile(path, html);
  await page.goto(`file://${path}`);
  await run(page, html);
  assert.deepEqual(asked, []);
  await other.close();
}

test("a conversation is shared as one file that needs no script, in both themes", () => withStub({ before: () => stub.add("share-this-one", "On: lakes/한글", [["What is <b>a lake</b>?", kLook, { reasoning: "Let me **think**.", reasoning_seconds: 3 }],
  ["And this?", "<img src=x onerror=alert(1)> [j](javascript:alert(1)) <script>alert(1)</script> ![p](https://evil.example/p.png)\n\n- one\n- two"]]), path: "/c/share-this-one" }, async (page, _, context) => {
  await page.getByText("And this?").waitFor();
  await page.getByRole("button", { name: "Keep or share" }).click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name: /Share as a web page/ }).click()]);
  assert.equal(download.suggestedFilename(), "On lakes 한글.html");
  await openSaved(context, download, async (saved, html) => {
    assert.equal(await saved.title(), "On: lakes/한글");
    await saved.getByText("What is <b>a lake</b>?").waitFor();
    assert.equal(await saved.locator("script, img, iframe, link, [onerror], a[href^=javascript]").count(), 0);
    assert.ok(!/\ssrc=|url\(/.test(html.replaceAll("&lt;img src=x", "")), "nothing is fetched");
    await saved.locator("strong", { hasText: "“공개 문서”" }).waitFor();
    assert.equal(await saved.locator(".hljs-keyword").first().textContent(), "def");
    assert.ok(await saved.locator("math").count() >= 2);
    assert.ok(!(await saved.locator("math").first().textContent()).includes("\\"), "no source of a formula");
    await saved.locator("summary").click();
    await saved.locator("details strong").waitFor();
    const grounds = [];
    for (const colorScheme of ["light", "dark"]) {
      await saved.emulateMedia({ colorScheme });
      await saved.screenshot({ path: join(shots, `shared-${colorScheme}.png`), fullPage: true });
      grounds.push(await saved.evaluate(() => getComputedStyle(document.documentElement).backgroundColor).catch(() => ""));
    }
  });
  // The same file with a reader of rules in it: nothing to find.
  const check = await context.newPage();
  await check.setContent((await readFile(await download.path(), "utf8")).replace(/<meta http-equiv[^>]*>/, ""));
  const findings = [];
  for (const colorScheme of ["light", "dark"]) {
    await check.emulateMedia({ colorScheme });
    findings.push(...await axeFindings(check));
  }
  assert.deepEqual(findings, []);
  assert.notEqual(await check.evaluate(() => getComputedStyle(document.documentElement).colorScheme), "light");
}));

test("everything is exported as Markdown and as JSON", () => withStub({ before: () => stub.add("export-this-one", "Export", [["Q", "A"]]) }, async (page) => {
  await openPart(page, "data");
  for (const [name, file] of [["Markdown", "fathom.md"], ["JSON", "fathom.json"]]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name, exact: true }).click()]);
    assert.equal(download.suggestedFilename(), file);
  }
}));

test("a preset is used for one conversation, and says all of how it is answered", () => withStub({ before: () => {
  stub.add("preset-conversation", "P", [["Q", "A"]], { options: { temperature: 1.5, model: "smollm2-135m" } });
  stub.presets.set("preset-1", { id: "preset-1", name: "Short", options: { system_prompt: "Be brief.", thinking_budget: 64 } });
}, path: "/c/preset-conversation" }, async (page) => {
  await page.getByRole("article", { name: "Answer" }).waitFor();
  await page.getByRole("button", { name: "Conversation settings" }).click();
  await page.getByRole("menuitem", { name: /Short/ }).click();
  await page.getByText("Preset in use: Short").waitFor();
  assert.deepEqual(stub.conversations.get("preset-conversation").conversation.options, { model: "smollm2-135m", system_prompt: "Be brief.", thinking_budget: 64 });
  assert.deepEqual(stub.settings.options, {}, "of all others nothing changes");
  await page.getByRole("button", { name: "Conversation settings" }).click();
  await page.getByRole("menuitem", { name: "Conversation settings" }).click();
  assert.equal(await page.getByRole("textbox", { name: "System prompt" }).inputValue(), "Be brief.");
  assert.equal(await page.getByRole("radio", { name: "This conversation" }).isChecked(), true);
  await page.getByRole("spinbutton", { name: "Longest thinking, in tokens" }).fill("128");
  await page.getByRole("spinbutton", { name: "Top p" }).click();
  await until(() => stub.conversations.get("preset-conversation").conversation.options.thinking_budget === 128, "the budget");
}));

test("a temporary chat leaves nothing behind", () => withStub({}, async (page) => {
  await page.getByRole("button", { name: "Temporary chat" }).click();
  await page.getByText("Not kept: gone when you leave it").waitFor();
  await ask(page, "A secret");
  await page.getByText("A short answer.").waitFor();
  await done(page);
  assert.equal(new URL(page.url()).pathname, "/");
  assert.equal(await page.getByRole("navigation").getByText("A secret").count(), 0);
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("A secret")), false);
  await page.getByRole("button", { name: "New chat" }).first().click();
  await until(() => stub.conversations.size === 0, "the server forgot it");
}));

// ---- Away from the server

test("the page opens and old conversations are read while the server is away; what is deleted is gone here too", () => withStub({ serviceWorkers: "allow",
  before: () => { stub.add("kept-conversation", "Kept lakes", [["What is kept?", kLook]]); stub.add("other-conversation", "Other", [["Q", "Other words."]]); } }, async (page, open, context) => {
  await page.getByRole("link", { name: "Kept lakes" }).waitFor();
  await page.evaluate(() => navigator.serviceWorker.ready);
  const kept = () => page.evaluate(async () => (await (await caches.open("conversations")).keys()).map(({ url }) => new URL(url).pathname).sort());
  await until(async () => (await kept()).length === 3, "both are kept, and their list");
  stub.setDown(true);
  const away = await open("/c/kept-conversation");
  await away.getByText("What is kept?").waitFor();
  await away.locator(".katex").first().waitFor();
  await away.locator(".hljs-keyword").first().waitFor();
  await away.getByText("The server cannot be reached").waitFor();
  await away.getByRole("link", { name: "Other" }).click();
  await away.getByText("Other words.").waitFor();
  await away.screenshot({ path: join(shots, "away.png") });
  stub.setDown(false);
  await away.getByText("The server cannot be reached").waitFor({ state: "detached", timeout: 15_000 });
  await away.getByRole("button", { name: "More for “Other”" }).click();
  await away.getByRole("menuitem", { name: "Delete" }).click();
  await until(async () => !(await kept()).includes("/app/conversations/other-conversation"), "it is not kept any more");
  // What was deleted elsewhere while this browser was shut.
  await away.close();
  await page.close();
  stub.conversations.delete("kept-conversation");
  const later = await open("/");
  await later.getByText("Your conversations will be listed here.").waitFor();
  await until(() => later.evaluate(async () => (await (await caches.open("conversations")).keys()).length === 1), "only the empty list is kept");
}));

test("a temporary chat is not kept in the browser, and ends with its tab", () => withStub({ serviceWorkers: "allow" }, async (page, open) => {
  await page.getByRole("button", { name: "Temporary chat" }).click();
  await ask(page, "A secret");
  await page.getByText("A short answer.").waitFor();
  await done(page);
  await pause(300);
  const all = await page.evaluate(async () => Promise.all((await caches.keys()).filter((name) => !name.startsWith("page-")).map(async (name) => {
    const cache = await caches.open(name);
    return Promise.all((await cache.keys()).map(async (key) => (await cache.match(key)).text()));
  })));
  assert.ok(!JSON.stringify(all).includes("A secret"));
  await page.goto("about:blank");
  await until(() => stub.conversations.size === 0, "the server forgot it");
}));

test("it can be installed: manifest, icons, worker", () => withStub({ serviceWorkers: "allow" }, async (page, open, context) => {
  const session = await context.newCDPSession(page);
  await page.evaluate(() => navigator.serviceWorker.ready);
  const { errors, data } = await session.send("Page.getAppManifest");
  assert.deepEqual(errors, []);
  const manifest = JSON.parse(data);
  assert.deepEqual([manifest.name, manifest.display, manifest.start_url], ["fathom", "standalone", "/"]);
  for (const { src, sizes, type } of manifest.icons) {
    const size = await page.evaluate(async (url) => { const image = new Image(); image.src = url; await image.decode(); return [image.naturalWidth, image.naturalHeight]; }, src);
    if (type === "image/png") assert.equal(`${size[0]}x${size[1]}`, sizes);
  }
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  assert.deepEqual(installabilityErrors.filter(({ errorId }) => errorId !== "in-incognito"), []);
}));

// ---- Voice

test("answers are read aloud by a voice of this device alone, without their marks", () => withStub({ before: () => stub.add("read-this-aloud", "R", [["Q", "# Lakes\n\nA **lake** is deep. See [this](https://example.com/x).\n\n```js\nlet x = 1;\n```\n\n| a | b |\n| - | - |\n| c | d |"]]) }, async (page) => {
  await page.addInitScript(() => {
    const voice = (name, lang, localService) => ({ name, lang, localService, default: false, voiceURI: name });
    window.spoken = [];
    window.SpeechSynthesisUtterance = class extends EventTarget { constructor(text) { super(); this.text = text; } };
    Object.defineProperty(window, "speechSynthesis", { value: Object.assign(new EventTarget(), {
      getVoices: () => [voice("Far away", "en-US", false), ...(window.deaf ? [] : [voice("Here", "en-GB", true)])],
      speak: (utterance) => window.spoken.push([utterance.text, utterance.voice.name]), cancel: () => { window.cancelled = true; } }) });
  });
  await page.goto(`${stub.url}/c/read-this-aloud`);
  await lastAnswer(page).getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Read aloud" }).click();
  const spoken = await page.evaluate(() => window.spoken);
  assert.deepEqual(spoken.map(([text]) => text.replaceAll(/\s+/g, " ")), ["Lakes", "A lake is deep.", "See this.", "a b", "c d"]);
  assert.ok(spoken.every(([, name]) => name === "Here"));
  await page.evaluate(() => { window.cancelled = false; });
  await page.getByRole("button", { name: "Stop reading" }).click();
  assert.equal(await page.evaluate(() => window.cancelled), true);
  await page.addInitScript(() => { window.deaf = true; });
  await page.reload();
  await lastAnswer(page).getByRole("button", { name: "More" }).click();
  await page.getByRole("menuitem", { name: "Numbers" }).waitFor();
  assert.equal(await page.getByRole("menuitem", { name: "Read aloud" }).count(), 0, "no voice that is far away");
}));

test("dictation is offered only where the browser does it on this device", () => withStub({}, async (page) => {
  assert.equal(await page.getByRole("button", { name: "Dictate" }).count(), 0);
  await page.addInitScript(() => {
    window.SpeechRecognition = class extends EventTarget {
      static async available({ langs, processLocally }) { return processLocally && langs[0] === "en-US" && !window.far ? "available" : "downloadable"; }
      get processLocally() { return this.local; }
      set processLocally(value) { this.local = value; }
      start() { window.recognition = this; }
      stop() { this.dispatchEvent(new Event("end")); }
    };
  });
  await page.reload();
  const button = page.getByRole("button", { name: "Dictate" });
  await question(page).fill("Hello");
  await button.click();
  assert.equal(await button.getAttribute("aria-pressed"), "true");
  assert.equal(await page.evaluate(() => window.recognition.local && window.recognition.lang), "en-US");
  const hear = (...parts) => page.evaluate((said) => window.recognition.dispatchEvent(Object.assign(new Event("result"), { resultIndex: 0, results: said.map((transcript) => [{ transcript }]) })), parts);
  await hear("what is");
  await hear("what is", " a lake");
  assert.equal(await question(page).inputValue(), "Hello what is a lake");
  await button.click();
  assert.equal(await button.getAttribute("aria-pressed"), "false");
  assert.equal(stub.runs.size, 0, "nothing is sent by itself");
  await page.addInitScript(() => { window.far = true; });
  await page.reload();
  await page.getByRole("button", { name: "Send" }).waitFor();
  await pause(200);
  assert.equal(await button.count(), 0);
}));

test("a new chat needs no answer of the server before typing", () => withStub({}, async (page) => {
  await page.route("**/app/**", () => {});  // nothing is ever answered
  await page.reload();
  await question(page).fill("Typed at once");
  assert.equal(await question(page).inputValue(), "Typed at once");
}));

// Four turns, of which the server says that only so many fit.
const tooLong = (turns) => ({ leave_out: given = 0 }) => ({ prompt_tokens: given >= turns ? 3000 : 5120, context_length: 4096, fits: given >= turns, leave_out: given >= turns ? 0 : turns });
const fullConversation = () => {
  stub.contextLeft = 40;
  return stub.add("full-conversation", "Full", [["Q1", "A1"], ["Q2", "A2"], ["Q3", "A3"], ["Q4", "A4"]]);
};
const lastRun = () => stub.requests.findLast(({ method, path }) => method === "POST" && path === "/app/runs").body;

test("what no longer fits is said before it is sent; turns are left out only as one chooses", () => withStub({ before: () => { fullConversation(); stub.fit = tooLong(2); }, path: "/c/full-conversation" }, async (page) => {
  await page.getByText("A4").waitFor();
  await page.getByText("About 40 tokens of context are left").waitFor();
  await question(page).fill("One more");
  const notice = page.locator("#context-full");
  await notice.getByText("the conversation is 5,120 tokens long").waitFor();
  await page.keyboard.press("Enter");
  await pause(200);
  assert.equal(stub.runs.size, 0, "nothing is sent");
  assert.equal(await question(page).inputValue(), "One more");
  await notice.getByRole("button", { name: "Leave out the 2 oldest turns" }).click();
  await page.getByText("The 2 oldest turns are left out: the model does not see them.").waitFor();
  await notice.waitFor({ state: "detached" });
  await question(page).press("Enter");
  await page.getByText("A short answer.").waitFor();
  await done(page);
  assert.deepEqual([lastRun().leave_out, lastRun().message.content], [2, "One more"]);
  await page.getByText("The 2 oldest turns are left out").waitFor();
  await question(page).fill("And more");
  await page.getByRole("button", { name: "Take in again" }).click();
  await notice.getByText("no longer fit").waitFor();
}));

test("what no longer fits: another model with more", () => withStub({ before: () => { fullConversation(); stub.fit = (body) => (body.conversation.options.model === "smollm2-135m" ? null : tooLong(2)(body)); }, path: "/c/full-conversation" }, async (page) => {
  stub.models[0].context_length = 4096;
  await page.reload();
  await page.getByText("A4").waitFor();
  await question(page).fill("One more");
  await page.locator("#context-full").getByRole("button", { name: "Use SmolLM2-135M-Instruct (8,192 tokens)" }).click();
  await page.locator("#context-full").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Model: SmolLM2-135M-Instruct" }).waitFor();
}));

test("what no longer fits: a new chat with a summary, sent by nobody but oneself", () => withStub({ before: () => { fullConversation(); stub.fit = ({ message: { content } }) => (content.startsWith("Summarise") ? null : tooLong(9)({})); }, path: "/c/full-conversation" }, async (page) => {
  await page.getByText("A4").waitFor();
  stub.script = (run) => run.stream("They spoke of lakes.", { perSecond: 20 });
  await question(page).fill("One more");
  await page.getByRole("button", { name: "New chat with a summary" }).click();
  await page.getByText("Writing a summary").waitFor();
  await until(async () => (await question(page).inputValue()).includes("They spoke of lakes."), "the summary is in the box");
  assert.match(await question(page).inputValue(), /^So far, in short:[^]*They spoke of lakes\.[^]*One more$/);
  assert.equal(new URL(page.url()).pathname, "/");
  assert.equal(stub.runs.size, 1, "nothing but the summary was asked");
  const { conversation, message } = lastRun();
  assert.equal(conversation.temporary, true);
  for (const part of ["Q1", "A1", "Q4", "A4"]) assert.ok(message.content.includes(part), part);
  await until(() => !stub.conversations.has(conversation.id), "what it took is forgotten");
  assert.ok(stub.conversations.has("full-conversation"));
  // Stopped, it leaves the question where it was.
  await page.getByRole("link", { name: "Full" }).click();
  await page.getByText("A4").waitFor();
  stub.script = (run) => run.stream("Too late. ".repeat(50), { perSecond: 5 });
  await question(page).fill("Again");
  await page.getByRole("button", { name: "New chat with a summary" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "New chat with a summary" }).waitFor();
  assert.equal(await question(page).inputValue(), "Again");
}));

test("a context that the server finds full is said where the answer would stand", () => withStub({ before: fullConversation, path: "/c/full-conversation" }, async (page) => {
  await page.getByText("A4").waitFor();
  stub.refuse = (method, path, body) => path === "/app/runs" && !body.leave_out
    ? { status: 409, code: "context_full", message: "too long", fit: { prompt_tokens: 5000, context_length: 4096, fits: false, leave_out: 1 } } : null;
  await ask(page, "One more");
  const alert = page.getByRole("alert");
  await alert.getByText("no longer fits").waitFor();
  await alert.getByRole("button", { name: "New chat with a summary" }).waitFor();
  await alert.getByRole("button", { name: "Leave out the oldest turn" }).click();
  await page.getByText("A short answer.").waitFor();
  assert.deepEqual([lastRun().leave_out, lastRun().message.content], [1, "One more"]);
}));

test("what the answer waits for is said", () => withStub({}, async (page) => {
  stub.script = async (run) => {
    for (const [event, text] of [[{ type: "queued", ahead: 2 }, "Waiting for 2 other answers"], [{ type: "loading", done: 0.4 }, "Loading the model 40 %"],
      [{ type: "prefill", done: 50, total: 200 }, "Reading 25 %"]]) {
      run.passing(event);
      await page.getByText(text).waitFor();
    }
    throw Object.assign(new Error("out of memory"), { code: "model_failed" });
  };
  await ask(page, "Go");
  await page.getByRole("alert").getByText("The model could not be loaded.").waitFor();
}));

test("models: chosen in the composer, fetched with progress, paused", () => withStub({}, async (page) => {
  await page.getByRole("button", { name: "Model:" }).click();
  await page.getByRole("menuitem", { name: /SmolLM2/ }).click();
  await page.getByRole("button", { name: "Model: SmolLM2-135M-Instruct" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Think" }).count(), 0, "it cannot think");
  await page.getByRole("button", { name: "Model:" }).click();
  await page.getByRole("menuitem", { name: "All models" }).click();
  const dialog = page.getByRole("dialog", { name: "Models" });
  await dialog.getByText("1.9 GB / 4.7 GB · 2 min left").waitFor();
  await dialog.getByText("does not fit this machine").waitFor();
  await dialog.getByRole("button", { name: "Pause DeepSeek-R1-Distill-Qwen-7B" }).click();
  await dialog.getByRole("button", { name: "Resume DeepSeek-R1-Distill-Qwen-7B" }).waitFor();
}));

const onlySmall = () => {
  stub.models = stub.models.filter(({ id }) => /smollm2|1\.5b/.test(id));
  const [reasoner, small] = stub.models;
  Object.assign(reasoner, { state: "remote", default: false });
  Object.assign(small, { state: "loaded", default: true });
};

test("a better model is offered where only a small one is here and the hub answers", () => withStub({ before: () => { onlySmall(); stub.hub = "reachable"; } }, async (page) => {
  const offer = page.getByRole("region", { name: "A model that thinks" });
  await offer.getByText("often says what is not true").waitFor();
  await offer.getByText("1.1 GB to download, about 3 min on a line of 50 Mbit/s, and needs 1.6 GB of memory").waitFor();
  await offer.getByRole("button", { name: "Download" }).click();
  await offer.getByRole("progressbar").waitFor();
  await offer.getByRole("button", { name: "Pause" }).click();
  await offer.getByRole("button", { name: "Resume" }).click();
  await offer.getByRole("button", { name: "Pause" }).waitFor();
  const [reasoner] = stub.models;
  Object.assign(reasoner, { state: "on_disk", download: null });
  stub.change({ type: "model", model: reasoner });
  await offer.getByText("DeepSeek-R1-Distill-Qwen-1.5B is here.").waitFor();
  await offer.getByRole("button", { name: "Use" }).click();
  await page.getByRole("button", { name: "Model: DeepSeek-R1-Distill-Qwen-1.5B" }).waitFor();
  await until(() => reasoner.state === "loaded", "loaded");
  assert.equal(await offer.count(), 0);
}));

test("nothing is offered where the hub does not answer, or once it was declined", () => withStub({ before: () => { onlySmall(); stub.hub = "unreachable"; } }, async (page) => {
  await until(() => stub.requests.some(({ query }) => query.includes("probe_hub")), "the hub was asked for");
  const offer = page.getByRole("region", { name: "A model that thinks" });
  assert.equal(await offer.count(), 0);
  stub.hub = "reachable";
  await page.reload();
  await offer.getByRole("button", { name: "Not now" }).click();
  await page.reload();
  await page.locator("#question").waitFor();
  assert.equal(await offer.count(), 0);
}));

test("settings: language, theme, system prompt, presets", () => withStub({}, async (page) => {
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByRole("combobox", { name: "Language" }).selectOption("ko");
  await page.getByRole("dialog", { name: "설정" }).waitFor();
  await page.getByRole("combobox", { name: "화면" }).selectOption("dark");
  await until(() => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme === "dark"), "dark");
  await page.getByRole("tab", { name: "답변" }).click();
  await page.getByRole("textbox", { name: "시스템 프롬프트" }).fill("짧게 답하세요.");
  await page.getByRole("spinbutton", { name: "온도" }).fill("0.3");
  await page.getByRole("textbox", { name: "프리셋 이름" }).click();
  await page.getByRole("textbox", { name: "프리셋 이름" }).fill("짧게");
  await until(() => stub.settings.options.temperature === 0.3 && stub.settings.options.system_prompt === "짧게 답하세요.", "kept");
  await page.getByRole("button", { name: "프리셋으로 저장" }).click();
  await until(() => [...stub.presets.values()].some(({ name }) => name === "짧게"), "the preset");
  await page.reload();
  await page.getByRole("button", { name: "새 대화" }).first().waitFor();
}));

// ---- Usage and keys

const usageRow = (ago, fields) => ({ date: new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10), key: "", model: "r1-distill-qwen-1.5b", runs: 3,
  prompt_tokens: 12_000, cached_tokens: 8_000, output_tokens: 2_500, reasoning_tokens: 900, seconds: 120, cost: 0.42, ...fields });
const kUsage = () => [usageRow(25, { runs: 1 }), usageRow(12, { prompt_tokens: 30_000, key: "editor" }), usageRow(12, { output_tokens: 9_000 }), usageRow(6), usageRow(3, { runs: 9, output_tokens: 14_000 }), usageRow(0)];
const openPart = async (page, part) => {
  await page.getByRole("navigation").getByRole("button", { name: /Settings|설정|设置/ }).click();
  await page.locator(`#tab-${part}`).click();
};

test("usage: sums, a bar for each day, every value in a table, by tokens and by cost", () => withStub({ before: () => { stub.usage = kUsage(); } }, async (page) => {
  await openPart(page, "usage");
  const sums = page.locator("#part dl");
  await sums.getByText("22", { exact: true }).waitFor();
  assert.equal((await sums.innerText()).replaceAll(/\s+/g, " ").trim(), "Requests 22 Read 42K Reused 48K Written 33K Cost $2.52");
  assert.equal(await page.locator("#part svg g").count(), 30);
  const heights = await page.locator("#part svg g").evaluateAll((days) => days.map((day) => [...day.querySelectorAll("rect:not(.ground)")].reduce((sum, part) => sum + Number(part.getAttribute("height")), 0)));
  assert.equal(heights.filter((height) => height > 0).length, 5, "five days had any");
  assert.equal(heights.indexOf(Math.max(...heights)), 17, "the highest is that of twelve days ago");
  assert.ok(Math.max(...heights) <= 100 && Math.max(...heights) > 50);
  assert.equal(await page.locator("#part tbody tr").count(), 6);
  await page.locator("#part tbody").getByText("editor").waitFor();
  await page.locator("#part svg g").nth(29).locator(".ground").hover();
  await page.locator("figcaption").getByText("Read 4K · Reused 8K · Written 2.5K").waitFor();
  await page.getByRole("radio", { name: "Cost" }).check();
  await page.locator("#part svg .cost").first().waitFor({ state: "attached" });
  await page.getByRole("combobox", { name: "Period" }).selectOption("7");
  await until(async () => (await page.locator("#part svg g").count()) === 7, "a week");
  stub.usage = [];
  await page.getByRole("combobox", { name: "Period" }).selectOption("90");
  await page.getByText("Nothing was used in this time.").waitFor();
}));

test("keys: made with limits, shown once, limited anew, revoked", () => withStub({}, async (page) => {
  await openPart(page, "keys");
  await page.getByText("No keys yet.").waitFor();
  await page.getByText("This page needs none.").waitFor();
  await page.getByRole("textbox", { name: "Name of the key" }).fill("editor");
  await page.getByText("Limits", { exact: true }).click();
  await page.getByRole("spinbutton", { name: "Requests a minute" }).fill("20");
  await page.getByRole("spinbutton", { name: "Budget (USD)" }).fill("2.5");
  await page.getByRole("button", { name: "Make key" }).click();
  await page.getByText("it is shown this once").waitFor();
  assert.deepEqual([stub.keys[0].scope, stub.keys[0].limits], ["api", { requests_per_minute: 20, budget: 2.5 }]);
  await page.locator("#part").getByRole("button", { name: "Copy" }).click();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^sk-fathom-/);
  await page.getByRole("button", { name: "I have kept it" }).click();
  assert.equal(await page.getByText("sk-fathom-Abcdefg").count(), 0, "it is not shown again");
  await page.getByText("Requests a minute 20").waitFor();
  await page.getByRole("button", { name: "Limits editor" }).click();
  await page.getByRole("spinbutton", { name: "Answers at a time" }).first().fill("3");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Answers at a time 3").waitFor();
  assert.equal(stub.keys[0].limits.concurrent, 3);
  await page.getByRole("textbox", { name: "Name of the key" }).fill("editor");
  await page.getByRole("button", { name: "Make key" }).click();
  await page.getByText("there is a key of this name").waitFor();
  await page.getByRole("button", { name: "Revoke editor" }).click();
  await page.getByRole("button", { name: "Revoke it for good?" }).click();
  await page.getByText(/revoked /).waitFor();
  assert.ok(stub.keys[0].revoked_at);
}));

// ---- Hostile text

test("hostile answers become text or nothing, and no other host is asked", () => withStub({ before: () => stub.add("hostile-answers", "H", [["Q",
  '<img src="https://evil.example/a.png" onerror="document.title=1"> ![x](https://evil.example/b.png) [j](javascript:alert(1)) <script>document.title = "owned"</script>\n\n'
  + '<svg onload="document.title=2"></svg> [ok](https://example.com/page) <a href="data:text/html,x">d</a>\n\n```html\n<script>document.title="owned"</script>\n```\n\n$\\htmlId{x}{y} \\includegraphics{https://evil.example/c.png}$']]),
  path: "/c/hostile-answers" }, async (page) => {
  const prose = page.locator(".prose");
  await page.getByText("ok", { exact: true }).waitFor();
  await pause(300);
  assert.equal(await prose.locator("img, script, svg:not(.katex svg, figcaption svg), iframe, form, style").count(), 0);
  const links = await prose.locator("a[href]").evaluateAll((nodes) => nodes.map((node) => [node.getAttribute("href"), node.rel, node.target]));
  assert.ok(links.length >= 2);
  for (const [href, rel, target] of links) assert.ok(/^https?:/.test(href) && rel === "noopener noreferrer nofollow" && target === "_blank", href);
  assert.notEqual(await page.title(), "owned");
}));

// ---- Accessibility

const states = {
  empty: async () => {},
  thread: async (page) => { await page.goto(`${stub.url}/c/for-looking-at`); await page.locator(".katex").first().waitFor(); await page.locator(".hljs-keyword").first().waitFor(); },
  thinking: async (page) => {
    stub.script = async (run) => { await run.stream("I wonder about light.", { kind: "think" }); await pause(3000); };
    await ask(page, "Why?");
    await page.getByRole("button", { name: /Thinking|생각하는 중|思考中/ }).click();
  },
  search: async (page) => { await page.keyboard.press("Control+k"); await page.keyboard.type("lake"); await page.locator("#hits mark").first().waitFor(); },
  shortcuts: async (page) => { await page.evaluate(() => document.activeElement?.blur()); await page.keyboard.press("?"); await page.getByRole("dialog").waitFor(); },
  settings: async (page) => { await page.getByRole("navigation").getByRole("button", { name: "Settings", exact: true }).click(); await page.getByRole("tab").first().waitFor(); },
  answers: async (page) => { await states.settings(page); await page.locator("#tab-answers").click(); await page.locator("#system-prompt").waitFor(); },
  data: async (page) => { await states.settings(page); await page.locator("#tab-data").click(); await page.getByText("Recently deleted").waitFor(); },
  usage: async (page) => { stub.usage = kUsage(); await openPart(page, "usage"); await page.locator("#part svg g").first().waitFor({ state: "attached" }); },
  keys: async (page) => { await openPart(page, "keys"); await page.getByRole("textbox", { name: "Name of the key" }).fill("editor"); await page.getByRole("button", { name: "Make key" }).click(); await page.getByText("it is shown this once").waitFor(); },
  menu: async (page) => { await page.locator("#composer [aria-haspopup]").click(); await page.getByRole("menuitem").first().waitFor(); },
  models: async (page) => { await states.menu(page); await page.getByRole("menuitem").last().click(); await page.getByRole("dialog").waitFor(); },
  editing: async (page) => { await states.thread(page); await question(page).press("ArrowUp"); await page.getByRole("textbox", { name: "Edit question" }).waitFor(); },
  error: async (page) => { stub.script = async () => { throw new Error("it broke"); }; await ask(page, "Go"); await page.getByRole("alert").waitFor(); },
  gone: async (page) => { await page.goto(`${stub.url}/c/not-there-at-all`); await page.getByText("This conversation is not there.").waitFor(); },
  offline: async (page) => { stub.setDown(true); await page.getByText("The server cannot be reached").waitFor(); },
};
const kLook = "**“공개 문서”**는 [문서](https://example.com/a).\n\n## Lakes\n\nA lake is *deep* and `still`: $d > 100$.\n\n```python\ndef f():\n    # a comment\n    return \"text\", 42\n```\n\n"
  + "| Name | Depth |\n| --- | --- |\n| Baikal | 1642 m |\n\n$$\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}$$\n\n> A quote.\n";
for (const [state, reach] of Object.entries(states)) {
  test(`axe finds nothing in either theme: ${state}`, () => withStub({ reducedMotion: "reduce",
    before: () => stub.add("for-looking-at", "On lakes", [["What is a lake?", kLook, { reasoning: "Hm.", reasoning_seconds: 3 }]]) }, async (page) => {
    await page.getByRole("link", { name: "On lakes" }).waitFor();
    await reach(page);
    const findings = [];
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await pause(250);
      await page.screenshot({ path: join(shots, `${state}-${colorScheme}.png`) });
      findings.push(...await axeFindings(page));
    }
    stub.setDown(false);
    assert.deepEqual(findings, []);
  }));
}

test("the end of an answer is said politely, not every token; the focus stays", () => withStub({}, async (page) => {
  await page.evaluate(() => {
    window.said = [];
    new MutationObserver(() => {
      const text = document.querySelector("p[aria-live=polite]").textContent;
      if (text) window.said.push(text);
    }).observe(document.querySelector("p[aria-live=polite]"), { childList: true, characterData: true, subtree: true });
  });
  stub.script = (run) => run.stream(kText, { perSecond: 200 });
  await ask(page, "Go");
  await done(page);
  await until(async () => (await page.evaluate(() => window.said)).length > 0, "it is said");
  assert.deepEqual(await page.evaluate(() => window.said), ["The answer is ready."]);
  assert.equal(await thread(page).getAttribute("aria-live"), "off");
  assert.equal(await page.evaluate(() => document.activeElement.id), "question");
}));

test("the whole way by keyboard alone", () => withStub({ before: () => stub.add("some-conversation", "Title", [["Q", "A"]]) }, async (page) => {
  await page.getByRole("link", { name: "Title" }).waitFor();
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent.trim());
  const tabTo = async (name, key = "Tab") => {
    for (let i = 0; i < 40; i++) {
      if ((await focused()).includes(name)) return;
      await page.keyboard.press(key);
    }
    throw new Error(`${name} was not reached; the focus is on ${await focused()}`);
  };
  await tabTo("More for “Title”", "Shift+Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("menuitem", { name: "Rename" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Escape");
  await until(async () => (await focused()) === "More for “Title”", "the focus comes back from a menu");
  await tabTo("Settings", "Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press("/");
  await page.keyboard.type("Hello");
  await page.keyboard.press("Enter");
  await page.getByText("A short answer.").waitFor();
  await done(page);
  await tabTo("Try again", "Shift+Tab");
}));

for (const width of [390, 820, 1440]) {
  test(`nothing is cut off at ${width} pixels, in three languages; targets are large enough`, async () => {
    for (const locale of ["en-US", "ko-KR", "zh-CN"]) {
      await withStub({ viewport: { width, height: 844 }, locale, hasTouch: width < 500, isMobile: width < 500,
        before: () => stub.add("for-looking-at", "호수", [["x".repeat(120), `${kLook}\n\n${"y".repeat(200)}\n\n| ${"wide column | ".repeat(12)}\n|${" --- |".repeat(12)}\n| ${"a | ".repeat(12)}`]]) }, async (page) => {
        const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        await pause(300);
        await page.screenshot({ path: join(shots, `empty-${width}-${locale}.png`) });
        assert.ok(await overflow() <= 0, "empty");
        await page.goto(`${stub.url}/c/for-looking-at`);
        await page.locator(".katex").first().waitFor();
        await pause(300);
        await page.screenshot({ path: join(shots, `thread-${width}-${locale}.png`) });
        assert.ok(await overflow() <= 0, "thread");
        assert.ok(await thread(page).evaluate((node) => node.scrollWidth - node.clientWidth) <= 0, "within the thread");
        const least = width < 760 ? 44 : 24;
        const small = await page.locator("button:visible, a:visible:not(.prose a), select:visible").evaluateAll((nodes, size) => nodes
          .map((node) => [node.getAttribute("aria-label") ?? node.textContent.trim(), node.getBoundingClientRect().width, node.getBoundingClientRect().height])
          .filter(([, w, h]) => (w < size || h < size) && h > 1), least);
        assert.deepEqual(small, []);
      });
    }
  });
}

test("on a narrow screen the sidebar is a sheet", () => withStub({ viewport: { width: 390, height: 844 }, before: () => stub.add("some-conversation", "Title", [["Q", "A long ago answer"]]) }, async (page) => {
  await page.getByRole("navigation").waitFor({ state: "hidden" });
  await page.getByRole("button", { name: "Sidebar" }).click();
  await page.getByRole("link", { name: "Title" }).click();
  await page.getByText("A long ago answer").waitFor();
  await page.getByRole("navigation").waitFor({ state: "hidden" });
}));

// ---- Size

test("at most 120 KB of script, gzipped, are loaded at first", () => withStub({}, async (page) => {
  const names = new Set();
  page.on("response", (response) => { if (response.url().endsWith(".js")) names.add(new URL(response.url()).pathname); });
  await page.reload();
  await question(page).waitFor();
  await pause(1500);
  const { gzipSync } = await import("node:zlib");
  let total = 0;
  for (const name of names) total += gzipSync(await readFile(join(folder, name)), { level: 9 }).length;
  console.log(`        ${[...names].length} files, ${(total / 1000).toFixed(1)} KB gzipped`);
  assert.ok(names.size > 0 && total <= 120_000, `${total} bytes in ${[...names]}`);
}));

test("every text file of the page has its compressed forms", async () => {
  const names = await readdir(folder, { recursive: true });
  const text = names.filter((name) => /\.(js|css|html|svg|webmanifest)$/.test(name));
  assert.ok(text.length > 5);
  for (const name of text) assert.ok(names.includes(`${name}.br`) && names.includes(`${name}.gz`), name);
});

const good = await runTests(only);
stub.stop();
process.exit(good ? 0 : 1);
