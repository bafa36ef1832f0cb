// page_test.mjs FATHOM MODEL SCREENSHOTS
//
// The chat page in a real browser: against `FATHOM serve MODEL` what only the real thing shows, and against a scripted
// server what needs a slow, thoughtful or failing one. Leaves pictures in the folder SCREENSHOTS. The last line is
// "N passed, N failed".
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [fathom, model, folder] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node page_test.mjs FATHOM MODEL SCREENSHOTS");
  process.exit(2);
}
const kAnswerLimit = 120_000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// ---- Servers

async function startFathom() {
  const env = { ...process.env, FATHOM_CHAT_DATA: await mkdtemp(`${tmpdir()}/fathom-chat-`) };
  const child = spawn(fathom, ["serve", model, "--port", "0"], { stdio: ["ignore", "pipe", "inherit"], env });
  for await (const line of createInterface({ input: child.stdout })) {
    const found = line.match(/http:\/\/\S+/);
    if (found) return { url: found[0], stop: () => child.kill("SIGTERM") };
  }
  throw new Error("the server ended before it printed its address");
}

// The page's files and a chat route that a test scripts: `script(send, body)` sends deltas when it likes.
async function startScripted() {
  const types = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
  const state = { script: null, requests: [], hungUp: 0, key: "", url: "", stop: null };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const refuse = (status, message) => response.writeHead(status).end(JSON.stringify({ error: { message } }));
    if (request.url.startsWith("/v1/") && state.key && request.headers.authorization !== `Bearer ${state.key}`)
      return refuse(401, "no API key");
    if (request.url === "/v1/models")
      return response.end(JSON.stringify({ data: [{ id: "deepseek-r1-distill", can_think: true }] }));
    if (request.url !== "/v1/chat/completions") {
      const name = request.url === "/" ? "index.html" : request.url.slice(1);
      const file = await readFile(new URL(`../../web/plain/${name}`, import.meta.url)).catch(() => null);
      return file ? response.writeHead(200, { "Content-Type": types[name.split(".").pop()] }).end(file)
        : refuse(404, "no such file");
    }
    const body = JSON.parse(Buffer.concat(chunks).toString());
    state.requests.push(body);
    response.on("close", () => { if (!response.writableFinished) state.hungUp += 1; });
    const send = (delta) => {
      if (!response.headersSent) response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`);
    };
    await state.script({ send, body, response, refuse });
    if (!response.writableEnded) response.end("data: [DONE]\n\n");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  state.url = `http://127.0.0.1:${server.address().port}`;
  state.stop = () => { server.closeAllConnections(); server.close(); };
  return state;
}

// ---- What the tests share

const tests = [];
const test = (name, run) => tests.push({ name, run });
let browser, real, scripted;

// A page of its own; fails the test on script errors, refused content and requests to any other host.
async function withPage(url, options, run) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-US", ...options });
  const page = await context.newPage();
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(`script error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) troubles.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`${url}/`)) troubles.push(`request to ${request.url()}`);
  });
  try {
    await page.goto(url);
    await page.getByRole("textbox").waitFor();
    await run(page);
    assert.deepEqual(troubles, []);
  } finally {
    await context.close();
  }
}

const shot = (page, name) => page.screenshot({ path: `${folder}/${name}.png` });
const lastAnswer = (page) => page.locator(".answer").last();
// Whether an answer is coming, as the page tells it to screen readers.
const busy = (page) => page.locator("#thread[aria-busy=true]").count();
const done = (page) => page.locator("#thread[aria-busy=false]").waitFor({ timeout: kAnswerLimit });

async function ask(page, text) {
  await page.getByRole("textbox").fill(text);
  await page.keyboard.press("Enter");
}

// ---- Against the real server

// A small model may never come to an end by itself.
const limitAnswers = (page, max_tokens) => page.route("**/v1/chat/completions", (route) =>
  route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), max_tokens }) }));

test("an answer streams in, and the next question remembers it", () => withPage(real.url, {}, async (page) => {
  await limitAnswers(page, 60);
  await shot(page, "first");
  const lengths = new Set();
  await ask(page, "Count from one to ten in words.");
  while (await busy(page)) {
    lengths.add((await lastAnswer(page).textContent()).length);
    await pause(20);
  }
  assert.ok(lengths.size > 3, `the text grew in steps: ${[...lengths]}`);
  assert.equal(await page.locator(".failure").count(), 0);
  const request = page.waitForRequest("**/v1/chat/completions");
  await ask(page, "And now backwards.");
  const roles = (await request).postDataJSON().messages.map((message) => message.role);
  assert.deepEqual(roles, ["user", "assistant", "user"]);
  await done(page);
  await shot(page, "answers");
}));

test("stop acts at once and keeps the text", () => withPage(real.url, {}, async (page) => {
  await ask(page, "Write a very long story about the sea, with many chapters.");
  await page.waitForFunction(() => document.querySelector(".answer p")?.textContent.length > 20, null,
    { timeout: kAnswerLimit });
  await page.getByRole("button", { name: "Stop" }).click();
  await page.locator("#thread[aria-busy=false]").waitFor({ timeout: 1000 });
  const kept = await lastAnswer(page).locator("p").first().textContent();
  assert.ok(kept.length > 20);
  await pause(500);
  assert.equal(await lastAnswer(page).locator("p").first().textContent(), kept);
  assert.equal(await page.locator(".failure").count(), 0);
}));

test("the page keeps its policy: no inline script runs", () => withPage(real.url, {}, async (page) => {
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.inlineRan = true";
    document.body.append(script);
    return Boolean(window.inlineRan);
  });
  assert.equal(ran, false);
}).catch((error) => {
  // The refusal itself is reported on the console; that is the point.
  if (!/Content Security Policy/.test(error.message)) throw error;
}));

// ---- Against the scripted one

const thoughtful = async ({ send }) => {
  for (const part of ["The person asks why. ", "Light scatters. ", "Blue scatters most, "]) {
    send({ content: null, reasoning_content: part });
    await pause(450);
  }
  send({ content: null, reasoning_content: "so I say that." });
  await pause(900);
  send({ content: "Sunlight holds every colour.\n\nAir scatters **blue** most" });
  await pause(300);
  send({ content: ", so the sky is blue:\n\n```python\nfor colour in light:\n    if colour == 'blue':\n" });
  await pause(300);
  send({ content: "        scatter(colour)  # <b>not bold</b>\n```\n\nThat is all <script>alert(1)</script>." });
};

test("thinking shows its time, folds when the answer begins, and stays readable", async () => {
  scripted.script = thoughtful;
  await withPage(scripted.url, {}, async (page) => {
    await ask(page, "Why is the sky blue?");
    await page.locator(".preview", { hasText: "Blue scatters most" }).waitFor();
    await shot(page, "thinking");
    await page.locator(".thinking summary").click();
    await shot(page, "thinking-open");
    assert.match(await page.locator(".label").textContent(), /^Thinking \d+ s$/);
    await done(page);
    assert.match(await page.locator(".label").textContent(), /^Thought for [23] s$/);
    assert.equal(await page.locator(".thinking").getAttribute("open"), null);
    await page.locator(".thinking summary").click();
    assert.match(await page.locator(".thoughts").textContent(), /^The person asks why. .* so I say that\.$/);
    await shot(page, "thought");
  });
});

test("text is paragraphs and code, and never markup", async () => {
  scripted.script = thoughtful;
  await withPage(scripted.url, {}, async (page) => {
    await ask(page, "Why?");
    await done(page);
    const blocks = await lastAnswer(page).locator("p, pre").evaluateAll((nodes) => nodes.map((n) => [n.tagName, n.textContent]));
    assert.deepEqual(blocks, [
      ["P", "Sunlight holds every colour."],
      ["P", "Air scatters **blue** most, so the sky is blue:"],
      ["PRE", "for colour in light:\n    if colour == 'blue':\n        scatter(colour)  # <b>not bold</b>"],
      ["P", "That is all <script>alert(1)</script>."],
    ]);
    assert.equal(await lastAnswer(page).locator("b, script").count(), 0);
    assert.deepEqual(scripted.requests.at(-1).thinking, { type: "enabled" });
    await page.getByRole("button", { name: "Think" }).click();
    await ask(page, "Again");
    await done(page);
    assert.deepEqual(scripted.requests.at(-1).thinking, { type: "disabled" });
  });
});

test("every way of cutting a text gives the same blocks", async () => {
  const text = "One\ntwo\n\n\n```js\nlet a = 1;\n\nlet b;\n```\nafter\n\n  indented\n~~~\ntilde\n~~~\n\nlast\n";
  const expected = [["P", "One\ntwo"], ["PRE", "let a = 1;\n\nlet b;"], ["P", "after"], ["P", "  indented"],
    ["PRE", "tilde"], ["P", "last"]];
  await withPage(scripted.url, {}, async (page) => {
    for (const size of [1, 2, 3, 7, 1000]) {
      scripted.script = async ({ send }) => {
        for (let at = 0; at < text.length; at += size) {
          send({ content: text.slice(at, at + size) });
          if (size < 7) await pause(20);  // so that frames fall between the pieces
        }
      };
      await ask(page, `pieces of ${size}`);
      await page.locator(".own", { hasText: `pieces of ${size}` }).waitFor();
      await done(page);
      const blocks = await lastAnswer(page).locator("p, pre").evaluateAll((nodes) => nodes.map((n) => [n.tagName, n.textContent]));
      assert.deepEqual(blocks, expected, `pieces of ${size}`);
    }
  });
});

test("Enter while a word is composed does not send", async () => {
  scripted.script = async ({ send }) => send({ content: "네." });
  await withPage(scripted.url, { locale: "ko-KR" }, async (page) => {
    const before = scripted.requests.length;
    await page.getByRole("textbox").fill("안녕하세");
    await page.evaluate(() => {
      const box = document.querySelector("textarea");
      for (const init of [{ isComposing: true }, { keyCode: 229 }])
        box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...init }));
    });
    await pause(100);
    assert.equal(scripted.requests.length, before);
    await page.keyboard.press("Shift+Enter");
    assert.equal(await page.getByRole("textbox").inputValue(), "안녕하세\n");
    await page.keyboard.press("Enter");
    await done(page);
    assert.equal(scripted.requests.length, before + 1);
    assert.equal(await page.locator("html").getAttribute("lang"), "ko");
    assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector(".own p")).wordBreak), "keep-all");
  });
});

test("one who scrolled up is left alone until the end is reached again", async () => {
  let go;
  scripted.script = async ({ send }) => {
    send({ content: "A line of the answer.\n\n".repeat(60) });
    await new Promise((resolve) => (go = resolve));
    send({ content: "More and more of it.\n\n".repeat(20) });
  };
  await withPage(scripted.url, {}, async (page) => {
    await ask(page, "Go on");
    const top = () => page.evaluate(() => document.querySelector("main").scrollTop);
    await page.waitForFunction(() => document.querySelectorAll(".answer p").length >= 60);
    await page.mouse.move(600, 300);
    const bottom = await top();
    await page.mouse.wheel(0, -300);
    await page.waitForFunction((from) => document.querySelector("main").scrollTop < from, bottom);
    await pause(200);
    const read = await top();
    go();
    await page.waitForFunction(() => document.querySelectorAll(".answer p").length >= 80);
    assert.equal(await top(), read);
    await page.getByRole("button", { name: "Latest" }).click();
    await page.waitForFunction((from) => document.querySelector("main").scrollTop > from, read);
    assert.equal(await page.getByRole("button", { name: "Latest" }).isVisible(), false);
  });
});

test("stopping hangs up, Escape too, and a new chat forgets", async () => {
  scripted.script = async ({ send, response }) => {
    for (let i = 0; i < 200 && !response.destroyed; ++i) { send({ content: `word ${i} ` }); await pause(30); }
  };
  await withPage(scripted.url, {}, async (page) => {
    const before = scripted.hungUp;
    await ask(page, "Go on");
    await page.locator(".answer p").waitFor();
    await page.keyboard.press("Escape");
    await done(page);
    await pause(200);
    assert.equal(scripted.hungUp, before + 1);
    assert.match(await lastAnswer(page).textContent(), /word 0/);
    await ask(page, "And on");
    await page.locator(".answer").nth(1).locator("p").waitFor();
    await page.getByRole("button", { name: "New chat" }).click();
    await pause(200);
    assert.equal(scripted.hungUp, before + 2);
    assert.equal(await page.locator(".answer, .own").count(), 0);
    await ask(page, "Fresh");
    await page.locator(".answer p").waitFor();
    assert.deepEqual(scripted.requests.at(-1).messages, [{ role: "user", content: "Fresh" }]);
  });
});

test("an error stands in the thread and can be tried again", async () => {
  scripted.script = async ({ refuse }) => refuse(503, "the queue is full: try again in a moment");
  await withPage(scripted.url, {}, async (page) => {
    await ask(page, "Hello?");
    await page.getByRole("alert").waitFor();
    assert.match(await page.getByRole("alert").textContent(), /queue is full/);
    await shot(page, "error");
    scripted.script = async ({ send, response }) => { send({ content: "Half an" }); await pause(100); response.destroy(); };
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("The connection ended before the answer did").waitFor();
    assert.equal(await page.getByText("Half an").count(), 1);
    scripted.script = async ({ send }) => send({ content: "Here I am." });
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("Here I am.").waitFor();
    assert.equal(await page.getByRole("alert").count(), 0);
    assert.equal(await page.getByText("Half an").count(), 0);
    assert.deepEqual(scripted.requests.at(-1).messages, [{ role: "user", content: "Hello?" }]);
  });
});

test("a server with a key asks for it", async () => {
  scripted.key = "sk-test";
  scripted.script = async ({ send }) => send({ content: "Welcome." });
  try {
    await withPage(scripted.url, {}, async (page) => {
      await ask(page, "Hello?");
      await page.getByLabel("API key").fill("sk-test");
      await page.keyboard.press("Enter");
      await page.getByText("Welcome.").waitFor();
      await page.getByText("deepseek-r1-distill").waitFor();
    });
  } finally {
    scripted.key = "";
  }
});

for (const [width, height] of [[390, 844], [820, 1180], [1440, 900]]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`nothing is wider than the page at ${width} px, ${colorScheme}`, async () => {
      scripted.script = thoughtful;
      const options = { viewport: { width, height }, colorScheme, hasTouch: width < 800 };
      await withPage(scripted.url, options, async (page) => {
        const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        await shot(page, `empty-${width}-${colorScheme}`);
        assert.ok(await overflow() <= 0);
        await ask(page, "Why is the sky blue, and why is it red in the evening when the sun is low? " + "x".repeat(80));
        await done(page);
        assert.ok(await overflow() <= 0);
        await shot(page, `chat-${width}-${colorScheme}`);
        if (width < 760) {
          const small = await page.locator("button:visible").evaluateAll((nodes) => nodes
            .map((node) => [node.textContent.trim(), node.getBoundingClientRect().height]).filter(([, h]) => h < 44));
          assert.deepEqual(small, []);
        }
      });
    });
  }
}

// ---- Running them

await mkdir(folder, { recursive: true });
real = await startFathom();
scripted = await startScripted();
browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync"],
});
let passed = 0, failed = 0;
for (const { name, run } of tests) {
  try {
    await run();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.stack.slice(0, 1500)}`);
  }
}
await browser.close();
real.stop();
scripted.stop();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
