// Lines of figures: small ones in tables, large ones with a scale, a crosshair and marks for what happened.

import {replace, s, text} from "./dom.js";
import {clock} from "./format.js";

const W = 60;
const H = 20;

/** Return an empty small line; draw(values) fills it. */
export function spark(kind) {
  const path = s("path");
  const svg = s(`svg.spark.${kind}`, {viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", "aria-hidden": "true"}, path);
  let last = "";
  return {
    element: svg,
    draw(values, floor) {
      const shown = values.slice(-W);
      const top = Math.max(floor, ...shown) * 1.3; // what never changes is no ceiling
      const begin = W - shown.length;
      const line = shown.length < 2 ? "" : shown.map((value, index) =>
        `${index ? "L" : "M"}${begin + index} ${(H - 1 - (value / top) * (H - 2)).toFixed(1)}`).join("");
      if (line !== last) path.setAttribute("d", last = line);
    },
  };
}

const PAD = {left: 58, right: 12, top: 10, bottom: 22};

/** A chart of one figure over time. Returns {element, draw(curve, key, marks)}. */
export function chart(title, kind, format, floor) {
  const svg = s("svg.chart", {role: "img", "aria-label": title});
  let state = null;
  let hover = null;
  const render = () => state && drawChart(svg, kind, format, floor, state, hover);
  svg.addEventListener("pointermove", (event) => {
    hover = event.clientX - svg.getBoundingClientRect().left;
    render();
  });
  svg.addEventListener("pointerleave", () => { hover = null; render(); });
  new ResizeObserver(render).observe(svg);
  return {element: svg, draw(times, values, marks) { state = {times, values, marks}; render(); }};
}

function drawChart(svg, kind, format, floor, {times, values, marks}, hover) {
  const width = svg.clientWidth || 600;
  const height = svg.clientHeight || 150;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (times.length < 2) {
    replace(svg, s("text", {x: PAD.left, y: height / 2}, "gathering readings…"));
    return;
  }
  const first = times[0];
  const span = Math.max(1, times[times.length - 1] - first);
  const top = Math.max(floor, ...values) * 1.05;
  const x = (time) => PAD.left + ((time - first) / span) * (width - PAD.left - PAD.right);
  const y = (value) => height - PAD.bottom - (value / top) * (height - PAD.top - PAD.bottom);
  const grid = [0, 0.5, 1].map((part) => [
    s("line.grid", {x1: PAD.left, x2: width - PAD.right, y1: y(top * part / 1.05), y2: y(top * part / 1.05)}),
    s("text", {x: PAD.left - 6, y: y(top * part / 1.05) + 4, "text-anchor": "end"}, format(top * part / 1.05)),
  ]);
  const line = values.map((value, index) => `${index ? "L" : "M"}${x(times[index]).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const lines = marks.filter((mark) => mark.time > first).map((mark) =>
    s("line.mark", {x1: x(mark.time), x2: x(mark.time), y1: PAD.top, y2: height - PAD.bottom}, s("title", mark.text)));
  const ends = [
    s("text", {x: PAD.left, y: height - 6}, clock(first)),
    s("text", {x: width - PAD.right, y: height - 6, "text-anchor": "end"}, clock(times[times.length - 1])),
  ];
  const cross = hover === null ? null : crosshair(hover, times, values, x, y, format, height, width);
  replace(svg, grid, s(`path.${kind}`, {d: line}), lines, ends, cross);
}

function crosshair(hover, times, values, x, y, format, height, width) {
  let best = 0;
  for (let i = 1; i < times.length; i++) if (Math.abs(x(times[i]) - hover) < Math.abs(x(times[best]) - hover)) best = i;
  const at = x(times[best]);
  const label = s("text", {x: at + (at > width - 140 ? -6 : 6), y: PAD.top + 8, "text-anchor": at > width - 140 ? "end" : "start"});
  text(label, `${format(values[best])} at ${clock(times[best])}`);
  return [s("line.cross", {x1: at, x2: at, y1: PAD.top, y2: height - PAD.bottom}), label];
}
