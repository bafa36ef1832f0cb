// contract_test.mjs FATHOM MODEL
//
// Whether the answers of `FATHOM serve MODEL`, and those of the stub that the page's tests run against, are what
// web/api/app.yaml promises: each operation is asked for and its answer held against the schema, fields that no schema
// names included. The last line is "N passed, N failed".
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import Ajv from "ajv/dist/2020.js";
import { parse } from "yaml";
import { AppStub } from "./app_stub.mjs";

const [fathom, model] = process.argv.slice(2);
if (!model) {
  console.error("usage: node contract_test.mjs FATHOM MODEL");
  process.exit(2);
}
const contract = parse(await readFile(new URL("../../web/api/app.yaml", import.meta.url), "utf8"));
// An answer may not have a field that the contract does not know.
for (const schema of Object.values(contract.components.schemas)) {
  if (schema.type === "object" && schema.properties) schema.unevaluatedProperties = false;
}
const ajv = new Ajv({ strict: false, validateFormats: false });
ajv.addSchema(contract, "app");
const at = (pointer) => pointer.slice(2).split("/").reduce((node, part) => node?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], contract);
const escaped = (name) => name.replaceAll("~", "~0").replaceAll("/", "~1");
const asked = new Set();  // operations that were asked for

function check(pointer, value, what) {
  const valid = ajv.getSchema(`app${pointer}`) ?? ajv.compile({ $ref: `app${pointer}` });
  assert.ok(valid(value), `${what}: ${ajv.errorsText(valid.errors)} in ${JSON.stringify(value).slice(0, 400)}`);
}

// The operations of one server, in an order in which each has something to answer.
class Walk {
  constructor(url) {
    this.url = url;
  }
  async call(method, path, { at: values = {}, query = {}, json, bytes, status = 200 } = {}) {
    const operation = contract.paths[path][method.toLowerCase()];
    asked.add(operation.operationId);
    const target = path.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name]));
    const response = await fetch(`${this.url}${target}?${new URLSearchParams(query)}`, {
      method, ...(json ? { body: JSON.stringify(json), headers: { "Content-Type": "application/json" } } : {}),
      ...(bytes ? { body: bytes, headers: { "Content-Type": "application/octet-stream" } } : {}) });
    const what = `${method} ${target}`;
    const text = await response.text();
    assert.equal(response.status, status, `${what}: ${text.slice(0, 300)}`);
    let pointer = `#/paths/${escaped(path)}/${method.toLowerCase()}/responses/${status}`;
    if (at(pointer)?.$ref) pointer = at(pointer).$ref;
    assert.ok(at(pointer), `${what}: the contract knows no status ${status}`);
    const type = (response.headers.get("content-type") ?? "").split(";")[0];
    if (!at(pointer).content) return text;
    assert.ok(at(pointer).content[type], `${what}: the contract knows no ${type}`);
    if (type === "text/event-stream") {
      for (const [, data] of text.matchAll(/^data: (.*)$/gm)) check(`${pointer}/content/${escaped(type)}/schema`, JSON.parse(data), what);
      return text;
    }
    const value = type === "application/json" ? JSON.parse(text) : text;
    check(`${pointer}/content/${escaped(type)}/schema`, value, what);
    return value;
  }

  // Changes, until `stop` is called.
  listen() {
    const control = new AbortController();
    const seen = (async () => {
      const response = await fetch(`${this.url}/app/events`, { signal: control.signal });
      let text = "", types = [];
      try {
        for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) text += chunk;
      } catch {
        // aborted
      }
      for (const [, data] of text.matchAll(/^data: (.*)\n/gm)) {
        check("#/components/schemas/Change", JSON.parse(data), "GET /app/events");
        types.push(JSON.parse(data).type);
      }
      return types;
    })();
    asked.add("watchChanges");
    return async () => {
      control.abort();
      return seen;
    };
  }

  async all() {
    const stop = this.listen();
    const id = randomUUID(), file = randomUUID(), question = randomUUID(), answer = randomUUID(), run = randomUUID(), preset = randomUUID();
    await this.call("GET", "/app/session");
    await this.call("PATCH", "/app/settings", { json: { titles: false, options: { max_tokens: 12, temperature: 0 } } });
    await this.call("GET", "/app/settings");
    await this.call("PUT", "/app/presets/{id}", { at: { id: preset }, json: { name: "Short", options: { max_tokens: 9 } } });
    await this.call("GET", "/app/presets");
    await this.call("DELETE", "/app/presets/{id}", { at: { id: preset }, status: 204 });
    await this.call("GET", "/app/models");

    await this.call("PUT", "/app/files/{id}", { at: { id: file }, query: { name: "a.txt" }, bytes: "The door is green." });
    await this.call("GET", "/app/files/{id}", { at: { id: file } });
    await this.call("GET", "/app/files/{id}/text", { at: { id: file } });
    const other = randomUUID();
    await this.call("PUT", "/app/files/{id}", { at: { id: other }, query: { name: "b.txt" }, bytes: "words" });
    await this.call("DELETE", "/app/files/{id}", { at: { id: other }, status: 204 });
    await this.call("PUT", "/app/drafts/{key}", { at: { key: "new" }, json: { text: "Draft", file_ids: [file], updated_at: 5 } });
    await this.call("GET", "/app/drafts/{key}", { at: { key: "new" } });

    const wish = { id: run, conversation: { id }, parent_id: null, message: { id: question, content: "What colour has the door?", file_ids: [file] }, answer_id: answer };
    await this.call("POST", "/app/runs/check", { json: wish });
    await this.call("POST", "/app/runs", { json: wish, status: 201 });
    await this.call("POST", "/app/runs", { json: wish });
    await this.call("GET", "/app/runs/{id}/events", { at: { id: run } });
    await this.call("GET", "/app/runs/{id}", { at: { id: run } });
    await this.call("POST", "/app/runs/{id}/stop", { at: { id: run } });
    await this.call("GET", "/app/conversations/{id}", { at: { id } });
    await this.call("GET", "/app/conversations");
    await this.call("PATCH", "/app/conversations/{id}", { at: { id }, json: { title: "Doors", pinned: true } });
    await this.call("POST", "/app/conversations/{id}/messages", { at: { id }, json: { id: randomUUID(), parent_id: question, role: "assistant", content: "Green." }, status: 201 });
    await this.call("GET", "/app/search", { query: { q: "door" } });
    await this.call("GET", "/app/conversations/{id}/export", { at: { id }, query: { format: "json" } });
    await this.call("GET", "/app/conversations/{id}/export", { at: { id }, query: { format: "markdown" } });

    const imported = randomUUID(), name = randomUUID();
    const node = (role, text, parent, children) => ({ parent, children, message: { author: { role }, content: { content_type: "text", parts: [text] } } });
    const mapping = { a: node("user", "Q", null, ["b"]), b: node("assistant", "A", "a", []) };
    await this.call("PUT", "/app/imports/{id}", { at: { id: imported }, bytes: JSON.stringify([{ conversation_id: name, title: "Imported", mapping, current_node: "b" }]) });
    await this.call("GET", "/app/imports/{id}", { at: { id: imported } });

    await this.call("GET", "/app/usage", { query: { from: "2026-01-01", to: "2026-12-31" } });
    await this.call("POST", "/app/keys", { json: { name: "editor", limits: { concurrent: 2 } }, status: 201 });
    await this.call("GET", "/app/keys");
    await this.call("PATCH", "/app/keys/{name}", { at: { name: "editor" }, json: { limits: {} } });
    await this.call("DELETE", "/app/keys/{name}", { at: { name: "editor" } });

    await this.call("DELETE", "/app/conversations/{id}", { at: { id } });
    await this.call("POST", "/app/conversations/{id}/restore", { at: { id } });
    await this.call("POST", "/app/conversations/{id}/title", { at: { id }, status: 202 });
    const made = randomUUID();
    await this.call("POST", "/app/conversations", { json: { id: made }, status: 201 });
    await this.call("GET", "/app/export", { query: { format: "json" } });
    await this.call("DELETE", "/app/conversations");
    await this.call("GET", "/app/conversations", { query: { deleted: "true" } });
    await this.call("GET", "/app/conversations/{id}", { at: { id: randomUUID() }, status: 404 });
    const types = await stop();
    for (const type of ["conversation", "gone", "settings"]) assert.ok(types.includes(type), `a change of ${type} was told: ${types}`);
  }
}

const data = await mkdtemp(join(tmpdir(), "fathom-contract-"));
const child = spawn(fathom, ["serve", model, "--port", "0"], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, XDG_DATA_HOME: data } });
let url;
for await (const line of createInterface({ input: child.stdout })) if ((url = line.match(/http:\/\/\S+/)?.[0])) break;
const stub = await AppStub.start(".");
let passed = 0, failed = 0;
for (const [name, run] of Object.entries({
  "the server answers as the contract says": () => new Walk(url).all(),
  "and so does the stub": () => new Walk(stub.url).all(),
})) {
  try {
    await run();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}: ${error.stack.slice(0, 1500)}`);
  }
}
stub.stop();
const ended = once(child, "exit");  // it still writes what it keeps
child.kill();
await ended;
await rm(data, { recursive: true, force: true });
const left = Object.values(contract.paths).flatMap((path) => Object.values(path)).filter((operation) => operation.operationId && !operation["x-wave"] && !asked.has(operation.operationId));
console.log(`operations that were not asked for: ${left.map(({ operationId }) => operationId).join(", ") || "none"}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
