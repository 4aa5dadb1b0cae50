// The page of dist/ in front of a running daemon, so that work on the page needs no C++ build:
// node dev/serve.mjs http://127.0.0.1:8080 [PORT]. The token in the address is the daemon's.
import { readFile } from "node:fs/promises";
import { createServer, request as ask } from "node:http";
import { connect } from "node:net";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const daemon = new URL(process.argv[2] ?? "http://127.0.0.1:8080");
const port = Number(process.argv[3] ?? 8081);
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const csp = "default-src 'self'; img-src 'self' blob:; connect-src 'self'";

// The daemon answers only to its own name.
const renamed = (headers) => ({
  ...headers, host: daemon.host, ...(headers.origin ? { origin: daemon.origin } : {}),
});

const server = createServer(async (request, response) => {
  const path = request.url === "/" ? "/index.html" : normalize(request.url.replace(/\?.*/, ""));
  try {
    const bytes = await readFile(join(root, "dist", path));
    response.writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream", "content-security-policy": csp });
    response.end(bytes);
  } catch {
    const onward = ask(daemon, { method: request.method, path: request.url, headers: renamed(request.headers) }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.writeHead(502).end());
    request.pipe(onward);
  }
});
server.on("upgrade", (request, socket) => {
  const onward = connect(Number(daemon.port || 80), daemon.hostname, () => {
    const lines = Object.entries(renamed(request.headers)).map(([name, value]) => `${name}: ${value}`);
    onward.write(`GET ${request.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    onward.pipe(socket).pipe(onward);
  });
  for (const end of [socket, onward]) end.setNoDelay(true).on("error", () => (socket.destroy(), onward.destroy()));
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/ in front of ${daemon.origin}`));
