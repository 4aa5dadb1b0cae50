// One episode, past or under way: its strip, the pictures of a step, what was wanted and done there, and
// what may be said about it afterwards.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { eventWords } from "../state/event_words";
import { shortName } from "../state/robot_word";
import { momentsOf, parseEpisode, spanAt, splitStep, stepAt, usesOf } from "../state/timeline";
import type { EpisodeRecord, Span } from "../state/timeline";
import type { LabelValue } from "../wire/messages";
import { Chart } from "./chart";
import { ControlKey, whoWords } from "./control_strip";
import { outcomeWords } from "./episode_card";
import { Back, Bin, Cross, Earlier, Later, List, Pause, Play, Split, Tick } from "./icons";
import { useRoom } from "./room";
import { mayDrive, useSession, useShown } from "./seat";
import { StepMotion } from "./step_motion";
import { StepPictures } from "./step_pictures";
import { MomentIcon, Strip, UseKey } from "./strip";

const againMs = 1000; // how often an episode under way is read again
const speeds = [1, 0.5, 2] as const;
const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

interface Loaded {
  record: EpisodeRecord | undefined;
  trouble: string;
  again: () => void;
}

// Reads the episode, again when the log says something new about it, and each second while it goes on.
function useRecord(id: number): Loaded {
  const session = useSession();
  const [loaded, setLoaded] = useState<{ id: number; record: EpisodeRecord | undefined; trouble: string }>({ id, record: undefined, trouble: "" });
  const [asked, setAsked] = useState(0);
  const news = useShown((state) => state.events.find((each) => each.episode === id || each.data["episode"] === id)?.sequence ?? 0);
  const linked = useShown((state) => state.link === "open");
  const live = loaded.id === id && loaded.record?.ended === false;
  useEffect(() => {
    if (!linked) return undefined;
    const given_up = new AbortController();
    const load = async (): Promise<void> => {
      try {
        const answer = await session.get(`/api/v1/episodes/${id}`, given_up.signal);
        const body: unknown = await answer.json().catch(() => undefined);
        const record = answer.ok ? parseEpisode(body) : undefined;
        const trouble = record !== undefined ? ""
          : answer.status === 404 ? `Episode ${id} is not in the log.` : `Episode ${id} cannot be read (${answer.status}).`;
        setLoaded((before) => ({ id, record: record ?? (before.id === id ? before.record : undefined), trouble }));
      } catch {
        // Given up, or the link broke: it is read again when the link is back.
      }
    };
    void load();
    const timer = live ? window.setInterval(() => void load(), againMs) : undefined;
    return () => {
      given_up.abort();
      window.clearInterval(timer);
    };
  }, [session, id, news, asked, linked, live]);
  return {
    record: loaded.id === id ? loaded.record : undefined, trouble: loaded.trouble,
    again: () => setAsked((count) => count + 1),
  };
}

function Labels(props: { value: LabelValue; able: boolean; of: string; onLabel: (value: LabelValue) => void }): JSX.Element {
  const choice = (value: LabelValue, name: string, Shape: () => JSX.Element): JSX.Element => (
    <button type="button" class="button" data-value={value} disabled={!props.able} aria-pressed={props.value === value}
      aria-label={`${props.of}: ${name}`} onClick={() => props.onLabel(props.value === value ? "none" : value)}>
      <Shape />{name}
    </button>
  );
  return (
    <div class="relabel" role="group" aria-label={`How ${props.of} went`}>
      {choice("success", "Worked", Tick)}
      {choice("failure", "Failed", Cross)}
      {choice("discard", props.value === "discard" ? "Put back" : "Take out", props.value === "discard" ? Back : Bin)}
    </div>
  );
}

function SpanCard(props: {
  span: Span; index: number; step: number; able: boolean; onGo: (step: number) => void;
  onLabel: (value: LabelValue) => void; onSplit: (step: number) => void;
}): JSX.Element {
  const { span, step } = props;
  const here = step >= span.first && step <= span.last;
  const takeover = span.kind === "takeover";
  const name = `${takeover ? "Correction" : "Nudge"} ${props.index + 1}`;
  const from = span.correctionFrom;
  const split = from !== undefined && from > span.first ? `recovery until step ${from - 1}` : takeover ? "all of it correction" : "";
  return (
    <li class="span-card" data-here={here} data-label={span.label}>
      <button type="button" class="go-to" onClick={() => props.onGo(span.first)}>
        <b>{name}</b>
        <small>
          {shortName(span.actor.name)} · steps {span.first}–{span.last} · {span.seconds.toFixed(1)} s
          {split !== "" && ` · ${split}`}{span.label === "discard" && " · taken out of training"}
          {!span.complete && " · not all of it was recorded"}
        </small>
      </button>
      <div class="span-acts">
        {takeover && span.last > span.first && (
          <button type="button" class="button begins" disabled={!props.able || !here || from === step}
            title={here ? "What comes before this step is recovery" : "Move into this correction first"}
            onClick={() => props.onSplit(splitStep(span, step))}><Split />Correction begins here</button>
        )}
        <Labels value={span.label} able={props.able} of={name} onLabel={props.onLabel} />
      </div>
    </li>
  );
}

export function Timeline(props: { id: number; at: number | undefined; earlier: number | undefined; later: number | undefined }): JSX.Element {
  const session = useSession();
  const { record, trouble, again } = useRecord(props.id);
  const { able, channels } = useShown((state) => ({
    able: mayDrive(state) && state.link === "open", channels: state.hello?.robot.action,
  }));
  const [chosen, setChosen] = useState<number | undefined>(props.at); // undefined: not moved yet
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState<number>(1);
  const [channel, setChannel] = useState(0);
  const back = useRef<HTMLButtonElement>(null);
  useRoom(true);

  useEffect(() => {
    setChosen(props.at);
    setPlaying(false);
  }, [props.id, props.at]);
  useEffect(() => back.current?.focus(), []);
  useEffect(() => back.current?.closest(".panel-box")?.scrollTo(0, 0), [props.id]);

  const steps = record?.who.length ?? 0;
  const live = record?.ended === false;
  const following = live && chosen === undefined;
  const last = Math.max(0, steps - 1);
  const step = Math.min(last, following ? last : chosen ?? 0);
  const uses = useMemo(() => (record === undefined ? [] : usesOf(record)), [record]);
  const moments = useMemo(() => (record === undefined ? [] : momentsOf(record, eventWords)), [record]);

  const latest = useRef({ step, last, playing, at: record?.at ?? [], speed });
  latest.current = { step, last, playing, at: record?.at ?? [], speed };
  const go = (to: number): void => {
    setPlaying(false);
    // Also here: a second key may come before the first one has been rendered.
    latest.current.step = Math.min(latest.current.last, Math.max(0, to));
    setChosen(latest.current.step);
  };
  const move = (by: number): void => go(latest.current.step + by);
  const play = (): void => {
    if (latest.current.playing) return setPlaying(false);
    setChosen(latest.current.step >= latest.current.last ? 0 : latest.current.step);
    return setPlaying(true);
  };
  useEffect(() => {
    if (!playing) return undefined;
    const { at } = latest.current;
    const origin = at[latest.current.step] ?? 0;
    const began = performance.now();
    let request = requestAnimationFrame(function draw(now: number): void {
      const seconds = origin + ((now - began) / 1000) * latest.current.speed;
      const to = stepAt(latest.current.at, seconds);
      if (to !== latest.current.step) setChosen(to);
      if (to >= latest.current.last) setPlaying(false);
      else request = requestAnimationFrame(draw);
    });
    return () => cancelAnimationFrame(request);
  }, [playing, speed]);
  const done = (stored: boolean): boolean => {
    if (stored) again();
    return stored;
  };
  const relabel = (value: LabelValue, span = 0): void => void session.label(props.id, value, span).then(done);
  const split = (span: Span, to: number): Promise<boolean> => session.split(span.id, to).then(done);

  const motion = useMemo(() => ({
    x: (record?.who ?? []).map((_each, index) => index),
    lines: [
      { y: (record?.proposed ?? []).map((each) => each?.[channel] ?? null), color: "--policy", dash: [6, 4] },
      { y: (record?.executed ?? []).map((each) => each[channel] ?? null), color: "--accent" },
    ],
  }), [record, channel]);
  const here = record === undefined ? undefined : spanAt(record, step);
  const who = record?.who[step];
  const names = (channels ?? []).map((each) => each.name.replaceAll("_", " "));
  const channelCount = Math.max(names.length, record?.executed[0]?.length ?? 0);

  return (
    <section class="panel timeline" aria-label={`Timeline of episode ${props.id}`}
      onKeyDown={(event) => {
        if (event.key === "Escape") session.close();
      }}>
      <header class="timeline-head">
        <button ref={back} type="button" class="button" onClick={() => session.close()} aria-label="All episodes"><List /><span class="word">All</span></button>
        <div class="about">
          <h2>Episode {props.id} <span class="outcome" data-outcome={record?.outcome}>{record === undefined ? "" : live ? "under way" : outcomeWords[record.outcome]}</span></h2>
          <p>
            {record !== undefined && (
              <>{record.instruction !== "" && `“${record.instruction}” · `}<span class="digits">{record.seconds.toFixed(1)} s</span>
                {" · "}<span class="digits">{steps}</span> steps{record.startedMs > 0 && ` · ${timeOfDay.format(record.startedMs)}`}</>
            )}
          </p>
        </div>
        <div class="turn">
          <button type="button" class="button" aria-label={`${props.earlier ?? ""} the episode before`} disabled={props.earlier === undefined}
            onClick={() => props.earlier !== undefined && session.open(props.earlier)}><Earlier /><span class="word digits">{props.earlier ?? ""}</span></button>
          <button type="button" class="button" aria-label={`${props.later ?? ""} the episode after`} disabled={props.later === undefined}
            onClick={() => props.later !== undefined && session.open(props.later)}><span class="word digits">{props.later ?? ""}</span><Later /></button>
        </div>
      </header>
      {trouble !== "" && <p class="trouble" role="alert">{trouble}</p>}
      {record !== undefined && (!record.recorded || record.damaged || record.truncated) && (
        <p class="trouble">
          {!record.recorded ? "The steps of this episode cannot be read."
            : record.damaged ? "Some steps of this episode are damaged; the rest is here."
            : "This episode is longer than what is shown here."}
        </p>
      )}
      {record !== undefined && record.recorded && steps === 0 && <p class="trouble">No step of this episode has been recorded.</p>}
      {record !== undefined && steps > 0 && (
        <>
          <div class="moment">
            <StepPictures episode={record.id} cameras={record.cameras} step={step} steps={steps} playing={playing} />
            <div class="facts">
              <p class="now" data-who={who}>
                <b class="run" data-who={who}>{who === undefined ? "" : whoWords[who]}</b>
                <span>
                  step <span class="digits">{step}</span> of <span class="digits">{steps}</span>
                  {" · "}<span class="digits">{(record.at[step] ?? 0).toFixed(1)} s</span> · v{record.weights[step] || "–"}
                  {here !== undefined && ` · ${shortName(here.actor.name)}`}
                </span>
                {record.clamped[step] && <em class="clamp">cut by the limits</em>}
              </p>
              <StepMotion channels={channels ?? []} wanted={record.proposed[step]} done={record.executed[step]} />
            </div>
          </div>
          <div class="below">
            <div class="transport" role="group" aria-label="Play">
              <button type="button" class="button" aria-label="One step back" disabled={step === 0} onClick={() => move(-1)}><Earlier /></button>
              <button type="button" class="button go play" onClick={play}>
                {playing ? <Pause /> : <Play />}{playing ? "Pause" : "Play"}
              </button>
              <button type="button" class="button" aria-label="One step on" disabled={step >= last} onClick={() => move(1)}><Later /></button>
              {!following && (
                <button type="button" class="button digits rate" aria-label={`Speed ${speed} times`}
                  onClick={() => setSpeed(speeds[(speeds.indexOf(speed as 1) + 1) % speeds.length] ?? 1)}>{speed === 0.5 ? "½" : speed}×</button>
              )}
              {live && (
                <button type="button" class="button follow" aria-pressed={following} onClick={() => {
                  setPlaying(false);
                  setChosen(following ? last : undefined);
                }}><i aria-hidden="true" />Live</button>
              )}
            </div>
            <Labels value={record.outcome} able={able} of="The episode" onLabel={(value) => relabel(value)} />
          </div>
          <Strip record={record} uses={uses} moments={moments} step={step} able={able} onStep={go} onMove={move} onPlay={play} onSplit={split}>
            <div class="motion-curve">
              <Chart bare curve={motion} range={() => [-1.1, 1.1]} xRange={[-0.5, steps - 0.5]}
                label={`${names[channel] ?? "Motion"} over the episode: what the policy wanted, dashed, and what was done`} />
              <select aria-label="Which motion the curve shows" value={String(channel)} 
                onPointerDown={(event) => event.stopPropagation()} onChange={(event) => setChannel(Number(event.currentTarget.value))}>
                {Array.from({ length: channelCount }, (_each, index) => <option key={index} value={String(index)}>{names[index] ?? `channel ${index + 1}`}</option>)}
              </select>
            </div>
          </Strip>
          <div class="keys"><ControlKey who={record.who} /><UseKey uses={uses} /></div>
          {record.spans.length > 0 && (
            <ol class="spans" aria-label="Corrections">
              {record.spans.map((span, index) => (
                <SpanCard key={span.id} span={span} index={index} step={step} able={able} onGo={go}
                  onLabel={(value) => relabel(value, span.id)} onSplit={(to) => void split(span, to)} />
              ))}
            </ol>
          )}
          {moments.length > 0 && (
            <ol class="moments" aria-label="What happened">
              {moments.map((moment, index) => (
                <li key={index}>
                  <button type="button" class="button" data-kind={moment.kind} onClick={() => go(moment.step)}>
                    <MomentIcon kind={moment.kind} /><span>{moment.text}</span><small class="digits">step {moment.step}</small>
                  </button>
                </li>
              ))}
            </ol>
          )}
        </>
      )}
    </section>
  );
}
