// What happened, in words, newest first.
import type { JSX } from "preact";
import { eventWords } from "../state/event_words";
import { shortName } from "../state/robot_word";
import { useShown } from "./seat";

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

export function ActivityPanel(): JSX.Element {
  const events = useShown((state) => state.events);
  return (
    <ol class="panel activity" aria-label="What happened, newest first">
      {events.map((event) => (
        <li key={event.sequence}>
          <time class="digits">{clock.format(event.wallMs)}</time>
          <span>{eventWords(event)}</span>
          <small>{shortName(event.actor.name)}</small>
        </li>
      ))}
      {events.length === 0 && <li class="quiet">Nothing yet.</li>}
    </ol>
  );
}
