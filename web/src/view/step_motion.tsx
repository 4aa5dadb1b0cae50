// What the policy wanted at a step, beside what was done: a hollow bar and a full one for each channel.
import type { JSX } from "preact";
import type { Channel } from "../wire/messages";

interface Props {
  channels: readonly Channel[];
  wanted: readonly number[] | undefined; // normalised
  done: readonly number[] | undefined;
}

const bounded = (value: number): number => Math.min(1, Math.max(-1, value));
const inUnits = (channel: Channel, value: number): string => {
  const units = channel.lower + ((value + 1) / 2) * (channel.upper - channel.lower);
  // A zero of either sign is the same rest.
  const shown = units.toFixed(2);
  return shown === "-0.00" ? "0.00" : shown;
};

function Bar(props: { kind: "wanted" | "done"; value: number }): JSX.Element {
  const value = bounded(props.value);
  return (
    <span class={`bar ${props.kind}`} style={{
      left: `${50 + Math.min(0, value) * 50}%`, width: `max(3px, ${Math.abs(value) * 50}%)`,
    }} />
  );
}

export function StepMotion(props: Props): JSX.Element {
  const count = Math.max(props.wanted?.length ?? 0, props.done?.length ?? 0);
  const rows = Array.from({ length: count }, (_each, index): Channel =>
    props.channels[index] ?? { name: `channel ${index + 1}`, unit: "", lower: -1, upper: 1 });
  return (
    <div class="motion">
      <table>
        <caption class="unseen">What the policy wanted, and what was done</caption>
        <thead>
          <tr>
            <th scope="col">Motion</th>
            <th scope="col" class="bars-head"><span class="unseen">as bars</span></th>
            <th scope="col"><i class="key wanted" aria-hidden="true" />wanted</th>
            <th scope="col"><i class="key done" aria-hidden="true" />done</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((channel, index) => {
            const wanted = props.wanted?.[index];
            const done = props.done?.[index];
            return (
              <tr key={channel.name}>
                <th scope="row" title={channel.unit}>{channel.name.replaceAll("_", " ")} <small>{channel.unit}</small></th>
                <td class="bars" aria-hidden="true">
                  {wanted !== undefined && <Bar kind="wanted" value={wanted} />}
                  {done !== undefined && <Bar kind="done" value={done} />}
                </td>
                <td class="digits">{wanted === undefined ? "–" : inUnits(channel, wanted)}</td>
                <td class="digits">{done === undefined ? "–" : inUnits(channel, done)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
