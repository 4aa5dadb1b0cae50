// Bundles the page: node scripts/build.mjs [FOLDER], by default dist/.
import { build } from "esbuild";
import { copyFile, mkdir, readFile, readdir, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = resolve(process.argv[2] ?? join(root, "dist"));

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
await build({
  absWorkingDir: root,
  entryPoints: { page: "src/main.tsx" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2020", "safari14", "firefox90", "chrome90"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  logLevel: "warning",
});
for (const name of await readdir(join(root, "public"))) {
  await copyFile(join(root, "public", name), join(out, name));
}

let plain = 0;
let packed = 0;
for (const name of await readdir(out)) {
  const bytes = await readFile(join(out, name));
  plain += bytes.length;
  packed += gzipSync(bytes).length;
}
console.log(`page: ${(plain / 1024).toFixed(0)} KiB, ${(packed / 1024).toFixed(0)} KiB as gzip`);
