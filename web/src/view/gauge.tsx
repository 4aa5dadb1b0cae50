// What the policy wanted beside what was done: a hollow arrow and a full one, in the directions in
// which the person sees the robot.
import type { JSX } from "preact";
import { wishOf } from "../drive/jog";
import type { Wish } from "../drive/jog";
import { useShown } from "./seat";

const reach = 52;

function Arrow(props: { wish: Wish | undefined; kind: "wanted" | "done" }): JSX.Element | null {
  if (props.wish === undefined) return null;
  const x = props.wish.right * reach;
  const y = -props.wish.away * reach;
  const length = Math.hypot(x, y);
  if (length < 2) return <circle class={props.kind} r={props.kind === "wanted" ? 6 : 3.5} />;
  const head = Math.min(11, length);
  const back = 1 - head / length;
  const sideX = (-y / length) * head * 0.62;
  const sideY = (x / length) * head * 0.62;
  const points = `${x},${y} ${x * back + sideX},${y * back + sideY} ${x * back - sideX},${y * back - sideY}`;
  return (
    <g class={props.kind}>
      <line x2={x * back} y2={y * back} />
      <polygon points={points} />
    </g>
  );
}

function Bar(props: {
  at: number; label: [string, string]; wanted: number | undefined; done: number | undefined;
}): JSX.Element {
  const half = reach - 4;
  const y = (value: number): number => Math.min(0, -value * half);
  return (
    <g transform={`translate(${props.at} 0)`}>
      <rect class="track" x="-5" y={-half} width="10" height={2 * half} rx="5" />
      {props.done !== undefined &&
        <rect class="done" x="-3" y={y(props.done)} width="6" height={Math.abs(props.done) * half} rx="2" />}
      {props.wanted !== undefined &&
        <line class="wanted" x1="-9" x2="9" y1={-props.wanted * half} y2={-props.wanted * half} />}
      <text y={-half - 5}>{props.label[0]}</text>
      <text y={half + 12}>{props.label[1]}</text>
    </g>
  );
}

export function Gauge(): JSX.Element {
  const { channels, proposed, executed, viewpoint } = useShown((state) => ({
    channels: state.hello?.robot.action ?? [], proposed: state.status?.proposed ?? [],
    executed: state.status?.executed ?? [], viewpoint: state.viewpoint,
  }));
  const wanted = wishOf(channels, proposed, viewpoint);
  const done = wishOf(channels, executed, viewpoint);
  return (
    <figure class="gauge">
      <svg viewBox="-60 -66 208 132" role="img"
        aria-label="Motion: what the policy wanted (hollow) and what was done (full)">
        <circle class="plane" r="54" />
        <path class="plane" d="M-54 0H54M0-54V54" />
        <Arrow wish={wanted} kind="wanted" />
        <Arrow wish={done} kind="done" />
        <Bar at={82} label={["up", "down"]} wanted={wanted?.up} done={done?.up} />
        <Bar at={123} label={["open", "close"]} wanted={wanted?.open} done={done?.open} />
      </svg>
      <figcaption><span class="key wanted" /> policy wanted <span class="key done" /> done</figcaption>
    </figure>
  );
}
