// What the page's browser tests share: a list of tests, a page with its guards, and the run of all with a count at the end.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const tests = [];
export const test = (name, run) => tests.push({ name, run });
let browser;

// A page of its own. The test fails on script errors, on what the policy refused and on requests to any other host.
// `expected`: words of complaints that the test itself brings about.
export async function withPage(url, options, run, expected = []) {
  const { path = "", ...context_options } = options;
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-US",
    permissions: ["clipboard-read", "clipboard-write"], serviceWorkers: "block", ...context_options });
  context.setDefaultTimeout(10_000);
  const troubles = [];
  const open = async (where = path) => {
    const page = await context.newPage();
    page.on("pageerror", (error) => {
      // Where workers are blocked, Playwright's own script trips over a sandboxed frame.
      if (!/Service worker is disabled because the context is sandboxed/.test(error.message)) troubles.push(`script error: ${error.message}`);
    });
    page.on("console", (message) => {
      if (message.type() === "error" && !/Failed to load resource/.test(message.text()) && !expected.some((words) => message.text().includes(words))) troubles.push(message.text());
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(`${url}/`) && !request.url().startsWith(`blob:${url}/`)) troubles.push(`request to ${request.url()}`);
    });
    await page.goto(url + where);
    await page.locator("#question").waitFor();
    return page;
  };
  try {
    await run(await open(), open, context);
    assert.deepEqual(troubles, []);
  } finally {
    await context.close();
  }
}

export const question = (page) => page.locator("#question");
export const answers = (page) => page.getByRole("article", { name: "Answer" });
export const lastAnswer = (page) => answers(page).last();
export const thread = (page) => page.getByRole("log");
export const done = (page, timeout = 30_000) => page.locator("[role=log][aria-busy=false]").waitFor({ timeout });
export async function ask(page, text) {
  await question(page).fill(text);
  await page.keyboard.press("Enter");
}
export async function until(holds, what, limit = 10_000) {
  const end = Date.now() + limit;
  for (;;) {
    if (await holds()) return;
    if (Date.now() > end) throw new Error(`not within ${limit} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// What axe finds; nothing is asked of it but all of WCAG 2.2 AA and its best practices.
export async function axeFindings(page) {
  await page.evaluate(`window.axe ?? eval(${JSON.stringify(axe)})`).catch(async () => {
    // The page's policy allows no eval: the script goes in by the debugger's way.
    const session = await page.context().newCDPSession(page);
    await session.send("Runtime.evaluate", { expression: axe });
  });
  const { violations } = await page.evaluate(() => window.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} (${failureSummary.split("\n")[1]?.trim()})`).slice(0, 3).join(" | ")}`);
}

// Long tasks of the page's own thread from now on.
export async function watchLongTasks(page) {
  await page.evaluate(() => {
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map(({ startTime, duration }) => ({ startTime, duration })))).observe({ entryTypes: ["longtask"] });
  });
  return () => page.evaluate(() => window.longTasks);
}

// The work of the page's own thread while `run` runs: each task's time on the processor, in milliseconds, longest first.
// (Wall time would count what the machine's other work takes away.)
export async function tasksDuring(page, run) {
  await browser.startTracing(page, { categories: ["toplevel", "disabled-by-default-devtools.timeline", "__metadata"] });
  await run();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const main = new Set(traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = traceEvents.filter(({ ph, name, pid, tid }) => ph === "X" && name.endsWith("RunTask") && main.has(`${pid} ${tid}`));
  if (tasks.length === 0 || tasks.every(({ tdur }) => tdur === undefined)) throw new Error("Chromium told no times on the processor");
  return tasks.map(({ tdur = 0, ts }) => ({ ms: tdur / 1000, at: ts / 1000 })).sort((a, b) => b.ms - a.ms);
}

export async function runTests(only) {
  browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  let passed = 0, failed = 0;
  for (const { name, run } of tests) {
    if (only && !name.includes(only)) continue;
    const start = performance.now();
    try {
      await run();
      passed += 1;
      console.log(`ok      ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}: ${error.stack.slice(0, 1500)}`);
    }
  }
  await browser.close();
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0;
}
