// page_real_test.mjs FATHOM MODEL SCREENSHOTS
//
// The chat page that the program carries, in Chromium, against `FATHOM serve MODEL`: what only the real server shows. What
// the page does with a slow, thoughtful or failing one is page_app_test.mjs's. The last line is "N passed, N failed".
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pdf, zip } from "./sample_files.mjs";
import { answers, ask, done, lastAnswer, question, runTests, test, until, withPage } from "./page_kit.mjs";

const [fathom, model, shots, only] = process.argv.slice(2);
if (!shots) {
  console.error("usage: node page_real_test.mjs FATHOM MODEL SCREENSHOTS [NAME]");
  process.exit(2);
}
await mkdir(shots, { recursive: true });
const kAnswer = 120_000;
const data = await mkdtemp(join(tmpdir(), "fathom-chat-"));

async function start(port) {
  const child = spawn(fathom, ["serve", model, "--port", String(port)], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, FATHOM_CHAT_DATA: data, XDG_DATA_HOME: data } });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    const found = line.match(/http:\/\/\S+/);
    if (found) return { url: found[0], end: async (signal) => { child.kill(signal); await ended; } };
  }
  throw new Error("the server ended before it printed its address");
}
let server = await start(0);

const call = async (method, path, body) => {
  const response = await fetch(server.url + path, { method, ...(body ? { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {}) });
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.clone().text()}`);
  return response;
};
// The engine's pages in the data folder, when for a second no more came.
async function pagesOnDisk() {
  for (let before = null; ;) {
    const now = (await readdir(data, { recursive: true })).filter((name) => /\/cache\/pages\//.test(name)).sort();
    if (before && now.length === before.length) return now;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
// A small model may never come to an end by itself.
const limit = (max_tokens) => call("PATCH", "/app/settings", { titles: false, options: { max_tokens, temperature: 0 } });
const text = async (page) => (await lastAnswer(page).locator(".prose").innerText()).replaceAll(/\s+/g, " ").trim();

test("an answer streams in; it has an address, and is there again after a reload", async () => {
  await limit(60);
  await withPage(server.url, {}, async (page) => {
    const lengths = new Set();
    await ask(page, "Count from one to ten in words.");
    await until(async () => {
      lengths.add((await lastAnswer(page).locator(".prose").textContent({ timeout: 100 }).catch(() => "")).length);
      return (await page.locator("[role=log][aria-busy=false]").count()) > 0;
    }, "the end of the answer", kAnswer);
    assert.ok(lengths.size > 3, `the text grew in steps: ${[...lengths]}`);
    assert.match(new URL(page.url()).pathname, /^\/c\//);
    const said = await text(page);
    await page.screenshot({ path: join(shots, "answer.png") });
    await page.reload();
    await lastAnswer(page).locator(".prose .block").first().waitFor();
    assert.equal(await text(page), said);
    await page.getByRole("navigation").getByRole("link", { name: /Count from one/ }).waitFor();
    await lastAnswer(page).getByRole("button", { name: "More" }).click();
    await page.getByRole("menuitem", { name: "Numbers" }).click();
    await page.locator("dl.numbers").getByText("tokens/s").waitFor();
    // The next question remembers it, and reads only what is new.
    await ask(page, "And now backwards.");
    await until(() => page.locator("[role=log][aria-busy=true]").count(), "the second answer begins");
    await done(page, kAnswer);
    assert.equal(await answers(page).count(), 2);
  });
});

test("a reload in the middle of an answer goes on with it; stop keeps it, continue goes on", async () => {
  await limit(2000);
  await withPage(server.url, {}, async (page) => {
    await ask(page, "Write a very long story about a lake.");
    await until(async () => (await text(page).catch(() => "")).length > 40, "some text", kAnswer);
    const before = await text(page);
    await page.reload();
    await until(async () => (await text(page).catch(() => "")).length > before.length, "more text", kAnswer);
    assert.ok((await text(page)).startsWith(before.slice(0, 30)));
    const start = Date.now();
    await page.getByRole("button", { name: "Stop" }).click();
    await done(page);
    assert.ok(Date.now() - start < 3000, "it stops at once");
    const stopped = await text(page);
    await limit(30);
    await page.getByRole("button", { name: "Continue" }).click();
    await until(async () => (await text(page)).length > stopped.length, "it goes on", kAnswer);
    await done(page, kAnswer);
    assert.equal(await answers(page).count(), 1);
  });
});

test("a server that is killed in the middle of an answer loses nothing that was shown", async () => {
  await limit(2000);
  await withPage(server.url, {}, async (page) => {
    await ask(page, "Write a very long story about a mountain.");
    await until(async () => (await text(page).catch(() => "")).length > 60, "some text", kAnswer);
    const port = new URL(server.url).port;
    await server.end("SIGKILL");
    const shown = await text(page);
    await page.getByText("The server cannot be reached").waitFor();
    server = await start(port);
    await page.getByText("The server was stopped during this answer").waitFor({ timeout: 30_000 });
    // At most the last tenth of a second may be missing.
    assert.ok((await text(page)).length > 0 && (await text(page)).startsWith(shown.slice(0, 20)));
    await limit(20);
    await page.getByRole("button", { name: "Continue" }).click();
    await done(page, kAnswer);
  });
});

test("versions, search, deletion with undo, a temporary chat", async () => {
  await limit(12);
  await withPage(server.url, {}, async (page) => {
    await ask(page, "호수에 대해 말해 주세요 zebra");
    await until(() => page.locator("[role=log][aria-busy=true]").count().then((n) => n > 0 || answers(page).count()), "it begins");
    await done(page, kAnswer);
    await lastAnswer(page).getByRole("button", { name: "Try again" }).click();
    await page.getByRole("group", { name: "Version 2 of 2" }).waitFor();
    await done(page, kAnswer);
    await page.getByRole("button", { name: "Previous version" }).click();
    await page.getByRole("group", { name: "Version 1 of 2" }).waitFor();
    for (const word of ["zebra", "호수"]) {
      await page.keyboard.press("Control+k");
      await page.getByRole("combobox").fill(word);
      await page.locator("#hits mark", { hasText: word }).first().waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
    }
    const link = page.getByRole("navigation").getByRole("link", { name: /zebra/ });
    await page.getByRole("button", { name: /More for “.*zebra/ }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await link.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Undo" }).click();
    await link.waitFor();
    const before = await pagesOnDisk();
    assert.ok(before.length > 0, "what is kept is on disk");
    await page.getByRole("button", { name: "New chat" }).first().click();
    await page.getByRole("button", { name: "Temporary chat" }).click();
    await ask(page, "a secret called quokka");
    await until(() => answers(page).count(), "it begins");
    await done(page, kAnswer);
    assert.equal(await page.getByRole("navigation").getByText("quokka").count(), 0);
    const { hits } = await (await call("GET", "/app/search?q=quokka")).json();
    assert.deepEqual(hits, []);
    assert.deepEqual(await pagesOnDisk(), before, "nothing that was computed of it either");
  });
});

test("a PDF and a table are read and shown with their places; an export of another app is taken in", async () => {
  await limit(30);
  await withPage(server.url, {}, async (page) => {
    await page.getByRole("button", { name: "Attach files" }).waitFor();
    const rows = Array.from({ length: 4000 }, (_, i) => `shelf ${i},box ${i * 7}`).join("\n");
    await page.locator("#composer input[type=file]").setInputFiles([
      { name: "report.pdf", mimeType: "application/pdf", buffer: pdf(["The first page", "둘째 쪽"]) },
      { name: "shelves.csv", mimeType: "text/csv", buffer: Buffer.from(`name,place\n${rows}\nthe needle,box nowhere\n`) }]);
    const list = page.getByRole("list", { name: "Attached files" }).last();
    await list.getByText("the parts that fit the question are read").waitFor({ timeout: kAnswer });
    await until(async () => (await list.getByText("tokens").count()) === 2, "both were read", kAnswer);
    await ask(page, "Where is the needle?");
    await done(page, kAnswer);
    await lastAnswer(page).getByText(/^Sources/).click();
    await lastAnswer(page).getByRole("button", { name: "report.pdf page 2" }).click();
    await page.getByRole("dialog").getByText("둘째 쪽").waitFor();
    await page.keyboard.press("Escape");
    await lastAnswer(page).getByRole("button", { name: /shelves.csv lines \d+–4002/ }).click();
    await page.getByRole("dialog").getByText("the needle,box nowhere").waitFor();
    await page.keyboard.press("Escape");

    const say = (id, parent, children, role, text) => ({ id, parent, children, message: { author: { role }, content: { content_type: "text", parts: [text] }, metadata: {}, recipient: "all" } });
    const mapping = { a: say("a", null, ["b"], "user", "What is a tarn?"), b: say("b", "a", [], "assistant", "A lake in the mountains.") };
    const conversations = JSON.stringify([{ title: "Taken in from elsewhere", conversation_id: "11111111-2222", current_node: "b", create_time: 1, update_time: 2, mapping }]);
    await page.getByRole("button", { name: "Settings", exact: true }).click();
    await page.getByRole("tab", { name: "Data" }).click();
    for (const words of ["1 new or grown conversations, 2 messages", "0 new or grown conversations, 0 messages"]) {
      await page.getByRole("tabpanel").locator("input[type=file]").setInputFiles({ name: "export.zip", mimeType: "application/zip", buffer: zip({ "conversations.json": conversations }) });
      await page.getByRole("tabpanel").getByText(words).waitFor({ timeout: kAnswer });
    }
    await page.keyboard.press("Escape");
    await page.getByRole("navigation").getByRole("link", { name: /Taken in from elsewhere/ }).click();
    await page.getByText("A lake in the mountains.").waitFor();
  });
});

test("two tabs show the same answer as it comes", async () => {
  await limit(400);
  await withPage(server.url, {}, async (page, open) => {
    await ask(page, "Tell me about rivers.");
    await until(() => page.url().includes("/c/"), "the address");
    const second = await open(new URL(page.url()).pathname);
    await until(async () => (await text(second).catch(() => "")).length > 10, "the second tab shows it", kAnswer);
    await page.bringToFront();
    await page.getByRole("button", { name: "Stop" }).click();
    await done(page);
    await second.bringToFront();
    await done(second);
    await until(async () => (await text(page)) === (await text(second)), "both are the same");
  });
});

test("the page's files come compressed, hashed ones for good; an inline script does not run", () => withPage(server.url, {}, async (page) => {
  const [name] = await page.locator("script[src]").evaluateAll((nodes) => nodes.map((node) => node.getAttribute("src")));
  const file = await fetch(server.url + name, { headers: { "Accept-Encoding": "br" } });
  assert.equal(file.headers.get("content-encoding"), "br");
  assert.match(file.headers.get("cache-control"), /immutable/);
  const ran = await page.evaluate(() => {
    window.ran = false;
    const refused = new Promise((resolve) => addEventListener("securitypolicyviolation", (event) => resolve(event.violatedDirective), { once: true }));
    const script = document.createElement("script");
    script.textContent = "window.ran = true";
    document.body.append(script);
    return refused.then((directive) => [window.ran, directive]);
  });
  assert.equal(ran[0], false);
  assert.match(ran[1], /script-src/);
}, ["violates"]));

const good = await runTests(only);
await server.end("SIGTERM");
await rm(data, { recursive: true });
process.exit(good ? 0 : 1);
