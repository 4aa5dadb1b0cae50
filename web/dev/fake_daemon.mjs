// The far side of the seam, for work on the page only: speaks docs/reference/supervisor-port.md with
// a made-up robot. node dev/fake_daemon.mjs [PORT] [ROBOT], ROBOT: kitchen, turning or joints. GET
// /dev/set?recording=0 and the like change what it claims; holder=Anna lets somebody else drive,
// asker=Ben asks whoever drives, help=why asks for a person, revoke=1 ends all access. The pairing code
// is K7QF-2M9X.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";
import { episodeOf, gate, learning, phrases, pictureOf, understand } from "./fake_past.mjs";
import { picture } from "./picture.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const port = Number(process.argv[2] ?? 8090);
const roles = { view: "viewer", supervise: "supervisor", dev: "engineer" };
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png", ".webmanifest": "application/manifest+json" };
const csp = "default-src 'self'; img-src 'self' blob:; connect-src 'self'";

const channel = (name, unit, bound) => ({ name, unit, lower: -bound, upper: bound });
const tool = ["x", "y", "z"].map((axis) => channel(`tool_${axis}`, "m/s", 0.25));
const actions = {
  kitchen: [...tool, channel("gripper", "m/s", 0.2)],
  turning: [...tool, ...["roll", "pitch", "yaw"].map((axis) => channel(`tool_${axis}`, "rad/s", 1)), channel("gripper", "m/s", 0.2)],
  joints: [...["shoulder_pan", "shoulder_lift", "elbow", "wrist_flex", "wrist_roll"].map((name) => channel(name, "rad/s", 1)), channel("gripper", "m/s", 0.2)],
};
const kind = process.argv[3] ?? "kitchen";
const robot = {
  id: kind, control_period_ms: 20, policy_period_ms: 100,
  action: actions[kind],
  proprioception: [channel("tool_x", "m", 0.6)],
  cameras: [{ name: "front", width: 256, height: 256 }, { name: "wrist", width: 256, height: 256 }],
};

const why = {
  boot: "The robot has just started. Press Start when the scene is clear.",
  dead_man_released: "You let go. Touch a stick to go on, or hand back.",
  hold_asked: "Somebody asked the robot to hold.", stopped: "STOP was pressed. Reset it when the scene is safe.",
  stop_reset: "STOP was reset. Press Start when the scene is clear.", released: "Control was released.",
  command_stale: "The link to the driver was lost.", takeover_timeout: "Nobody drove within 10 s.",
  robot_stale: "The robot has not answered for 0.2 s.", fault_reset: "The fault was reset. Press Start when the scene is clear.",
};

let connections = 0;
let sequence = 800;
const world = {
  tick: 1000, state: "HOLD", why: "boot", since: 0, epoch: 3, holder: undefined, alive: 0, jog: undefined,
  proposed: [0, 0, 0, 0], executed: [0, 0, 0, 0], tool: { x: 0.4, y: 0, z: 0.25 }, open: 0.04,
  block: { x: 0.45, y: 0.1, z: 0.02 }, recording: true, learning: "idle", trouble: "", freeze: false, silent: false,
  help: "", helpSince: 0, helpId: 0, speed: 1,
  episode: 61, started: 0, steps: 0, takeovers: 0, human: 0, instruction: "lift the red block", done: 0,
};
const versions = [];
for (let v = 1; v <= 14; v += 1) {
  const full = v < 3 || v % 3 === 0;
  const parent = v === 1 ? 0 : full ? [...versions].reverse().find((each) => each.kind === "full").version : v - 1;
  versions.push({
    version: v, parent, kind: full ? "full" : "provisional", was_live: v !== 13, accepted_ms: Date.now() - (15 - v) * 41_000,
    state: v === 9 ? "rolled_back" : full && v < 12 ? "confirmed" : "accepted", reason: v === 9 ? "takeovers" : "", gate: gate(v),
    train_seconds: full ? 8.4 : 1.6, corrections: { episodes: v + 2, steps: 20 + v * 17 }, loss: 0.03 / v + 0.006,
  });
}
let live = 14;
let confirmed = 6;
const rows = [];
let seed = 7;
const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
for (let id = 1; id <= 60; id += 1) {
  const skill = Math.min(0.95, 0.45 + id * 0.012);
  const helped = random() > skill;
  const steps = 35 + Math.floor(random() * 50);
  rows.push({
    id, purpose: "deployment", outcome: random() < skill + 0.05 ? "success" : id % 17 === 0 ? "discard" : "failure", driver: helped ? "mixed" : "policy", steps,
    human_steps: helped ? 6 + Math.floor(random() * 9) : 0, takeovers: helped ? 1 : 0, human_seconds: helped ? 1.1 : 0,
    seconds: steps / 10, weights: Math.min(14, 1 + Math.floor(id / 4.5)),
    takeover_after_s: helped ? steps * 0.045 : null, instruction: "lift the red block", started_ms: Date.now() - (70 - id) * 61_000,
  });
}

const past = new Map(); // made when somebody looks
const said = new Map(); // id of the words -> { by, until, understood, before }
let lastWords = ["lift the red block", "a bit lower"];
function episode(id) {
  if (id === world.episode) return episodeNow();
  const row = rows.find((each) => each.id === id);
  if (row === undefined) return undefined;
  if (!past.has(id)) past.set(id, episodeOf(row));
  return { ...past.get(id), outcome: row.outcome };
}
const nowSteps = { source: [], weights: [], seconds: [], proposed: [], executed: [], clamped: [] };
function noteStep() {
  nowSteps.source.push(world.state === "HUMAN" ? "human" : "policy");
  nowSteps.weights.push(live);
  nowSteps.seconds.push(nowSteps.seconds.length / 10);
  nowSteps.proposed.push(world.proposed);
  nowSteps.executed.push(world.executed);
  nowSteps.clamped.push(false);
}
const episodeNow = () => ({
  id: world.episode, purpose: "deployment", outcome: "none", instruction: world.instruction, steps: nowSteps.source.length,
  seconds: nowSteps.source.length / 10, policy_period_ms: 100, started_ms: world.started, ended: false, recorded: true, spans: [], discarded: [], lost: [],
  cameras: robot.cameras, events: [], step: nowSteps,
});

const clients = new Set();
const say = (client, message) => client.socket.readyState === 1 && client.socket.send(JSON.stringify(message));
const all = (message) => clients.forEach((client) => say(client, message));
function event(kind, actor, data = {}) {
  sequence += 1;
  all({ type: "event", sequence, kind, episode: world.episode, step: world.steps, wall_ms: Date.now(), actor: { name: actor.name, role: actor.role }, data });
}
const nudge = { name: "nudge", role: "script" };
function go(state, cause, actor = nudge) {
  if (world.state === state) return;
  event("authority_changed", actor, { from: world.state, to: state, cause });
  Object.assign(world, { state, why: cause, since: Date.now() });
}
const wilson = (s, n) => {
  if (n === 0) return { low: 0, high: 1 };
  const p = s / n, z = 1.96, m = p + (z * z) / (2 * n), w = z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return { low: (m - w) / (1 + (z * z) / n), high: (m + w) / (1 + (z * z) / n) };
};
function curves() {
  const last = rows.filter((row) => row.outcome === "success" || row.outcome === "failure").slice(-20);
  const successes = last.filter((row) => row.outcome === "success").length;
  return { type: "curves", episodes: rows.slice(-200), success: { of: last.length, successes, ...wilson(successes, last.length) } };
}
const weights = () => ({ type: "weights", live, confirmed, versions: [...versions].reverse() });

function status(client) {
  return {
    type: "status", tick: world.tick, state: world.state, why: world.why, why_text: world.state === "AUTO" ? "" : why[world.why] ?? "",
    lease: { epoch: world.epoch, holder: world.holder && { name: world.holder.name, role: world.holder.role }, mine: world.holder === client },
    source: world.state === "HUMAN" ? "human" : world.state === "AUTO" ? "policy" : "hold",
    proposed: world.proposed, requested: world.jog?.action ?? [], executed: world.executed, clamped: false, proprioception: [world.tool.x, world.tool.y, world.tool.z, world.open],
    episode: {
      id: world.episode, step: world.steps, autonomous: world.steps, limit: 100, seconds: world.started ? (Date.now() - world.started) / 1000 : 0,
      instruction: world.instruction, takeovers: world.takeovers, human_seconds: world.human,
    },
    weights: { playing: live, live, kind: "provisional", confirmed },
    learning: { state: world.learning, detail: world.learning === "paused" ? "Two versions in a row were rolled back." : "", round: world.learning === "training" ? "full" : "", done: world.done, total: world.learning === "training" ? 1000 : 0 },
    recording: world.recording, robot_age_ms: 3.1, robot_trouble: world.trouble, caution: "", alarm: "", missed_ticks: 0, lost_steps: 0, refused_commands: 0, viewers: clients.size,
    speed: world.speed, uncertainty: world.help ? 0.82 : 0.1,
    help: world.help ? { id: world.helpId, why: world.help, reason: "disagreement", score: 0.82, since_s: (Date.now() - world.helpSince) / 1000 } : null,
  };
}

const known = new Map();
function answer(client, message) {
  const ack = (more = {}) => ({ type: "ack", id: message.id, ok: true, code: "ok", message: "", echo: "", epoch: 0, holder: "", ...more });
  const no = (code, text, holder = "") => ack({ ok: false, code, message: text, holder });
  const rank = { viewer: 0, script: 1, supervisor: 2, engineer: 3 };
  if (message.type === "stop") {
    world.holder = undefined;
    go("ESTOP", "stopped", client);
    event("stopped", client);
    return ack();
  }
  if (message.type !== "hold" && rank[client.role] < 2) return no("permission_denied", "a viewer may look, and press STOP; ask an engineer for the supervisor's role");
  switch (message.type) {
    case "takeover":
      if (world.state === "ESTOP" || world.state === "FAULT_HOLD") return no("failed_precondition", `${world.state} has to be reset before taking over`);
      if (world.holder !== undefined && world.holder !== client) return no("failed_precondition", "busy", world.holder.name);
      if (!(world.holder === client && (world.state === "HUMAN" || world.state === "TAKEOVER"))) {
        world.epoch += 1;
        world.holder = client;
        world.jog = undefined;
        world.takeovers += 1;
        world.help = "";
        go("TAKEOVER", "takeover_asked", client);
      }
      world.alive = Date.now();
      return ack({ epoch: world.epoch });
    case "ask_to_drive":
      if (world.holder === undefined) return no("failed_precondition", "nobody drives: take over");
      if (world.holder.socket) say(world.holder, { type: "asked_to_drive", by: { name: client.name, role: client.role } });
      return ack();
    case "decline_help":
      world.help = "";
      return ack();
    case "release":
      if (world.holder !== client) return no("failed_precondition", "there is nothing to release");
      world.holder = undefined;
      go("HOLD", "released", client);
      return ack();
    case "hand_back":
      if (world.state === "ESTOP" || world.state === "FAULT_HOLD") return no("failed_precondition", `${world.state} has to be reset before handing back`);
      if (world.holder !== undefined && world.holder !== client) return no("failed_precondition", "busy", world.holder.name);
      world.holder = undefined;
      if (!world.started) world.started = Date.now();
      go("HOLD", "hand_back_asked", client);
      go("HANDBACK", "hand_back_asked", client);
      return ack();
    case "hold":
      if (world.holder !== client) world.holder = undefined;
      go("HOLD", "hold_asked", client);
      return ack();
    case "reset_stop":
      if (world.state !== "ESTOP") return no("failed_precondition", "there is no STOP to reset");
      go("HOLD", "stop_reset", client);
      return ack();
    case "reset_fault":
      go("HOLD", "fault_reset", client);
      return ack();
    case "words": {
      const it = understand(message.text, message.meant, world.state);
      said.set(message.id, { by: client, until: Date.now() + 10_000, it, before: world.instruction });
      if (it.use === "instruction") world.instruction = message.text;
      if (it.use === "hold") go("HOLD", "hold_asked", client);
      event("words", client, { text: message.text, use: it.use, understood_as: it.as });
      lastWords = [message.text, ...lastWords.filter((each) => each !== message.text)].slice(0, 5);
      all(phrases(lastWords));
      return ack({ echo: it.use === "not_understood" ? "not understood" : `understood as: ${it.as}`, words: it });
    }
    case "confirm_words": {
      const it = said.get(message.words);
      if (it === undefined || it.by !== client || Date.now() > it.until || !it.it.confirm) return no("failed_precondition", "there is nothing to confirm any more");
      it.it = { ...it.it, confirm: false, acted: true, undo: true };
      return ack({ words: it.it });
    }
    case "undo_words": {
      const it = said.get(message.words);
      if (it === undefined || !it.it.undo) return no("failed_precondition", "this cannot be taken back any more");
      if (it.it.use === "instruction") world.instruction = it.before;
      it.it = { ...it.it, undo: false };
      event("words_undone", client, { words: message.words });
      return ack({ words: it.it });
    }
    case "split": {
      const span = [...past.values()].flatMap((each) => each.spans).find((each) => each.id === message.span);
      if (span === undefined) return no("not_found", `there is no span ${message.span}`);
      if (message.step < span.first_step || message.step > span.last_step) return no("invalid_argument", "the step is not in the span");
      span.correction_from = message.step;
      return ack();
    }
    case "label": {
      const row = message.episode === 0 ? rows.at(-1) : rows.find((each) => each.id === message.episode);
      if (row === undefined) return no("not_found", `there is no episode ${message.episode}`);
      if (message.span > 0) {
        const span = past.get(row.id)?.spans.find((each) => each.id === message.span);
        if (span === undefined) return no("not_found", `there is no span ${message.span}`);
        span.label = message.value;
        event("label", client, { episode: row.id, span: message.span, value: message.value });
        return ack();
      }
      row.outcome = message.value;
      event("label", client, { episode: row.id, span: 0, value: message.value });
      all(curves());
      return ack();
    }
    case "undo":
      event("steps_discarded", client, { episode: world.episode, first_step: Math.max(0, world.steps - 30), last_step: world.steps });
      return ack();
    case "roll_back":
      if (live === confirmed) return no("failed_precondition", `version ${confirmed} is live and confirmed; there is nothing to roll back to`);
      event("weights_rolled_back", client, { from: live, to: confirmed, reason: "by_hand" });
      Object.assign(versions.find((each) => each.version === live), { state: "rolled_back", reason: "by_hand" });
      live = confirmed;
      all(weights());
      return ack();
    case "promote":
      confirmed = live = message.version;
      versions.find((each) => each.version === live).state = "confirmed";
      all(weights());
      return ack();
    case "resume_learning":
      world.learning = "idle";
      return ack();
    default:
      return no("invalid_argument", `no message of type ${message.type}`);
  }
}

function receive(client, text) {
  const message = JSON.parse(text);
  switch (message.type) {
    case "ping": return say(client, { type: "pong", sent: message.sent, daemon_ms: performance.now() });
    case "frames":
      client.wanted = message.cameras.map((name) => robot.cameras.findIndex((each) => each.name === name));
      client.flight = new Map();
      return undefined;
    case "frame_seen": return client.flight.delete(message.camera);
    case "jog":
      if (world.holder !== client || message.epoch !== world.epoch || message.sequence <= (world.jog?.sequence ?? 0)) return undefined;
      world.jog = message;
      world.alive = Date.now();
      if (!message.dead_man && world.state === "HUMAN") go("HOLD", "dead_man_released", client);
      return undefined;
    default: {
      if (!known.has(message.id)) known.set(message.id, answer(client, message));
      return setTimeout(() => say(client, known.get(message.id)), 8);
    }
  }
}

setInterval(() => {
  const now = Date.now();
  world.tick += 1;
  const t = now / 1000;
  const target = { x: 0.4 + 0.1 * Math.sin(t * 0.7), y: 0.16 * Math.sin(t * 0.9), z: 0.18 + 0.1 * Math.sin(t * 0.53) };
  const want = ["x", "y", "z"].map((axis) => Math.max(-1, Math.min(1, (target[axis] - world.tool[axis]) * 9)));
  const others = robot.action.slice(3, -1).map((_channel, index) => 0.7 * Math.sin(t * (1 + index) + index));
  world.proposed = [...want, ...others, Math.sin(t) > 0 ? 0.6 : -0.6];
  world.executed = robot.action.map(() => 0);
  // Looser than the daemon's own timers: this one shares a computer with compilers.
  if (world.state === "HUMAN" && world.holder?.socket && now - world.alive > 1000) go("HOLD", "command_stale");
  if (world.state === "HOLD" && world.holder?.socket && now - world.alive > 2000) world.holder = undefined;
  if (world.state === "TAKEOVER" && world.jog?.dead_man && now - world.since > 250) go("HUMAN", "driving", world.holder);
  if (world.state === "TAKEOVER" && now - world.since > 10000) go("HOLD", "takeover_timeout");
  if (world.state === "HANDBACK" && now - world.since > 600) go("AUTO", "policy_ready");
  if (world.state === "AUTO") world.executed = world.proposed;
  if (world.state === "HUMAN") {
    world.executed = world.jog?.action ?? world.proposed;
    world.human += 0.02;
  }
  ["x", "y", "z"].forEach((axis, index) => (world.tool[axis] += world.executed[index] * 0.25 * 0.02));
  world.tool.z = Math.max(0.02, Math.min(0.4, world.tool.z));
  world.open = Math.max(0, Math.min(0.08, world.open + world.executed.at(-1) * 0.004));
  if ((world.state === "AUTO" || world.state === "HUMAN") && world.tick % 5 === 0) {
    world.steps += 1;
    noteStep();
  }
  if (world.steps > 90) {
    rows.push({ id: world.episode, purpose: "deployment", outcome: "success", driver: world.takeovers ? "mixed" : "policy", steps: world.steps, human_steps: Math.round(world.human * 10), takeovers: world.takeovers, human_seconds: world.human, seconds: (now - world.started) / 1000, weights: live });
    event("episode_ended", nudge, { reason: 0, steps: world.steps });
    world.episode += 1;
    event("episode_started", nudge);
    Object.values(nowSteps).forEach((each) => (each.length = 0));
    Object.assign(world, { steps: 0, takeovers: 0, human: 0, started: now });
    all(curves());
  }
  if (world.learning === "training") world.done = (world.done + 7) % 1000;
}, 20);
setInterval(() => !world.silent && clients.forEach((client) => say(client, status(client))), 50);

const counts = [0, 0];
setInterval(() => {
  if (world.freeze || clients.size === 0) return;
  robot.cameras.forEach((_camera, index) => {
    const jpeg = picture(index, world.tool, world.block, world.open);
    counts[index] += 1;
    const header = Buffer.alloc(24);
    header.writeUInt16LE(index, 0);
    header.writeUInt16LE(1, 2);
    header.writeUInt32LE(counts[index], 4);
    header.writeBigUInt64LE(process.hrtime.bigint(), 8);
    header.writeUInt16LE(256, 16);
    header.writeUInt16LE(256, 18);
    header.writeUInt32LE(4000, 20);
    const bytes = Buffer.concat([header, jpeg]);
    clients.forEach((client) => {
      if (!client.wanted.includes(index) || client.flight.has(index)) return;
      client.flight.set(index, counts[index]);
      client.socket.send(bytes);
    });
  });
}, 100);

const tokenOf = (text) => roles[/nudge\.token\.(\w+)/.exec(text)?.[1] ?? /Bearer (\w+)/.exec(text)?.[1] ?? ""];
const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://here");
  if (url.pathname === "/dev/set") {
    for (const [key, value] of url.searchParams) world[key] = /^[01]$/.test(value) ? value === "1" : value;
    world.speed = Number(world.speed);
    if (url.searchParams.get("help")) Object.assign(world, { helpId: world.helpId + 1, helpSince: Date.now() });
    if (url.searchParams.has("holder")) {
      world.holder = world.holder ? { name: `${world.holder}#9`, role: "supervisor" } : undefined;
      world.jog = undefined;
      world.state = world.holder ? "HUMAN" : "HOLD";
    }
    if (url.searchParams.has("asker") && world.holder?.socket) say(world.holder, { type: "asked_to_drive", by: { name: `${world.asker}#7`, role: "supervisor" } });
    if (url.searchParams.has("revoke")) {
      delete roles.paired;
      clients.forEach((client) => client.socket.close(4401, "revoked"));
    }
    if (url.searchParams.has("drop")) clients.forEach((client) => client.socket.terminate());
    return response.end("ok\n");
  }
  if (url.pathname === "/api/v1/pair" || url.pathname === "/api/v1/token") {
    let body = "";
    for await (const part of request) body += part;
    const { code, refresh } = JSON.parse(body);
    const good = code === "K7QF-2M9X" || (refresh !== undefined && roles.paired !== undefined);
    if (!good) return response.writeHead(refresh === undefined ? 403 : 401, { "content-type": "application/problem+json" }).end("{}");
    roles.paired = "supervisor";
    return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({
      token: "paired", refresh: `r${Math.random()}`, role: "supervisor", name: "tablet", robot: robot.id, expires_ms: Date.now() + 900_000, life_ms: 900_000 }));
  }
  if (url.pathname.startsWith("/api/")) {
    const role = tokenOf(request.headers.authorization ?? "");
    if (role === undefined) return response.writeHead(401).end("{}");
    if (url.pathname === "/api/v1/episodes") return response.end(JSON.stringify({ episodes: rows }));
    if (url.pathname === "/api/v1/weights") return response.end(JSON.stringify(weights()));
    if (url.pathname === "/api/v1/robot") return response.end(JSON.stringify(robot));
    const frame = /^\/api\/v1\/episodes\/(\d+)\/frames\/(\w+)\/(\d+)$/.exec(url.pathname);
    const one = frame ?? /^\/api\/v1\/episodes\/(\d+)$/.exec(url.pathname);
    if (one !== null) {
      const it = episode(Number(one[1]));
      if (it === undefined || (frame && Number(frame[3]) >= it.steps)) return response.writeHead(404).end("{}");
      if (frame) return response.writeHead(200, { "content-type": "image/jpeg", "cache-control": "private, immutable, max-age=86400" }).end(pictureOf(frame[2], Number(frame[3]), it.steps));
      return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(it));
    }
    if (request.method !== "POST") return response.end(JSON.stringify(status()));
    let body = "";
    for await (const part of request) body += part;
    const message = JSON.parse(body);
    if (!known.has(message.id)) known.set(message.id, answer({ name: "rest", role }, message));
    return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(known.get(message.id)));
  }
  const path = url.pathname === "/" ? "/index.html" : normalize(url.pathname);
  try {
    const bytes = await readFile(join(root, "dist", path));
    response.writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream", "content-security-policy": csp }).end(bytes);
  } catch {
    response.writeHead(404).end();
  }
  return undefined;
});
const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => "nudge.v1" });
server.on("upgrade", (request, socket, head) => {
  const role = tokenOf(request.headers["sec-websocket-protocol"] ?? "");
  if (role === undefined || world.refuse) return socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
  return sockets.handleUpgrade(request, socket, head, (live_) => {
    connections += 1;
    const name = `${new URL(request.url, "http://here").searchParams.get("name")}#${connections}`;
    const client = { socket: live_, name, role, wanted: [], flight: new Map() };
    say(client, { type: "hello", protocol: 1, program: "nudge 0.1.0", boot: "boot-fake", you: { name, role, device: "d1" }, secure: false, robot, fresh_ms: 200 });
    say(client, curves());
    say(client, weights());
    say(client, learning(rows));
    say(client, phrases(lastWords));
    clients.add(client);
    live_.on("message", (data) => receive(client, data.toString()));
    live_.on("close", () => clients.delete(client));
  });
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/#token=dev`));
