// The band at the top: the state in one word, why, and what can be done about it.
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { robotWord, shortName } from "../state/robot_word";
import { ConfirmButton } from "./confirm_button";
import { MoodIcon, Muted, Question, Sound } from "./icons";
import { isEngineer, mayDrive, useSession, useShown } from "./seat";

// Long enough that a second tap, meant for what the button said before, does not start the robot.
const settleMs = 1000;

function Primary(): JSX.Element {
  const session = useSession();
  const { state, mine, driver, engineer, linked, phase } = useShown((shown) => ({
    state: shown.status?.state, mine: shown.status?.lease.mine ?? false, driver: mayDrive(shown),
    engineer: isEngineer(shown), linked: shown.link === "open", phase: shown.drive.phase,
  }));
  const meaning = !linked || state === undefined || !driver ? "nothing"
    : state === "ESTOP" || state === "FAULT_HOLD" ? state
    : state === "AUTO" || state === "HANDBACK" ? "hold" : "go";
  const meant = useRef({ meaning, since: Number.NEGATIVE_INFINITY });
  if (meant.current.meaning !== meaning) meant.current = { meaning, since: performance.now() };

  switch (meaning) {
    case "nothing":
      return <span class="primary" />;
    case "ESTOP":
      return (
        <ConfirmButton key={meaning} class="primary" again="Press again to reset"
          onConfirm={() => session.resetStop()}>
          Reset STOP
        </ConfirmButton>
      );
    case "FAULT_HOLD":
      return (
        <ConfirmButton key={meaning} class="primary" again="Press again to reset" disabled={!engineer}
          title={engineer ? "" : "An engineer resets faults"} onConfirm={() => session.resetFault()}>
          {engineer ? "Reset fault" : "An engineer resets"}
        </ConfirmButton>
      );
    case "hold":
      return (
        <button key={meaning} type="button" class="button primary" aria-keyshortcuts="H"
          onClick={() => session.hold()}>
          Hold <kbd>H</kbd>
        </button>
      );
    default:
      return (
        <button key={meaning} type="button" class="button primary go" aria-keyshortcuts="B"
          disabled={phase === "asking"}
          onClick={() => {
            if (performance.now() - meant.current.since > settleMs) session.start();
          }}>
          {mine ? "Hand back" : "Start"} <kbd>B</kbd>
        </button>
      );
  }
}

function Chips(props: { onHelp: () => void }): JSX.Element {
  const session = useSession();
  const { ms, jitter, linked, muted, name, role, viewers } = useShown((state) => ({
    ms: state.roundTripMs === undefined ? undefined : Math.round(state.roundTripMs),
    jitter: Math.round(state.jitterMs), linked: state.link === "open", muted: state.muted,
    name: shortName(state.hello?.you.name ?? ""), role: state.hello?.you.role ?? "",
    viewers: state.status?.viewers ?? 0,
  }));
  const quality = !linked || ms === undefined ? "bad" : ms > 300 ? "bad" : ms > 100 ? "fair" : "good";
  return (
    <div class="chips">
      <span class={`chip link ${quality}`} title="Round trip to the daemon, and its jitter">
        <i class="beat" aria-hidden="true" />
        <span class="digits">{ms === undefined ? "–" : ms}</span>
        <small>±{jitter} ms</small>
      </span>
      <span class="chip who" title={`${role}; ${viewers} connected`}>
        <b>{name || "…"}</b><small>{role}</small>
      </span>
      <button type="button" class="chip" aria-pressed={muted} aria-keyshortcuts="M"
        aria-label={muted ? "Sounds are off" : "Sounds are on"} title="Sounds (M)"
        onClick={() => session.setMuted(!muted)}>
        {muted ? <Muted /> : <Sound />}
      </button>
      <button type="button" class="chip" aria-label="Help, and all keys" title="Help (?)"
        onClick={props.onHelp}>
        <Question />
      </button>
    </div>
  );
}

export function Band(props: { onHelp: () => void }): JSX.Element {
  const { mood, word, line } = useShown((state) => {
    const shown = robotWord(state.status, state.link);
    const detail = state.link === "open" || state.linkDetail === "" ? shown.line : state.linkDetail;
    const busy = state.busy === "" ? "" : `Busy: ${state.busy} drives`;
    return { ...shown, line: busy || detail };
  });
  return (
    <header class="band" data-mood={mood}>
      <div class="state" role="status" aria-live="assertive" aria-atomic="true">
        <MoodIcon mood={mood} />
        <h1>{word}</h1>
        <p>{line}</p>
      </div>
      <Primary />
      <Chips onHelp={props.onHelp} />
    </header>
  );
}
