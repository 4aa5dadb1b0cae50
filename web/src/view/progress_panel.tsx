// Does it get better? Success with its interval, and how often people step in.
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { trendOf } from "../state/trend";
import { Chart } from "./chart";
import { useShown } from "./seat";

const percent = (share: number): string => `${Math.round(100 * share)} %`;

export function ProgressPanel(): JSX.Element {
  const curves = useShown((state) => state.curves);
  const trend = useMemo(() => trendOf(curves?.episodes ?? []), [curves]);
  const success = useMemo(
    () => ({ x: trend.episodes, y: trend.success, low: trend.low, high: trend.high }), [trend]);
  const takeovers = useMemo(() => ({ x: trend.episodes, y: trend.takeovers }), [trend]);
  const rate = curves?.success;
  const often = trend.takeovers.at(-1);
  const labelled = rate !== undefined && rate.of > 0;
  return (
    <div class="panel progress">
      <div class="figure">
        <h3 title="Of the newest episodes that have a label">Success <small>last {rate?.of ?? 0} labelled</small></h3>
        <p><b class="digits">{labelled ? percent(rate.successes / rate.of) : "–"}</b>
          <small class="digits">{labelled ? `${percent(rate.low)} to ${percent(rate.high)}` : ""}</small></p>
        <Chart label="Success rate by episode, with its 95 % interval" unit="%" curve={success}
          color="--good" top={() => 100} />
      </div>
      <div class="figure">
        <h3>Takeovers <small>per 100 steps</small></h3>
        <p><b class="digits">{often === undefined || often === null ? "–" : often.toFixed(2)}</b></p>
        <Chart label="Takeovers per 100 steps by episode" unit="" curve={takeovers} color="--person"
          top={(highest) => Math.max(1, Math.ceil((highest || 0) * 1.15))} />
      </div>
    </div>
  );
}
