// page_speed.mjs PAGE [RESULTS]
//
// How fast the page is on a processor four times slower than this one, against the server that says set tokens: to typing,
// while a long answer streams, and opening a long conversation. Writes the figures to the file RESULTS and holds them
// against the bar of the chat page. Wants a quiet machine. The last line is "N passed, N failed".
import { readFile, writeFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";
import { AppStub, pause } from "./app_stub.mjs";
import { ask, done, question, runTests, tasksDuring, test, thread, withPage } from "./page_kit.mjs";

const [folder, results] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node page_speed.mjs PAGE [RESULTS]");
  process.exit(2);
}
const kSlower = 4;
const stub = await AppStub.start(folder);
const rows = [];
const load = loadavg()[0];

async function slowed(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: kSlower });
  await session.send("Performance.enable");
  return {
    metrics: async () => Object.fromEntries((await session.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value])),
  };
}
function note(what, value, bar, good) {
  rows.push([what, value, bar, good ? "yes" : "no"]);
  console.log(`        ${what}: ${value} (bar: ${bar})`);
  if (!good) throw new Error(`${what}: ${value}, the bar is ${bar}`);
}
const longest = (tasks) => Math.round(tasks[0]?.ms ?? 0);

test("from the first paint to typing", () => withPage(stub.url, {}, async (page) => {
  await slowed(page);
  await page.goto("about:blank");
  await page.goto(stub.url, { waitUntil: "commit" });
  await question(page).waitFor();
  await question(page).pressSequentially("a");
  const ms = Math.round(await page.evaluate(() => performance.now() - performance.getEntriesByName("first-contentful-paint")[0].startTime));
  note("first paint to a letter in the box", `${ms} ms`, "< 1000 ms", ms < 1000);
}));

// 10,000 tokens of prose, lists, code and formulae.
const kPart = "The sea keeps the sum of rivers and gives back clouds, and **what is deep** stays `still`.\n\n- one item of a list\n- another with $x^2$\n\n"
  + "```python\ndef depth(lake):\n    return lake.bottom - lake.surface\n```\n\n## A heading\n\n| Lake | Depth |\n| --- | --- |\n| Baikal | 1642 m |\n\n";
test("a 10,000-token answer at 200 tokens a second", () => withPage(stub.url, {}, async (page) => {
  const text = kPart.repeat(Math.ceil(40_000 / kPart.length)).slice(0, 40_000);
  stub.script = (run) => run.stream(text, { perSecond: 200, size: 4 });
  const { metrics } = await slowed(page);
  await ask(page, "Go");
  await pause(1000);
  let share, megabytes;
  const tasks = await tasksDuring(page, async () => {
    await pause(2000);
    const before = await metrics();
    const start = performance.now();
    await pause(20_000);
    const after = await metrics();
    share = ((after.ScriptDuration - before.ScriptDuration) / ((performance.now() - start) / 1000)) * 100;
    megabytes = (after.JSHeapUsedSize - before.JSHeapUsedSize) / 1e6;
  });
  await done(page, 120_000);
  note("scripting while it streams", `${share.toFixed(0)} % of the time`, "< 40 %", share < 40);
  note("growth of the heap in 20 s of it", `${megabytes.toFixed(1)} MB`, "< 20 MB", megabytes < 20);
  note("longest task after the first second", `${longest(tasks)} ms`, "<= 50 ms", longest(tasks) <= 50);
}));

test("a conversation of 500 messages with code and formulae", () => {
  const id = stub.add("speed-conversation", "Long", Array.from({ length: 250 }, (_, i) => [`Question ${i}`, `Answer ${i}.\n\n${kPart}`]));
  return withPage(stub.url, {}, async (page) => {
    await slowed(page);
    await page.getByRole("link", { name: "Long" }).waitFor();
    await pause(1500);  // Markdown is loaded when the page has nothing else to do
    const ms = await page.evaluate(() => new Promise((resolve) => {
      const start = performance.now();
      new MutationObserver((_, observer) => {
        if (!document.querySelector(".prose table")) return;
        observer.disconnect();
        requestAnimationFrame(() => resolve(Math.round(performance.now() - start)));
      }).observe(document.body, { childList: true, subtree: true });
      document.querySelector("nav a").click();
    }));
    note("opening it, to the first screen", `${ms} ms`, "< 300 ms", ms < 300);
    await pause(1500);
    const tasks = await tasksDuring(page, async () => {
      await thread(page).hover();
      for (let i = 0; i < 40; i++) {
        await page.mouse.wheel(0, -400);
        await pause(40);
      }
    });
    note("longest task while scrolling through it", `${longest(tasks)} ms`, "<= 50 ms", longest(tasks) <= 50);
  });
});

const good = await runTests();
stub.stop();
if (results) {
  const names = (await readFile("/proc/cpuinfo", "utf8")).match(/model name\s*: (.*)/)?.[1] ?? "";
  await writeFile(results, `# How fast the chat page is\n\nMade by \`tests/e2e/page_speed.mjs\`, ${new Date().toISOString().slice(0, 10)}: Chromium, its processor slowed ${kSlower} times, on `
    + `${cpus().length} cores of "${names}", whose load was ${load.toFixed(1)} at the start.\n\n| | figure | bar | held |\n| --- | --- | --- | --- |\n${rows.map((row) => `| ${row.join(" | ")} |`).join("\n")}\n`);
}
process.exit(good ? 0 : 1);
