// One small curve over episodes, drawn by uPlot in the page's colours.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { isDark, onTheme } from "../state/theme";

export interface Curve {
  x: number[];
  y: (number | null)[];
  low?: (number | null)[];
  high?: (number | null)[];
}

interface Props {
  label: string;
  unit: string;
  curve: Curve;
  color: string; // name of a CSS property
  top: (highest: number) => number;
}

export function Chart(props: Props): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  const [dark, setDark] = useState(isDark());
  const band = props.curve.low !== undefined;

  useEffect(() => {
    return onTheme(() => setDark(isDark()));
  }, []);

  useEffect(() => {
    const area = place.current;
    if (area === null) return undefined;
    const style = getComputedStyle(area);
    const color = style.getPropertyValue(props.color).trim();
    const ink = style.getPropertyValue("--quiet").trim();
    const grid = style.getPropertyValue("--line").trim();
    const font = "12px system-ui, sans-serif";
    const hidden = { stroke: "transparent", width: 0, points: { show: false } };
    const made = new uPlot({
      width: Math.max(80, area.clientWidth), height: Math.max(60, area.clientHeight),
      padding: [8, 10, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false }, y: { range: (_plot, _low, high) => [0, props.top(high)] } },
      axes: [
        { stroke: ink, font, size: 26, gap: 6, grid: { show: false }, ticks: { show: false }, space: 60 },
        {
          stroke: ink, font, size: 42, gap: 4, grid: { stroke: grid, width: 1 }, ticks: { show: false },
          space: 26, values: (_plot, marks) => marks.map((mark) => `${mark}${props.unit}`),
        },
      ],
      series: [
        {},
        { stroke: color, width: 2.5, points: { show: false }, spanGaps: true },
        ...(band ? [hidden, hidden] : []),
      ],
      ...(band ? { bands: [{ series: [3, 2] as [number, number], fill: `${color}2e` }] } : {}),
    }, [[], []], area);
    plot.current = made;
    const resized = new ResizeObserver(() => {
      if (area.clientWidth > 0) made.setSize({ width: area.clientWidth, height: area.clientHeight });
    });
    resized.observe(area);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [dark, props.color, props.unit, band]);

  useEffect(() => {
    const { x, y, low, high } = props.curve;
    plot.current?.setData([x, y, ...(low && high ? [low, high] : [])]);
  }, [props.curve, dark]);

  const empty = props.curve.x.length === 0;
  return (
    <div class={`chart ${empty ? "empty" : ""}`} ref={place} role="img"
      aria-label={empty ? `${props.label}: nothing yet` : props.label} />
  );
}
