// Installs what building the page needs, unless all of it is there already in the versions of the
// lock file: a second build must work without a network.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const isForHere = (entry) =>
  (!entry.os || entry.os.includes(process.platform)) &&
  (!entry.cpu || entry.cpu.includes(process.arch));

function isInstalled([path, entry]) {
  const manifest = join(root, path, "package.json");
  return existsSync(manifest) && read(manifest).version === entry.version;
}

const needed = Object.entries(read(join(root, "package-lock.json")).packages).filter(
  ([path, entry]) => path !== "" && !entry.dev && isForHere(entry),
);
if (!needed.every(isInstalled)) {
  const npm = spawnSync("npm", ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (npm.status !== 0) {
    console.error(
      "error: npm could not install what the page is built with (its words are above). It needs " +
        "the network once; without one, configure with -DNUDGE_WITH_WEB=OFF",
    );
    process.exit(npm.status ?? 1);
  }
}
