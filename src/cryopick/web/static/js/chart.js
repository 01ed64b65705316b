// @ts-check
// Training curves, drawn as SVG and updated during training.

import { html, useEffect, useRef, useState } from "../vendor/ui.js";

const HEIGHT = 190;
const [LEFT, RIGHT, TOP, BOTTOM] = [50, 12, 8, 38];

/** Round values that divide a range into a few parts. @param {number} low @param {number} high @param {number} parts */
function ticks(low, high, parts) {
  const rough = (high - low || 1) / parts;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((n) => n * power >= rough) ?? 10) * power;
  const values = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) values.push(Number((k * step).toPrecision(12)));
  return values;
}

/** Range of the numbers in some series. @param {(number | null)[][]} series @returns {[number, number]} */
function range(series) {
  let [low, high] = [Infinity, -Infinity];
  for (const values of series)
    for (const v of values)
      if (v !== null && Number.isFinite(v)) [low, high] = [Math.min(low, v), Math.max(high, v)];
  if (low > high) return [0, 1];
  return low === high ? [low - Math.abs(low || 1) / 2, high + Math.abs(high || 1) / 2] : [low, high];
}

/** @param {{title: string, x: string, y: string, data: (number | null)[][], names: string[], mark?: {at: number, text: string}}} props  data[0] is x */
export function Chart({ title, x, y, data, names, mark }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [width, setWidth] = useState(300);
  useEffect(() => {
    const root = /** @type {HTMLElement} */ (box.current);
    const watch = new ResizeObserver(() => setWidth(root.clientWidth || 300));
    watch.observe(root);
    return () => watch.disconnect();
  }, []);
  const last = names.map((name, k) => `${name} ${format(data[k + 1].at(-1))}`).join(", ");
  const [xs, ...series] = data;
  const [x0, x1] = range([xs]);
  const [y0, y1] = range(series);
  const toX = (/** @type {number} */ v) => LEFT + ((v - x0) / (x1 - x0)) * (width - LEFT - RIGHT);
  const toY = (/** @type {number} */ v) => HEIGHT - BOTTOM - ((v - y0) / (y1 - y0)) * (HEIGHT - TOP - BOTTOM);
  const floor = HEIGHT - BOTTOM;
  return html`<figure class="chart" aria-label=${`${title}: ${last || "no points yet"}`} role="img">
    <div class="plot" ref=${box}><svg width=${width} height=${HEIGHT} aria-hidden="true">
      ${ticks(y0, y1, 4).map((v) => html`<path class="grid" d=${`M${LEFT} ${toY(v)}H${width - RIGHT}`} /><text class="end" x=${LEFT - 6} y=${toY(v) + 4}>${v}</text>`)}
      ${ticks(x0, x1, Math.max(2, Math.floor(width / 90))).map((v) => html`<path class="grid" d=${`M${toX(v)} ${TOP}V${floor}`} /><text class="middle" x=${toX(v)} y=${floor + 15}>${v}</text>`)}
      ${x && html`<text class="middle" x=${(LEFT + width - RIGHT) / 2} y=${HEIGHT - 5}>${x}</text>`}
      ${y && html`<text class="middle" transform=${`translate(11 ${(TOP + floor) / 2}) rotate(-90)`}>${y}</text>`}
      ${mark && html`<path class="grid" stroke-dasharray="4 3" d=${`M${toX(mark.at)} ${TOP}V${floor}`} /><text x=${toX(mark.at) + 5} y=${TOP + 11}>${mark.text}</text>`}
      ${series.map((values, k) => {
        const points = values.flatMap((v, i) => (v === null || !Number.isFinite(v) ? [] : [`${toX(Number(xs[i])).toFixed(1)} ${toY(v).toFixed(1)}`]));
        return html`<g class=${`series series-${k % 2}`}>${points.length > 0 && html`<path d=${`M${points.join("L")}`} />`}
          ${points.length < 30 && points.map((p) => html`<circle cx=${p.split(" ")[0]} cy=${p.split(" ")[1]} r="2.5" />`)}</g>`;
      })}
    </svg></div>
  </figure>`;
}

/** @param {number | null | undefined} value */
const format = (value) => (value == null ? "–" : Number(value).toPrecision(3));
