// What the page weighs and how fast it is, against a running daemon, as JSON:
//
//   NUDGE_PROGRAM=build/release/nudge NUDGE_STATE=folder node dev/figures.mjs [SECONDS]
//
// or with NUDGE_BASE and NUDGE_TOKEN, as for the tests (e2e/page.mjs). The robot is held and driven for
// a moment: not with a real robot that somebody stands beside.
//
// How: weight from the files as served, each packed by gzip -9 in the second number. Time until the page
// can be used, from the start of navigation until STOP is there, until the link is open, and until each
// camera has a picture. Round trip of a ping, and of a command from its sending to the first status
// that shows it, over a WebSocket of this script's own. Glass to glass: from `captured_ns` of a frame
// to the moment after its drawing when the page acknowledges it, on the daemon's clock, which is
// found from the pings with the shortest round trip, half of it taken for each way; no part of it is
// the camera's own exposure or the screen's. Frames a second: acknowledged by each of three pages.
import { loadavg, cpus } from "node:os";
import { gzipSync } from "node:zlib";
import WebSocket from "ws";
import { Robot, Visitor, findDaemon, launch, wait } from "../e2e/page.mjs";

const seconds = Number(process.argv[2] ?? 10);
const round = (value, digits = 1) => Number(value.toFixed(digits));
function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share) => (sorted.length === 0 ? null : round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]));
  return { n: sorted.length, p50: at(0.5), p95: at(0.95), max: at(1) };
}

const daemon = await findDaemon();
const robot = new Robot(daemon);

async function weight() {
  const names = ["/", "/page.js", "/page.css", "/icon.svg", "/page.webmanifest"];
  let raw = 0;
  let packed = 0;
  for (const name of names) {
    const bytes = Buffer.from(await (await fetch(`${daemon.base}${name}`)).arrayBuffer());
    raw += bytes.length;
    packed += gzipSync(bytes, { level: 9 }).length;
  }
  return { files: names.length, raw_kB: round(raw / 1000), gzip_kB: round(packed / 1000) };
}

async function roundTrips() {
  const socket = new WebSocket(`${daemon.base.replace("http", "ws")}/api/v1/live?name=figures`, ["nudge.v1", `nudge.token.${daemon.token}`],
    { headers: { origin: daemon.base } });
  const seen = { status: undefined, waiting: new Map(), pings: [], commands: [], pong: undefined };
  socket.on("message", (data, binary) => {
    if (binary) return;
    const message = JSON.parse(data.toString());
    if (message.type === "pong") seen.pong?.(performance.now() - message.sent);
    if (message.type === "ack") seen.waiting.get(message.id)?.(message);
    if (message.type === "status") {
      seen.status = message;
      seen.onStatus?.(message);
    }
  });
  await new Promise((open) => socket.once("open", open));
  for (let ping = 0; ping < 200; ping += 1) {
    const back = new Promise((done) => (seen.pong = done));
    socket.send(JSON.stringify({ type: "ping", sent: performance.now() }));
    seen.pings.push(await back);
    await wait(10);
  }
  await robot.settle();
  const act = (type) => new Promise((done) => {
    const id = `figures-${Date.now()}-${type}`;
    seen.waiting.set(id, done);
    socket.send(JSON.stringify({ type, id }));
  });
  const { epoch } = await act("takeover");
  const width = (await robot.get("/api/v1/robot")).action.length;
  let action = Array(width).fill(0);
  let sequence = 0;
  const jog = () => socket.send(JSON.stringify({ type: "jog", epoch, sequence: sequence += 1, tick: seen.status?.tick ?? 0, dead_man: true, action }));
  const pace = setInterval(jog, 33);
  const drives = async () => {
    for (let look = 0; look < 100 && seen.status?.state !== "HUMAN"; look += 1) await wait(20);
    return seen.status?.state === "HUMAN";
  };
  for (let turn = 0; turn < 30 && (await drives()); turn += 1) {
    action = Array(width).fill(0);
    action[0] = turn % 2 === 0 ? 0.4 : -0.4;
    const sent = performance.now();
    const shown = new Promise((done) => {
      seen.onStatus = (status) => Math.sign(status.requested[0] ?? 0) === Math.sign(action[0]) && done(true);
    });
    jog();
    if (await Promise.race([shown, wait(2000)])) seen.commands.push(performance.now() - sent);
    await wait(60);
  }
  clearInterval(pace);
  await act("release");
  socket.close();
  return { ping_ms: spread(seen.pings), command_until_status_shows_it_ms: spread(seen.commands), status_period_ms: 50 };
}

// Listens to the page's own socket: when frames are acknowledged, and what the clocks say.
const listen = () => {
  const seen = (window.figures = { frames: new Map(), drawn: [], best: Infinity, offset: 0 });
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function heard(data) {
    if (typeof data === "string" && data.includes('"frame_seen"')) {
      const { camera, sequence } = JSON.parse(data);
      const captured = seen.frames.get(`${camera} ${sequence}`);
      if (captured !== undefined) seen.drawn.push({ at: performance.now(), captured, camera });
    }
    return send.call(this, data);
  };
  const Native = WebSocket;
  window.WebSocket = class extends Native {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        const now = performance.now();
        if (typeof data === "string") {
          if (!data.includes('"pong"')) return;
          const { sent, daemon_ms: there } = JSON.parse(data);
          if (now - sent < seen.best) Object.assign(seen, { best: now - sent, offset: there - (sent + now) / 2 });
        } else {
          const view = new DataView(data);
          seen.frames.set(`${view.getUint16(0, true)} ${view.getUint32(4, true)}`, Number(view.getBigUint64(8, true)) / 1e6);
        }
      });
    }
  };
};

const browser = await launch();
async function loading() {
  const found = { stop: [], link: [], pictures: [] };
  for (let turn = 0; turn < 5; turn += 1) {
    const began = performance.now();
    const visitor = await Visitor.open(browser, daemon);
    await visitor.page.waitForSelector(".stop");
    found.stop.push(performance.now() - began);
    await visitor.page.waitForSelector(".chip.link:not(.bad)");
    found.link.push(performance.now() - began);
    await visitor.page.waitForFunction(() => [...document.querySelectorAll(".camera")].every((each) => each.dataset.age !== "none"));
    found.pictures.push(performance.now() - began);
    await visitor.close();
  }
  return { until_stop_is_there_ms: spread(found.stop), until_the_link_is_open_ms: spread(found.link), until_every_camera_has_a_picture_ms: spread(found.pictures) };
}

async function pictures(viewers) {
  const visitors = [];
  for (let each = 0; each < viewers; each += 1) {
    const visitor = await Visitor.open(browser, daemon, { script: listen });
    await visitor.ready();
    visitors.push(visitor);
  }
  await wait(2000);
  for (const { page } of visitors) await page.evaluate(() => (window.figures.drawn.length = 0));
  await wait(1000 * seconds);
  const all = await Promise.all(visitors.map(({ page }) => page.evaluate(() => {
    const { drawn, offset, best } = window.figures;
    return { best, drawn: drawn.map(({ at, captured, camera }) => ({ camera, age: at + offset - captured })) };
  })));
  for (const visitor of visitors) await visitor.close();
  const cameras = new Set(all.flatMap(({ drawn }) => drawn.map((each) => each.camera))).size;
  return {
    viewers, cameras, glass_to_glass_ms: spread(all.flatMap(({ drawn }) => drawn.map((each) => each.age))),
    clock_known_to_ms: round(Math.max(...all.map(({ best }) => best)) / 2),
    frames_a_second_of_each_camera: all.map(({ drawn }) => round(drawn.length / cameras / seconds)),
  };
}

const figures = {
  when: new Date().toISOString(), cores: cpus().length, load: loadavg().map((each) => round(each)), browser: browser.version(),
  weight: await weight(),
  loading: await loading(),
  round_trip: await roundTrips(),
  one_viewer: await pictures(1),
  three_viewers: await pictures(3),
  load_at_the_end: loadavg().map((each) => round(each)),
};
console.log(JSON.stringify(figures, undefined, 2));
await browser.close();
await daemon.end();
