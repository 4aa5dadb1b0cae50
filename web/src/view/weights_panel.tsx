// Versions of the weights: where each came from, what became of it, and the way back.
import type { JSX } from "preact";
import type { WeightsVersion } from "../wire/messages";
import { ConfirmButton } from "./confirm_button";
import { Back } from "./icons";
import { isEngineer, mayDrive, useSession, useShown } from "./seat";

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

const reasons: Record<string, string> = {
  non_finite: "values were not finite", clamp_rate: "hit its limits too often",
  latency: "was too slow", takeovers: "needed more takeovers", by_hand: "by hand",
};

const isFull = (kind: string): boolean => kind === "full";

function Row(props: { row: WeightsVersion; live: boolean; newestConfirmed: number; engineer: boolean }): JSX.Element {
  const session = useSession();
  const { row } = props;
  const confirmed = row.version === props.newestConfirmed;
  const fate = row.state === "rolled_back"
    ? `rolled back${row.reason === "" ? "" : `: ${reasons[row.reason] ?? row.reason}`}`
    : row.state === "confirmed" ? "confirmed"
    : !row.wasLive ? "has not acted"
    : isFull(row.kind) && row.version > props.newestConfirmed ? "on probation" : "acted";
  return (
    <li class={`version ${isFull(row.kind) ? "full" : "quick"}`} data-state={row.state} aria-current={props.live}>
      <span class="rail" aria-hidden="true"><i /></span>
      <b class="digits">v{row.version}</b>
      <span class="from">
        {row.parent === 0 ? "first" : `from v${row.parent}`} · {isFull(row.kind) ? "thorough" : "quick"}
        <small>{row.acceptedMs > 0 ? clock.format(row.acceptedMs) : ""} · {fate}</small>
      </span>
      <span class="tags">
        {props.live && <em class="tag live">live</em>}
        {confirmed && <em class="tag confirmed">confirmed</em>}
        {props.engineer && !confirmed && isFull(row.kind) && row.state !== "rolled_back" && (
          <ConfirmButton class="small" again="Again" title="Confirm this version now, and let it act"
            onConfirm={() => session.promote(row.version)}>Promote</ConfirmButton>
        )}
      </span>
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
      round: it?.round ?? "",
    };
  });
  const words: Record<string, string> = {
    off: "Learning is off", idle: "Waiting for the next correction", paused: "Learning is paused",
    training: learning.round === "micro" ? "Learning, quickly" : "Learning, thoroughly",
    waiting: "Waiting for feedback after a rollback", stale: "The learner is gone",
    restarting: "The learner starts again",
  };
  return (
    <div class="panel weights">
      <div class="learning" data-state={learning.state}>
        <p><b>{words[learning.state] ?? learning.state}</b> <small>{learning.detail}</small></p>
        <progress max={learning.total || 1} value={learning.done} aria-label="Steps of this round" />
      </div>
      <div class="row">
        <ConfirmButton again="Press again" disabled={!able}
          title="Back to the last confirmed version; hold for a second, or press twice"
          onConfirm={() => session.rollBack()}>
          <Back /> Roll back{weights !== undefined && weights.confirmed > 0 && weights.live !== weights.confirmed
            ? ` to v${weights.confirmed}` : ""}
        </ConfirmButton>
        {engineer && (
          <button type="button" class="button" disabled={!able || learning.state !== "paused"}
            onClick={() => session.resumeLearning()}>Resume</button>
        )}
      </div>
      <ol class="versions" aria-label="Versions, newest first">
        {(weights?.versions ?? []).map((row) => (
          <Row key={row.version} row={row} live={row.version === weights?.live}
            newestConfirmed={weights?.confirmed ?? 0} engineer={engineer && able} />
        ))}
        {(weights?.versions.length ?? 0) === 0 && <li class="quiet">No versions yet.</li>}
      </ol>
    </div>
  );
}
