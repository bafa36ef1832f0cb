// page_files_test.mjs PAGE SCREENSHOTS [NAME]
//
// Files in the chat page, against a server that says set tokens: PDFs, what an answer cites, imports. The last line is
// "N passed, N failed".
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { AppStub, pause } from "./app_stub.mjs";
import { ask, axeFindings, done, lastAnswer, question, runTests, test, until, withPage } from "./page_kit.mjs";
import { pdf, zip } from "./sample_files.mjs";

const [folder, shots, only] = process.argv.slice(2);
if (!shots) {
  console.error("usage: node page_files_test.mjs PAGE SCREENSHOTS [NAME]");
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
const attached = (page) => page.getByRole("list", { name: "Attached files" }).last();
const attach = async (page, name, buffer, mimeType = "application/octet-stream") => {
  await page.getByRole("button", { name: "Attach files" }).waitFor();
  await page.locator("#composer input[type=file]").setInputFiles({ name, mimeType, buffer });
};
async function look(page, name) {
  const findings = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await pause(250);
    await page.screenshot({ path: join(shots, `${name}-${colorScheme}.png`) });
    findings.push(...await axeFindings(page));
  }
  assert.deepEqual(findings, []);
}

test("a PDF's text is taken out in the page, Korean encodings too; pdf.js comes with the first one", () => withStub({}, async (page) => {
  const before = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
  assert.deepEqual(before.filter((name) => /pdf|cmaps/.test(name)), []);
  const asked = [];
  page.on("request", (request) => asked.push(new URL(request.url()).pathname));
  await attach(page, "report.pdf", pdf(["The first page (of two)", "둘째 쪽"]), "application/pdf");
  await until(() => stub.files.size === 1, "the text was sent");
  const [file] = stub.files.values();
  assert.equal(file.kind, "pdf");
  assert.equal(stub.texts.get(file.id), "The first page (of two)\f둘째 쪽");
  for (const part of ["/assets/pdf-", "/assets/pdf.worker", "/assets/cmaps-"]) assert.ok(asked.some((path) => path.startsWith(part)), `${part} of ${asked}`);
  await attached(page).getByText("tokens").waitFor();
  await ask(page, "What does it say?");
  await done(page);
  assert.deepEqual(stub.requests.findLast(({ path }) => path === "/app/runs").body.message.file_ids, [file.id]);
}));

test("a PDF that is locked, broken or without text says so", () => withStub({}, async (page) => {
  for (const [name, buffer, words] of [
    ["locked.pdf", pdf(["secret"], { locked: true }), "locked by a password"],
    ["broken.pdf", Buffer.from("%PDF-1.7\nnothing"), "could not be read"],
    ["scanned.pdf", pdf(["", ""]), "holds pictures of pages, without text"]]) {
    await attach(page, name, buffer, "application/pdf");
    await attached(page).getByText(words).waitFor();
    await page.getByRole("button", { name: `Remove ${name}` }).click();
  }
  assert.equal(stub.files.size, 0);
}));

test("a file that is too large is not sent; one that is removed is gone at the server", () => withStub({ before: () => { stub.mostFileBytes = 20_000; } }, async (page) => {
  await attach(page, "large.txt", Buffer.alloc(20_001, "x"));
  await attached(page).getByText("This file is too large.").waitFor();
  await page.getByRole("button", { name: "Remove large.txt" }).click();
  assert.equal(stub.requests.filter(({ path }) => path.startsWith("/app/files")).length, 0);
  await attach(page, "notes.txt", Buffer.from("words ".repeat(2000)));
  await attached(page).getByText("the parts that fit the question are read").waitFor();
  await page.getByRole("button", { name: "Remove notes.txt" }).click();
  await until(() => stub.files.size === 0, "removed at the server");
}));

test("in a temporary chat files are temporary, and go when it is left", () => withStub({}, async (page) => {
  await page.getByRole("button", { name: "Temporary chat" }).click();
  await attach(page, "notes.txt", Buffer.from("secret"));
  await attached(page).getByText("tokens").waitFor();
  assert.match(stub.requests.findLast(({ path }) => path.startsWith("/app/files")).query, /temporary=true/);
  await page.getByRole("button", { name: "Temporary chat" }).click();
  await until(() => stub.files.size === 0, "removed at the server");
  assert.equal(stub.drafts.size, 0);
}));

test("a citation is a button only where it names what was given, and shows it", () => withStub({}, async (page) => {
  await attach(page, "lakes.txt", Buffer.from("Baikal is deep.\nLadoga is wide.\n"));
  await attached(page).getByText("tokens").waitFor();
  const [file] = stub.files.values();
  const source = (first, from, to) => ({ title: "lakes.txt", file_id: file.id, unit: "line", first, last: first, from, to });
  stub.script = async (run) => {
    run.answer.sources = [source(1, 0, 16), source(2, 16, 32)];
    await run.stream("Deep it is [1], wide [citation:2][1]. Not [3] nor [0].\n\n- in a list [2]\n\n`[1]` [1](https://example.com)\n\n[2]: https://example.com/own");
  };
  await ask(page, "Which?");
  await done(page);
  const answer = lastAnswer(page);
  const cited = answer.locator("button.cite-button");
  await until(async () => (await cited.count()) >= 2, "buttons");
  assert.deepEqual(await cited.allTextContents(), ["1", "1"], "[2] is the answer's own link here");
  assert.match(await answer.locator(".prose").textContent(), /Not \[3\] nor \[0\]/);
  await cited.first().click();
  const dialog = page.getByRole("dialog", { name: "lakes.txt" });
  await dialog.getByText("Baikal is deep.").waitFor();
  assert.ok(!(await dialog.textContent()).includes("Ladoga"));
  await dialog.getByText("line 1").waitFor();
  await look(page, "source");
  await page.keyboard.press("Escape");
  await answer.getByText("Sources · 2").click();
  await answer.getByRole("button", { name: "lakes.txt line 2" }).click();
  await page.getByRole("dialog").getByText("Ladoga is wide.").waitFor();
  await page.keyboard.press("Escape");
  await look(page, "sources");
  // What was sent is shown with the question, and opens.
  await page.getByRole("article", { name: "You" }).getByRole("button", { name: "lakes.txt" }).click();
  await page.getByRole("dialog").getByText("Baikal is deep.").waitFor();
  await page.keyboard.press("Escape");
  await page.reload();
  await cited.first().waitFor();
}));

test("an export is taken in from a ZIP archive or a file, and what went wrong is said", () => withStub({}, async (page) => {
  const list = (count, start = 0) => JSON.stringify(Array.from({ length: count }, (_, i) => ({ conversation_id: `imported-${start + i}`, title: `Imported ${start + i}`, mapping: {}, filler: "x".repeat(200) })));
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByRole("tab", { name: "Data" }).click();
  const panel = page.getByRole("tabpanel");
  const choose = (name, buffer) => panel.locator("input[type=file]").setInputFiles({ name, mimeType: "application/zip", buffer });
  // Larger than one piece; two files of conversations, as long histories have.
  await choose("export.zip", zip({ "user.json": "{}", "x/conversations-000.json": list(20_000), "x/conversations-001.json": list(3, 20_000) }));
  await panel.getByText("20,003 new or grown conversations, 40,006 messages").waitFor({ timeout: 30_000 });
  await panel.getByText("Left out: 2").click();
  await panel.getByText("it has no id").first().waitFor();
  assert.ok(stub.requests.filter(({ path }) => path.startsWith("/app/imports/")).length >= 3);
  await look(page, "import");
  await choose("conversations.json", Buffer.from(list(1, 30_000)));
  await panel.getByText("1 new or grown conversations, 2 messages").waitFor();
  await choose("stored.zip", zip({ "conversations.json": list(2, 40_000) }, { stored: true }));
  await panel.getByText("2 new or grown conversations, 4 messages").waitFor();
  await choose("nonsense.json", Buffer.from("nonsense"));
  await panel.getByRole("alert").getByText("not valid JSON at byte 1").waitFor();
  await choose("other.zip", zip({ "a.txt": "x" }));
  await panel.getByRole("alert").getByText("holds no conversations.json").waitFor();
  const whole = zip({ "conversations.json": list(10) });
  for (const broken of [whole.subarray(0, whole.length - 30), Buffer.concat([whole.subarray(0, 60), Buffer.alloc(40, 0xff), whole.subarray(100)])]) {
    await choose("broken.zip", broken);
    await panel.getByRole("alert").getByText("could not be read").waitFor();
    await choose("conversations.json", Buffer.from(list(1, 30_000)));
    await panel.getByText("1 new or grown conversations, 2 messages").waitFor();
  }
}));

const good = await runTests(only);
stub.stop();
process.exit(good ? 0 : 1);
