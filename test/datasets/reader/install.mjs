// Installs hyparquet unless it is there in the version of the lock file: a second build must work
// without a network.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const read = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));
const [path, entry] = Object.entries(read("package-lock.json").packages).find(([name]) => name);
const manifest = join(path, "package.json");
if (!existsSync(join(root, manifest)) || read(manifest).version !== entry.version) {
  const npm = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (npm.status !== 0) {
    console.error("warning: npm could not install hyparquet; the tests that need it are left out");
  }
}
