// The page: band, cameras, driving, panels, and STOP.
import type { JSX } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import type { PassKeeper } from "../link/pass";
import { deviceName } from "../state/device_name";
import type { Session } from "../state/session";
import { usePart } from "../state/store";
import { Band } from "./band";
import { Deck } from "./deck";
import { Door } from "./door";
import { EpisodeCard } from "./episode_card";
import { Help } from "./help";
import { Seat } from "./seat";
import { onHelpKey } from "./shortcuts";
import { Panel, Tabs, useNarrow } from "./side";
import type { Tab } from "./side";
import { Stage } from "./stage";
import { StopButton } from "./stop_button";

export function App(props: { session: Session; pass: PassKeeper }): JSX.Element {
  const narrow = useNarrow();
  const [tab, setTab] = useState<Tab>(narrow ? "drive" : "progress");
  const [help, setHelp] = useState(false);
  const closeHelp = useCallback(() => setHelp(false), []);
  useEffect(() => onHelpKey(() => setHelp((shown) => !shown)), []);
  const shown = !narrow && tab === "drive" ? "progress" : tab;
  const drives = !narrow || shown === "drive";
  const refused = usePart(props.session.store, (state) =>
    state.link === "refused" && state.hello === undefined ? state.linkDetail : undefined);
  if (refused !== undefined) return <Door why={refused} pass={props.pass} name={deviceName()} />;
  return (
    <Seat.Provider value={props.session}>
      <div class={`app ${narrow ? "narrow" : "wide"}`}>
        <Band onHelp={() => setHelp(!help)} />
        <StopButton />
        <Stage narrow={narrow} drives={drives} />
        {drives && <Deck narrow={narrow} />}
        <section class="side" aria-label="Episode and panels">
          {(!narrow || shown !== "drive") && <EpisodeCard />}
          <Tabs tab={shown} onTab={setTab} />
          {shown !== "drive" && <Panel tab={shown} />}
        </section>
        {help && <Help onClose={closeHelp} />}
      </div>
    </Seat.Provider>
  );
}
