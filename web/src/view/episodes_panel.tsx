// Past episodes: how each went, who drove, and labels that come late.
import type { JSX } from "preact";
import { memo } from "./memo";
import type { EpisodeRow, LabelValue } from "../wire/messages";
import { outcomeWords } from "./episode_card";
import { Bin, Cross, Tick } from "./icons";
import { mayDrive, useSession, useShown } from "./seat";

const shown = 60;
const choices: { value: LabelValue; name: string; icon: () => JSX.Element }[] = [
  { value: "success", name: "worked", icon: Tick },
  { value: "failure", name: "failed", icon: Cross },
  { value: "discard", name: "discard", icon: Bin },
];

const Row = memo((props: { row: EpisodeRow; able: boolean }): JSX.Element => {
  const session = useSession();
  const { row } = props;
  const human = row.steps > 0 ? row.humanSteps / row.steps : 0;
  return (
    <li class="past" data-outcome={row.outcome}>
      <span class="about">
        <b>Episode <span class="digits">{row.id}</span></b>
        <small>
          {outcomeWords[row.outcome]} · <span class="digits">{row.seconds.toFixed(1)} s</span> ·{" "}
          {row.takeovers === 0 ? "policy alone" : `${Math.round(100 * human)} % by hand`} · v{row.weights}
        </small>
      </span>
      {choices.map(({ value, name, icon: Shape }) => (
        <button key={value} type="button" class="button small" disabled={!props.able}
          aria-pressed={row.outcome === value} aria-label={`Episode ${row.id}: ${name}`} title={name}
          onClick={() => session.label(row.id, row.outcome === value ? "none" : value)}>
          <Shape />
        </button>
      ))}
    </li>
  );
});

export function EpisodesPanel(): JSX.Element {
  const { rows, able } = useShown((state) => ({
    rows: state.curves?.episodes, able: mayDrive(state) && state.link === "open",
  }));
  const newest = (rows ?? []).slice(-shown).reverse();
  return (
    <ol class="panel episodes" aria-label="Past episodes, newest first">
      {newest.map((row) => <Row key={row.id} row={row} able={able} />)}
      {newest.length === 0 && <li class="quiet">No episode has ended yet.</li>}
    </ol>
  );
}
