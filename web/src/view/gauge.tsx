// What the policy wanted beside what was done, in a corner of the large picture: a hollow arrow and a
// full one, in the directions in which the person sees the robot, and a bar for everything else.
import type { JSX } from "preact";
import { controlsOf, wishOf } from "../drive/jog";
import type { Wish } from "../drive/jog";
import { useShown } from "./seat";

const reach = 52;

function Arrow(props: { wish: Wish | undefined; kind: "wanted" | "done" }): JSX.Element | null {
  if (props.wish === undefined) return null;
  const x = props.wish.right * reach;
  const y = -props.wish.away * reach;
  const length = Math.hypot(x, y);
  if (length < 2) return <circle class={props.kind} r={props.kind === "wanted" ? 7 : 4} />;
  const head = Math.min(15, length);
  const back = 1 - head / length;
  const sideX = (-y / length) * head * 0.6;
  const sideY = (x / length) * head * 0.6;
  const points = `${x},${y} ${x * back + sideX},${y * back + sideY} ${x * back - sideX},${y * back - sideY}`;
  return (
    <g class={props.kind}>
      <line x2={x * back} y2={y * back} />
      <polygon points={points} />
    </g>
  );
}

interface BarOf {
  above: string;
  below: string;
  value: (wish: Wish) => number;
}

function Bar(props: { at: number; bar: BarOf; wanted: Wish | undefined; done: Wish | undefined }): JSX.Element {
  const half = reach - 6;
  const { bar, wanted, done } = props;
  const doneAt = done === undefined ? 0 : bar.value(done);
  return (
    <g transform={`translate(${props.at} 0)`}>
      <rect class="track" x="-7" y={-half} width="14" height={2 * half} rx="7" />
      <path class="middle" d="M-7 0H7" />
      <rect class="done" x="-4" y={Math.min(0, -doneAt * half)} width="8" height={Math.abs(doneAt) * half} rx="3" />
      {wanted !== undefined && <path class="wanted line-at" d={`M-11 ${-bar.value(wanted) * half}H11`} />}
      <text y={-half - 6}>{bar.above}</text>
      <text y={half + 15}>{bar.below}</text>
    </g>
  );
}

export function Gauge(): JSX.Element {
  const { channels, proposed, executed, viewpoint, mine, human } = useShown((state) => ({
    channels: state.hello?.robot.action ?? [], proposed: state.status?.proposed ?? [],
    executed: state.status?.executed ?? [], viewpoint: state.viewpoint,
    mine: state.status?.lease.mine ?? false, human: state.status?.source === "human",
  }));
  const controls = controlsOf(channels);
  const wanted = wishOf(channels, proposed, viewpoint);
  const done = wishOf(channels, executed, viewpoint);
  const bars: BarOf[] = [];
  if (controls.lift) bars.push({ above: "up", below: "down", value: (wish) => wish.up });
  if (controls.turn) bars.push({ above: "left", below: "turn", value: (wish) => wish.turn });
  if (controls.tilt) bars.push({ above: "up", below: "tilt", value: (wish) => wish.tilt });
  if (controls.roll) bars.push({ above: "right", below: "roll", value: (wish) => wish.roll });
  for (const name of controls.joints) {
    bars.push({ above: "+", below: name.slice(-6), value: (wish) => wish.joints[name] ?? 0 });
  }
  if (controls.gripper) bars.push({ above: "open", below: "close", value: (wish) => wish.open });
  if (channels.length === 0) return <figure class="gauge" />;
  const start = controls.plane ? 62 : -14;
  const pitch = 40;
  const right = start + pitch * bars.length + 4;
  const left = controls.plane ? -60 : start;
  return (
    <figure class="gauge">
      <svg viewBox={`${left} -66 ${right - left} 132`} role="img"
        aria-label="Motion: what the policy wanted (hollow) and what was done (full)">
        {controls.plane && <circle class="plane" r="55" />}
        {controls.plane && <path class="middle" d="M-55 0H55M0-55V55" />}
        {controls.plane && <Arrow wish={done} kind="done" />}
        {controls.plane && <Arrow wish={wanted} kind="wanted" />}
        {bars.map((bar, index) => (
          <Bar key={bar.below} at={start + pitch * (index + 0.5)} bar={bar} wanted={wanted} done={done} />
        ))}
      </svg>
      <figcaption>
        <span><i class="key wanted" />{human ? "policy would" : "policy wants"}</span>
        <span><i class="key done" />{human ? (mine ? "you do" : "person does") : "robot does"}</span>
      </figcaption>
    </figure>
  );
}
