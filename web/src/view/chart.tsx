// A small curve, drawn by uPlot in the page's colours.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { isDark, onTheme } from "../state/theme";

export interface Line {
  y: (number | null)[];
  color: string; // name of a CSS property
  dash?: number[];
  points?: boolean; // marks instead of a line
}

export interface Curve {
  x: number[];
  lines: Line[];
  low?: (number | null)[]; // a band, in the first line's colour
  high?: (number | null)[];
}

interface Props {
  label: string;
  curve: Curve;
  unit?: string;
  digits?: number; // of the value under the pointer
  named?: string; // what x is, there: "episode"
  bare?: boolean; // without axes, from edge to edge
  xRange?: [number, number];
  range: (low: number, high: number) => [number, number];
}

const inkOf = (style: CSSStyleDeclaration, name: string): string => style.getPropertyValue(name).trim() || "#888888";

export function Chart(props: Props): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>();
  const [theme, setTheme] = useState(isDark());
  const [under, setUnder] = useState("");
  const latest = useRef(props);
  latest.current = props;
  const band = props.curve.low !== undefined;
  const shape = props.curve.lines.map((line) => `${line.color} ${line.dash?.join(",") ?? ""} ${line.points ? "o" : ""}`).join(";");

  useEffect(() => onTheme(() => setTheme(isDark())), []);

  useEffect(() => {
    const area = place.current;
    if (area === null) return undefined;
    const { curve, bare, unit = "" } = latest.current;
    const style = getComputedStyle(area);
    const ink = inkOf(style, "--quiet");
    const font = "14px system-ui, sans-serif";
    const hidden = { stroke: "transparent", width: 0, points: { show: false } };
    const at = curve.lines.length + 1;
    const made = new uPlot({
      width: Math.max(80, area.clientWidth), height: Math.max(40, area.clientHeight),
      padding: bare ? [4, 0, 4, 0] : [8, 10, 0, 0],
      legend: { show: false },
      cursor: { show: !bare, y: false, points: { show: false }, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: (_plot, low, high) => latest.current.xRange ?? [low, high] },
        y: { range: (_plot, low, high) => latest.current.range(low ?? 0, high ?? 0) },
      },
      axes: bare ? [{ show: false }, { show: false }] : [
        { stroke: ink, font, size: 28, gap: 6, grid: { show: false }, ticks: { show: false }, space: 64, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
        {
          stroke: ink, font, size: 50, gap: 6, grid: { stroke: inkOf(style, "--line"), width: 1 }, ticks: { show: false },
          space: 34, values: (_plot, marks) => marks.map((mark) => `${mark}${unit}`),
        },
      ],
      series: [
        {},
        ...curve.lines.map((line) => line.points
          ? { stroke: "transparent", width: 0, points: { show: true, size: 9, width: 2, stroke: inkOf(style, line.color), fill: inkOf(style, "--card") } }
          : { stroke: inkOf(style, line.color), width: 2.5, points: { show: false }, spanGaps: true, ...(line.dash && { dash: line.dash }) }),
        ...(band ? [hidden, hidden] : []),
      ],
      ...(band ? { bands: [{ series: [at + 1, at] as [number, number], fill: `${inkOf(style, curve.lines[0]?.color ?? "--accent")}2e` }] } : {}),
      hooks: {
        setCursor: [(drawn) => {
          const { curve: now, digits = 1, named = "", unit: of = "" } = latest.current;
          const index = drawn.cursor.idx;
          const value = now.lines.map((line) => (typeof index === "number" ? line.y[index] : undefined)).find((each) => typeof each === "number");
          setUnder(typeof index === "number" && typeof value === "number"
            ? `${named} ${now.x[index] ?? ""}: ${value.toFixed(digits)}${of}` : "");
        }],
      },
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
  }, [theme, shape, props.unit, props.bare, band]);

  useEffect(() => {
    const { x, lines, low, high } = props.curve;
    plot.current?.setData([x, ...lines.map((line) => line.y), ...(low && high ? [low, high] : [])]);
  }, [props.curve, props.xRange?.[0], props.xRange?.[1], theme, shape, props.unit, props.bare, band]);

  const empty = !props.curve.lines.some((line) => line.y.some((each) => each !== null));
  return (
    <div class={`chart ${empty ? "empty" : ""} ${props.bare ? "bare" : ""}`} ref={place} role="img"
      aria-label={empty ? `${props.label}: nothing yet` : props.label}>
      {empty && !props.bare && <span class="chart-empty">Nothing yet</span>}
      {under !== "" && <span class="chart-under digits" aria-hidden="true">{under}</span>}
    </div>
  );
}
