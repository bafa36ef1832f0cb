// The page's build: hashed names under assets/, and beside each text file its gzip and brotli forms, which the program
// carries and serves as they are.
import { createHash } from "node:crypto";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import tailwindcss from "@tailwindcss/vite";
import { defineConfig, type Plugin } from "vite";

// KaTeX names three formats of each font; every browser that runs this page reads the first.
const woff2Only: Plugin = {
  name: "woff2-only",
  enforce: "pre",
  transform(code, id) {
    if (!id.includes("katex.min.css")) return null;
    return code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("(?:woff|truetype)"\)/g, "");
  },
};

// The service worker: the list of what it keeps is known when everything else is built. Readers of PDFs, which are larger
// than all else together and need the server anyway, it does not.
const serviceWorker: Plugin = {
  name: "service-worker",
  apply: "build",
  async writeBundle(options) {
    const folder = options.dir!;
    const names = (await readdir(folder, { recursive: true })).filter((name) => /\.(js|css|svg|png|woff2|webmanifest)$/.test(name) && !/\/pdf[-.]/.test(name)).sort();
    const hash = createHash("sha256");
    for (const name of [...names, "index.html"]) hash.update(name).update(await readFile(join(folder, name)));
    const source = await readFile(fileURLToPath(new URL("service_worker.js", import.meta.url)), "utf8");
    await writeFile(join(folder, "sw.js"), source.replace("= __NAME__", `= "page-${hash.digest("hex").slice(0, 16)}"`)
      .replace("= __FILES__", `= ${JSON.stringify(["/", ...names.map((name) => `/${name}`)])}`));
  },
};

// PDFs may name the encodings of their Chinese, Japanese and Korean text, whose tables pdf.js fetches when it meets one.
// (No PDF names those of UTF-8 and UTF-32.)
const pdfEncodings: Plugin = {
  name: "pdf-encodings",
  apply: "build",
  async generateBundle() {
    const folder = fileURLToPath(new URL("node_modules/pdfjs-dist", import.meta.url));
    const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string };
    for (const name of await readdir(join(folder, "cmaps"))) {
      if (/UTF8|UTF32/.test(name)) continue;
      const fileName = `assets/cmaps-${version}/${name === "LICENSE" ? "LICENSE.txt" : name}`;
      this.emitFile({ type: "asset", fileName, source: await readFile(join(folder, "cmaps", name)) });
    }
  },
};

const compressed: Plugin = {
  name: "compressed",
  apply: "build",
  writeBundle: { order: "post", sequential: true, async handler(options) {
    const folder = options.dir!;
    for (const name of await readdir(folder, { recursive: true })) {
      if (!/\.(js|css|html|svg|webmanifest)$/.test(name)) continue;
      const path = join(folder, name);
      const content = await readFile(path);
      await writeFile(`${path}.gz`, gzipSync(content, { level: 9 }));
      await writeFile(`${path}.br`, brotliCompressSync(content, {
        params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length },
      }));
    }
  } },
};

export default defineConfig({
  plugins: [woff2Only, svelte(), tailwindcss(), pdfEncodings, serviceWorker, compressed],
  resolve: { alias: { entities: fileURLToPath(new URL("src/markdown/entities.ts", import.meta.url)) } },
  worker: { format: "es" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,  // the policy allows no data: fonts
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
  },
});
