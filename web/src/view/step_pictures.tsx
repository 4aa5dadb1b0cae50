// The cameras at one step of an episode.
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { FrameReel, neighbourhood } from "../state/frame_reel";
import type { Session } from "../state/session";
import type { Camera } from "../wire/messages";
import { useSession } from "./seat";

type Reel = FrameReel<ImageBitmap>;
const busyMs = 250; // pause when too many look at the past at once

function reelOf(session: Session, episode: number, arrived: () => void): Reel {
  return new FrameReel<ImageBitmap>({
    load: async ({ camera, step }, given_up) => {
      const path = `/api/v1/episodes/${episode}/frames/${encodeURIComponent(camera)}/${step}`;
      for (;;) {
        const answer = await session.get(path, given_up);
        if (answer.ok) return createImageBitmap(await answer.blob());
        if (answer.status !== 429) return undefined;
        await new Promise((again) => window.setTimeout(again, busyMs));
      }
    },
    drop: (picture) => picture.close(),
    arrived,
  });
}

function Picture(props: { reel: Reel; camera: Camera; step: number; arrivals: number }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const picture = props.reel.picture({ camera: props.camera.name, step: props.step });
  useEffect(() => {
    const target = canvas.current;
    if (target === null || picture === undefined || picture === "none") return;
    if (target.width !== picture.width) target.width = picture.width;
    if (target.height !== picture.height) target.height = picture.height;
    target.getContext("2d", { alpha: false })?.drawImage(picture, 0, 0);
  }, [picture]);
  // While one is on its way the one before stays: a flicker at each step would hide the motion.
  return (
    <figure data-state={picture === undefined ? "coming" : picture === "none" ? "none" : "here"}>
      <canvas ref={canvas} width={props.camera.width || 1} height={props.camera.height || 1} role="img"
        aria-label={`Camera ${props.camera.name} at step ${props.step}`} />
      <figcaption>{props.camera.name}{picture === "none" ? ": no picture of this step" : ""}</figcaption>
    </figure>
  );
}

interface Props {
  episode: number;
  cameras: readonly Camera[];
  step: number;
  steps: number;
  playing: boolean;
}

export function StepPictures(props: Props): JSX.Element {
  const session = useSession();
  const [arrivals, setArrivals] = useState(0);
  const reel = useMemo(() => reelOf(session, props.episode, () => setArrivals((count) => count + 1)), [session, props.episode]);
  const names = props.cameras.map((each) => each.name);
  const all = names.join("\n");
  useEffect(() => () => reel.close(), [reel]);
  // The newest step of a live episode gets its picture after its number.
  useEffect(() => reel.forgetMissing(), [reel, props.steps]);
  useEffect(() => {
    reel.want(neighbourhood(all === "" ? [] : all.split("\n"), props.step, props.steps, props.playing));
  }, [reel, all, props.step, props.steps, props.playing]);
  return (
    <div class="pictures" data-count={names.length}>
      {props.cameras.map((camera) => (
        <Picture key={camera.name} reel={reel} camera={camera} step={props.step} arrivals={arrivals} />
      ))}
      {names.length === 0 && <p class="nothing">This robot has no cameras.</p>}
    </div>
  );
}
