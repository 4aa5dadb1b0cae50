// One camera: a canvas, its name, and how old its picture is.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { FrameAge } from "../state/frame_age";
import type { Place } from "../state/camera_layout";
import type { Camera } from "../wire/messages";
import { useSession } from "./seat";

const words = { none: "no picture", fresh: "", late: "late", old: "OLD" } as const;

interface Props {
  index: number;
  camera: Camera;
  large: boolean;
  place: Place | undefined; // undefined: the stage is not measured yet
  onChoose: () => void;
}

export function CameraView(props: Props): JSX.Element {
  const session = useSession();
  const canvas = useRef<HTMLCanvasElement>(null);
  const label = useRef<HTMLSpanElement>(null);
  const box = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    const age = new FrameAge();
    let alive = true;
    const stop = session.onFrames(props.index, (frame, at) => {
      const draw = async (): Promise<void> => {
        try {
          const picture = await createImageBitmap(new Blob([frame.jpeg], { type: "image/jpeg" }));
          await new Promise(requestAnimationFrame);
          const target = canvas.current;
          if (alive && target !== null) {
            if (target.width !== picture.width) target.width = picture.width;
            if (target.height !== picture.height) target.height = picture.height;
            target.getContext("2d", { alpha: false })?.drawImage(picture, 0, 0);
            age.drawn(frame.sequence, frame.capturedMs, at, frame.ageMs);
          }
          picture.close();
        } catch {
          // A picture that cannot be read: the age goes on growing, and the next one may come.
        }
        if (alive) session.frameSeen(frame.camera, frame.sequence);
      };
      void draw();
    });
    // Written past the virtual tree: this changes with every picture, and nothing else does.
    const show = window.setInterval(() => {
      if (label.current === null || box.current === null) return;
      const now = performance.now();
      const stale = age.staleness(now);
      const freshness = age.freshness(now);
      box.current.dataset["age"] = freshness;
      const shown = stale === undefined ? "" : stale < 1000
        ? `${Math.round(stale)} ms` : `${(stale / 1000).toFixed(1)} s`;
      label.current.textContent = [shown, words[freshness]].filter(Boolean).join(" ");
    }, 200);
    return () => {
      alive = false;
      stop();
      window.clearInterval(show);
    };
  }, [session, props.index]);

  return (
    <button ref={box} type="button" class={`camera ${props.large ? "large" : ""}`} data-age="none" hidden={props.place === undefined}
      style={props.place === undefined ? {} : { ...props.place }}
      aria-label={`Camera ${props.camera.name}${props.large ? "" : ": make it large"}`}
      onClick={props.onChoose}>
      <canvas ref={canvas} width={props.camera.width || 1} height={props.camera.height || 1} />
      <span class="camera-label">
        <i aria-hidden="true" /> {props.camera.name} <span class="digits" ref={label} />
      </span>
    </button>
  );
}
