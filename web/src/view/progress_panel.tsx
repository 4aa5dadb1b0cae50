// Does it get better, and from what does it learn?
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { classShares, learnerWords, lossCurve, roundWords, supervisorShares } from "../state/learning_words";
import type { Share } from "../state/learning_words";
import { trendOf } from "../state/trend";
import { Chart } from "./chart";
import type { Curve } from "./chart";
import { Less, More } from "./icons";
import { useRoom } from "./room";
import { useShown } from "./seat";

const percent = (share: number): string => `${Math.round(100 * share)} %`;
const fromZero = (least: number) => (_low: number, high: number): [number, number] => [0, Math.max(least, high * 1.12)];

function Figure(props: {
  title: string; about: string; value: string; more?: string; curve: Curve; unit: string; digits: number;
  named?: string; range: (low: number, high: number) => [number, number];
}): JSX.Element {
  return (
    <figure class="figure">
      <figcaption><b>{props.title}</b><small>{props.about}</small></figcaption>
      <p><b class="digits">{props.value}</b><small class="digits">{props.more ?? ""}</small></p>
      <Chart label={`${props.title} ${props.about}: now ${props.value}${props.more ? `, ${props.more}` : ""}`} unit={props.unit}
        digits={props.digits} named={props.named ?? "episode"} curve={props.curve} range={props.range} />
    </figure>
  );
}

function Bars(props: { title: string; rows: readonly Share[] }): JSX.Element {
  return (
    <table class="bars-table">
      <caption>{props.title}</caption>
      <tbody>
        {props.rows.map((row) => (
          <tr key={row.key} data-class={row.key}>
            <th scope="row">{row.name}</th>
            <td class="bar-cell" aria-hidden="true"><i style={{ width: `${100 * row.share}%` }} /></td>
            <td class="digits">{row.steps}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Learner(): JSX.Element {
  const it = useShown((state) => {
    const now = state.status?.learning;
    return {
      words: learnerWords(now), detail: now?.detail ?? "", next: state.learning?.next ?? "",
      state: now?.state ?? "", done: now?.done ?? 0, total: now?.total ?? 0,
    };
  });
  return (
    <div class="learner" data-state={it.state}>
      <p><b>{it.words}</b> <small>{it.detail || (it.next === "" ? "" : `Next round: ${it.next}`)}</small></p>
      <progress max={it.total || 1} value={it.done} aria-label="Steps of this round" />
    </div>
  );
}

export function ProgressPanel(): JSX.Element {
  const { curves, learning } = useShown((state) => ({ curves: state.curves, learning: state.learning }));
  const [room, setRoom] = useState(false);
  useRoom(room);
  const trend = useMemo(() => trendOf(curves?.episodes ?? []), [curves]);
  const shown = useMemo(() => {
    const one = (y: (number | null)[], color: string): Curve => ({ x: trend.episodes, lines: [{ y, color }] });
    return {
      success: { ...one(trend.success, "--good"), low: trend.low, high: trend.high },
      takeovers: one(trend.takeovers, "--person"), length: one(trend.length, "--person"),
      first: one(trend.firstAfter, "--accent"), human: one(trend.human, "--person"),
    };
  }, [trend]);
  const loss = useMemo(() => {
    const { x, thorough, quick } = lossCurve(learning?.rounds ?? []);
    return { x, lines: [{ y: thorough, color: "--accent" }, { y: quick, color: "--policy", points: true }] };
  }, [learning]);
  const rate = curves?.success;
  const labelled = rate !== undefined && rate.of > 0;
  const newest = (values: (number | null)[], unit: string, digits: number): string => {
    const value = values[values.length - 1];
    return value === undefined || value === null ? "–" : `${value.toFixed(digits)}${unit}`;
  };
  const lastLoss = learning?.rounds.reduce<number | undefined>((_found, round) => round.loss ?? _found, undefined);
  const rounds = (learning?.rounds ?? []).slice(-12).reverse();
  return (
    <div class="panel insight" data-roomy={room}>
      <div class="insight-head">
        <Learner />
        <button type="button" class="button roomy" aria-pressed={room} onClick={() => setRoom(!room)}
          aria-label="More room for the curves" title="More room for the curves">{room ? <Less /> : <More />}</button>
      </div>
      <div class="figures">
        <Figure title="Success" about={`last ${rate?.of ?? 0} labelled`} value={labelled ? percent(rate.successes / rate.of) : "–"}
          {...(labelled && { more: `${percent(rate.low)} to ${percent(rate.high)}` })} curve={shown.success} unit=" %" digits={0} range={() => [0, 100]} />
        <Figure title="Takeovers" about="per 100 steps" value={newest(trend.takeovers, "", 2)} curve={shown.takeovers} unit="" digits={2} range={fromZero(1)} />
        <Figure title="A takeover lasts" about="on average" value={newest(trend.length, " s", 1)} curve={shown.length} unit=" s" digits={1} range={fromZero(1)} />
        <Figure title="First takeover after" about="on average" value={newest(trend.firstAfter, " s", 1)} curve={shown.first} unit=" s" digits={1} range={fromZero(1)} />
        <Figure title="By hand" about="for an episode" value={newest(trend.human, " s", 1)} curve={shown.human} unit=" s" digits={1} range={fromZero(1)} />
        <Figure title="Loss" about="of a round; ○ quick" value={lastLoss === undefined ? "–" : lastLoss.toPrecision(2)} curve={loss} unit="" digits={4} named="round" range={fromZero(0.001)} />
      </div>
      {learning !== undefined && (
        <div class="dataset">
          <Bars title="What it learns from, in steps" rows={classShares(learning.steps)} />
          {learning.supervisors.length > 0 && <Bars title="Corrected by, in steps" rows={supervisorShares(learning.supervisors)} />}
        </div>
      )}
      {rounds.length > 0 && (
        <details class="rounds">
          <summary>The last {rounds.length} rounds</summary>
          <ol>{rounds.map((round, index) => <li key={`${round.wallMs} ${index}`} data-verdict={round.verdict}>{roundWords(round)}</li>)}</ol>
        </details>
      )}
    </div>
  );
}
