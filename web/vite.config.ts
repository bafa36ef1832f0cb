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

// The service worker: the list of what it keeps is known when everything else is built.
const serviceWorker: Plugin = {
  name: "service-worker",
  apply: "build",
  async writeBundle(options) {
    const folder = options.dir!;
    const names = (await readdir(folder, { recursive: true })).filter((name) => /\.(js|css|svg|png|woff2|webmanifest)$/.test(name)).sort();
    const hash = createHash("sha256");
    for (const name of [...names, "index.html"]) hash.update(name).update(await readFile(join(folder, name)));
    const source = await readFile(fileURLToPath(new URL("service_worker.js", import.meta.url)), "utf8");
    await writeFile(join(folder, "sw.js"), source.replace("= __NAME__", `= "page-${hash.digest("hex").slice(0, 16)}"`)
      .replace("= __FILES__", `= ${JSON.stringify(["/", ...names.map((name) => `/${name}`)])}`));
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
  plugins: [woff2Only, svelte(), tailwindcss(), serviceWorker, compressed],
  resolve: { alias: { entities: fileURLToPath(new URL("src/markdown/entities.ts", import.meta.url)) } },
  worker: { format: "es" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,  // the policy allows no data: fonts
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
});
