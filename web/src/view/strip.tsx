// An episode as a strip: who was in control, what happened, and what of it is learned from. Moved along
// with a pointer, a finger or the keyboard; the mark between recovery and correction can be dragged.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { runsOf, splitStep, useWords } from "../state/timeline";
import type { EpisodeRecord, Moment, MomentKind, Span, Use } from "../state/timeline";
import { ControlStrip, percentOf, whoWords } from "./control_strip";
import { Back, Flag, Layers, Question, Speech, Split, Target, Warning } from "./icons";

const momentIcons: Record<MomentKind, () => JSX.Element> = {
  words: Speech, label: Flag, weights: Layers, task: Target, undone: Back,
  trouble: Warning, split: Split, help: Question,
};
export const MomentIcon = (props: { kind: MomentKind }): JSX.Element => {
  const Shape = momentIcons[props.kind];
  return <Shape />;
};

const useLetters: Partial<Record<Use, string>> = {
  correction: "C", recovery: "R", nudged: "N", success: "✓", demonstration: "D", taken_out: "×", undone: "↶", lost: "?",
};

interface Props {
  record: EpisodeRecord;
  uses: readonly Use[];
  moments: readonly Moment[];
  step: number;
  able: boolean;
  onStep: (step: number) => void;
  onMove: (by: number) => void;
  onPlay: () => void;
  onSplit: (span: Span, step: number) => Promise<boolean>; // false: refused
  children?: ComponentChildren; // below, on the same scale
}

function SplitMark(props: { span: Span; steps: number; able: boolean; stepOf: (x: number) => number; onSplit: (step: number) => Promise<boolean> }): JSX.Element {
  const { span, steps } = props;
  const settled = span.correctionFrom ?? span.first;
  const [draft, setDraft] = useState<number>();
  const timer = useRef<number>();
  const wanted = useRef(settled);
  const stay = (): void => {
    wanted.current = settled;
    setDraft(undefined);
  };
  useEffect(stay, [settled]);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  const at = draft ?? settled;
  const move = (step: number): void => {
    wanted.current = splitStep(span, step);
    setDraft(wanted.current);
  };
  const settle = (): void => {
    window.clearTimeout(timer.current);
    if (wanted.current === settled) stay();
    else void props.onSplit(wanted.current).then((done) => done || stay());
  };
  return (
    <span class={`split-mark ${draft === undefined ? "" : "moving"}`} role="slider" tabIndex={props.able ? 0 : -1}
      style={{ left: percentOf(at, steps) }}
      aria-label="Where the correction begins; what comes before it is recovery" aria-disabled={!props.able}
      aria-valuemin={span.first} aria-valuemax={span.last} aria-valuenow={at} aria-valuetext={`step ${at}`}
      title="Drag: what comes before is recovery, what comes after is correction"
      onPointerDown={(event) => {
        event.stopPropagation();
        if (!props.able || event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        move(at);
      }}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) move(props.stepOf(event.clientX));
      }}
      onPointerUp={settle} onPointerCancel={stay}
      onKeyDown={(event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1, PageDown: -5, PageUp: 5 }[event.key];
        if (!props.able || by === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        move(wanted.current + by);
        window.clearTimeout(timer.current);
        timer.current = window.setTimeout(settle, 700);
      }}>
      <i aria-hidden="true" />
    </span>
  );
}

export function Strip(props: Props): JSX.Element {
  const { record, step } = props;
  const steps = record.who.length;
  const place = useRef<HTMLDivElement>(null);
  const stepOf = (x: number): number => {
    const box = place.current?.getBoundingClientRect();
    if (box === undefined || box.width === 0) return 0;
    return Math.min(steps - 1, Math.max(0, Math.floor(((x - box.left) / box.width) * steps)));
  };
  const keys = (event: KeyboardEvent): void => {
    if (event.key === "Enter" && !event.repeat) props.onPlay();
    const moves: Record<string, number> = {
      ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -steps, End: steps,
    };
    const by = moves[event.key];
    if (by === undefined) return;
    event.preventDefault();
    props.onMove(by);
  };
  const who = record.who[step];
  return (
    <div class="strip" ref={place}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        props.onStep(stepOf(event.clientX));
      }}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) props.onStep(stepOf(event.clientX));
      }}>
      <div class="marks" aria-hidden="true">
        {props.moments.map((moment, index) => (
          <span key={index} class="mark-at" data-kind={moment.kind} title={moment.text}
            style={{ left: `clamp(12px, ${percentOf(moment.step + 0.5, steps)}, calc(100% - 12px))` }}><MomentIcon kind={moment.kind} /></span>
        ))}
      </div>
      <div class="scrub" role="slider" tabIndex={0} aria-label="Step of the episode; Enter plays it" aria-valuemin={0}
        aria-valuemax={Math.max(0, steps - 1)} aria-valuenow={step}
        aria-valuetext={`step ${step} of ${steps}, ${(record.at[step] ?? 0).toFixed(1)} seconds, ${who === undefined ? "" : whoWords[who]}, ${useWords[props.uses[step] ?? "none"]}`}
        onKeyDown={keys}>
        <ControlStrip who={record.who} of={steps} />
      </div>
      <div class="uses">
        {runsOf(props.uses).map((run) => (
          <span key={run.first} class="use" data-use={run.value} title={useWords[run.value]} aria-hidden="true"
            style={{ left: percentOf(run.first, steps), width: percentOf(run.last - run.first + 1, steps) }}>
            {run.last - run.first + 1 >= steps / 24 ? useLetters[run.value] : ""}
          </span>
        ))}
        {record.spans.filter((span) => span.kind === "takeover" && span.last > span.first).map((span) => (
          <SplitMark key={span.id} span={span} steps={steps} able={props.able} stepOf={stepOf}
            onSplit={(to) => props.onSplit(span, to)} />
        ))}
      </div>
      {props.children}
      <span class="playhead" style={{ left: percentOf(step + 0.5, steps) }} aria-hidden="true" />
    </div>
  );
}

export function UseKey(props: { uses: readonly Use[] }): JSX.Element {
  const there = (Object.keys(useWords) as Use[]).filter((each) => props.uses.includes(each));
  return (
    <ul class="control-key" aria-label="What is learned from">
      {there.map((each) => (
        <li key={each}><span class="use" data-use={each} aria-hidden="true">{useLetters[each] ?? ""}</span>{useWords[each]}</li>
      ))}
    </ul>
  );
}
