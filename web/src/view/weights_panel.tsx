// Versions of the weights: where each came from, what became of it, and the way back.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { gateWords } from "../state/gate_words";
import { learnerWords } from "../state/learning_words";
import { lineageOf, rollBackTarget } from "../state/lineage";
import type { Lineage } from "../state/lineage";
import type { WeightsVersion } from "../wire/messages";
import { ConfirmButton } from "./confirm_button";
import { Back, Later } from "./icons";
import { isEngineer, mayDrive, useSession, useShown } from "./seat";

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});

const reasons: Record<string, string> = {
  non_finite: "values were not finite", clamp_rate: "hit its limits too often",
  latency: "was too slow", takeovers: "needed more takeovers", by_hand: "by hand",
};

const isFull = (kind: string): boolean => kind === "full";
const rowPx = 60;
const lanePx = 18;
const mostLanes = 4;

function fateOf(row: WeightsVersion, live: boolean, newestConfirmed: number): string {
  if (row.state === "rolled_back") return `rolled back${row.reason === "" ? "" : `: ${reasons[row.reason] ?? row.reason}`}`;
  if (row.state === "confirmed") return "confirmed";
  if (!row.wasLive) return "has not acted";
  if (isFull(row.kind) && row.version > newestConfirmed) return "on probation";
  return live ? "acts" : "acted";
}

// The graph beside the rows; an open row is taller, so places come from the rows themselves.
function Graph(props: { lineage: Lineage; rows: readonly WeightsVersion[]; live: number; open: number | undefined; openPx: number }): JSX.Element {
  const { lineage } = props;
  const lanes = Math.min(mostLanes, lineage.lanes);
  const openRow = props.rows.findIndex((row) => row.version === props.open);
  const x = (lane: number): number => 11 + lanePx * Math.min(lane, mostLanes - 1);
  const y = (row: number): number => rowPx * (row + 0.5) + (openRow >= 0 && row > openRow ? props.openPx : 0);
  const height = rowPx * props.rows.length + (openRow >= 0 ? props.openPx : 0);
  return (
    <svg class="lineage" width={22 + lanePx * (lanes - 1)} height={height} aria-hidden="true">
      {lineage.edges.map(({ from, to }) => {
        const [fx, fy, tx, ty] = [x(from.lane), y(from.row), x(to.lane), y(to.row)];
        const bend = Math.min(26, ty - fy);
        return (
          <path key={`${from.version} ${to.version}`} class={from.version === props.live ? "edge live" : "edge"}
            d={fx === tx ? `M${fx} ${fy}V${ty}` : `M${fx} ${fy}V${ty - bend}C${fx} ${ty} ${tx} ${ty - bend} ${tx} ${ty}`} />
        );
      })}
      {lineage.nodes.map((node) => {
        const row = props.rows[node.row];
        const at = { cx: x(node.lane), cy: y(node.row) };
        const full = isFull(row?.kind ?? "");
        return (
          <g key={node.version} data-state={row?.state} class={`node ${full ? "full" : "quick"} ${node.version === props.live ? "live" : ""}`}>
            {node.version === props.live && <circle class="halo" {...at} r={11} />}
            {row?.state === "rolled_back"
              ? <rect x={at.cx - 5} y={at.cy - 5} width={10} height={10} transform={`rotate(45 ${at.cx} ${at.cy})`} />
              : <circle {...at} r={full ? 6.5 : 4.5} />}
          </g>
        );
      })}
    </svg>
  );
}

function Row(props: {
  row: WeightsVersion; live: boolean; newestConfirmed: number; able: boolean; engineer: boolean; open: boolean;
  onOpen: () => void; onHeight: (px: number) => void;
}): JSX.Element {
  const session = useSession();
  const more = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = more.current;
    if (element === null) return undefined;
    const watch = new ResizeObserver(() => props.onHeight(element.offsetHeight));
    watch.observe(element);
    return () => watch.disconnect();
  }, [props.open]);
  const { row } = props;
  const confirmed = row.version === props.newestConfirmed;
  const taught = row.corrections;
  return (
    <li class={`version ${isFull(row.kind) ? "full" : "quick"}`} data-state={row.state} aria-current={props.live} data-open={props.open}>
      <button type="button" class="version-line" aria-expanded={props.open} onClick={props.onOpen}>
        <b class="digits">v{row.version}</b>
        <span class="from">
          <span>{isFull(row.kind) ? "thorough" : "quick"}{row.acceptedMs > 0 && <span class="digits"> · {clock.format(row.acceptedMs)}</span>}</span>
          <small>{row.parent === 0 ? "first" : `from v${row.parent}`} · {fateOf(row, props.live, props.newestConfirmed)}</small>
        </span>
        <span class="tags">
          {row.withdrawn.length > 0 && <em class="tag" title={`May have learned from ${row.withdrawn.join(", ")}, whose corrections are withdrawn`}>withdrawn</em>}
          {props.live && <em class="tag live">live</em>}
          {confirmed && <em class="tag confirmed">confirmed</em>}
        </span>
        <Later />
      </button>
      {props.open && (
        <div class="version-more" ref={more}>
          <ul>
            {taught !== undefined && (
              <li>Trained on {taught.steps} corrected steps of {taught.episodes} {taught.episodes === 1 ? "episode" : "episodes"}
                {row.trainSeconds !== undefined && `, in ${row.trainSeconds.toFixed(1)} s`}
                {row.loss !== undefined && `, to a loss of ${row.loss.toPrecision(2)}`}.</li>
            )}
            {row.withdrawn.length > 0 && (
              <li>May have learned from {row.withdrawn.join(", ")}, whose corrections are withdrawn. Train anew from the log to be without them.</li>
            )}
            {gateWords(row.gate).map((line) => <li key={line}>{line}</li>)}
          </ul>
          {props.engineer && !confirmed && isFull(row.kind) && row.state !== "rolled_back" && (
            <ConfirmButton again={`Again: v${row.version}`} disabled={!props.able} title="Confirm this version now, and let it act; hold for a second, or press twice"
              onConfirm={() => void session.promote(row.version)}>Promote v{row.version}</ConfirmButton>
          )}
        </div>
      )}
    </li>
  );
}

export function WeightsPanel(): JSX.Element {
  const session = useSession();
  const { weights, able, engineer } = useShown((state) => ({
    weights: state.weights, able: mayDrive(state) && state.link === "open", engineer: isEngineer(state),
  }));
  const learning = useShown((state) => {
    const it = state.status?.learning;
    return {
      state: it?.state ?? "", detail: it?.detail ?? "", done: it?.done ?? 0, total: it?.total ?? 0,
      words: learnerWords(it),
    };
  });
  const [open, setOpen] = useState<number>();
  const [result, setResult] = useState<{ tone: string; text: string }>();
  const rows = weights?.versions ?? [];
  const lineage = useMemo(() => lineageOf(rows), [weights]);
  const target = rollBackTarget(weights);
  const [openPx, setOpenPx] = useState(0); // of what the open row says

  const rollBack = async (): Promise<void> => {
    const [from, to] = [weights?.live ?? 0, target ?? 0];
    setResult({ tone: "wait", text: `Rolling back to v${to} …` });
    const done = await session.rollBack();
    setResult(!done ? { tone: "bad", text: `v${from} still acts.` }
      : { tone: "good", text: `v${from} stopped acting. v${to} acts from the next chunk on.` });
  };
  return (
    <div class="panel weights">
      <div class="learner" data-state={learning.state}>
        <p><b>{learning.words}</b> <small>{learning.detail}</small></p>
        <progress max={learning.total || 1} value={learning.done} aria-label="Steps of this round" />
      </div>
      <div class="row">
        <ConfirmButton class="back" again={`Again: v${weights?.live ?? 0} → v${target ?? 0}`} disabled={!able || target === undefined}
          title="Back to the last confirmed version, or to the one that it came from; hold for a second, or press twice" onConfirm={() => void rollBack()}>
          <Back /> Roll back{target === undefined ? "" : ` to v${target}`}
        </ConfirmButton>
        {engineer && (
          <button type="button" class="button" disabled={!able || learning.state !== "paused"}
            onClick={() => session.resumeLearning()}>Resume</button>
        )}
      </div>
      <p class="result" role="status" data-tone={result?.tone}>
        {result?.text ?? (weights !== undefined && weights.live !== weights.confirmed
          ? `v${weights.live} acts; v${weights.confirmed} is the last confirmed one.` : "What acts is confirmed.")}
      </p>
      <div class="versions">
        {rows.length > 0 && <Graph lineage={lineage} rows={rows} live={weights?.live ?? 0} open={open} openPx={openPx} />}
        <ol aria-label="Versions, newest first">
          {rows.map((row) => (
            <Row key={row.version} row={row} live={row.version === weights?.live} newestConfirmed={weights?.confirmed ?? 0}
              able={able} engineer={engineer} open={open === row.version}
              onHeight={setOpenPx} onOpen={() => setOpen(open === row.version ? undefined : row.version)} />
          ))}
          {rows.length === 0 && <li class="nothing"><p>No versions yet.</p></li>}
        </ol>
      </div>
    </div>
  );
}
