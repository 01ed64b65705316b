// @ts-check
// Symbols of labels and picks, drawn once and copied many times. Each symbol has a dark outline, so that it is visible
// on bright carbon and on dark ice; labels and picks differ in shape, not only in colour.

import { cividis } from "./lut.js";

/** @type {Record<string, {colour: string, shape: string, width: number}>} */
export const MARKS = {
  pos: { colour: "#4be39a", shape: "ticked", width: 2 },
  neg: { colour: "#ff8a5c", shape: "square", width: 2 },
  unsure: { colour: "#ffd84d", shape: "dashed", width: 2 },
  selected: { colour: "#ffffff", shape: "circle", width: 3 },
  pick: { colour: "#6fc3ff", shape: "circle", width: 1.8 },
};

/** Colour of the outline. */
export const HALO = "rgba(0,0,0,0.7)";

export const SCORE_STEPS = 24;
/** The colour of a score: 0 (lowest shown) to 1 (highest), in the upper part of cividis, which is visible on grey. @param {number} t */
export function scoreColour(t) {
  const step = Math.round(Math.min(1, Math.max(0, t)) * SCORE_STEPS) / SCORE_STEPS;
  const low = [104, 178, 255];
  const high = cividis(1);
  const middle = [196, 178, 214];
  const [a, b, u] = step < 0.5 ? [low, middle, step * 2] : [middle, high, step * 2 - 1];
  const [r, g, bl] = a.map((v, k) => Math.round(v + (b[k] - v) * u));
  return `rgb(${r},${g},${bl})`;
}

/** @type {Map<string, HTMLCanvasElement>} */
const cache = new Map();

/** Image of a symbol, centred, with sizes in device pixels.
 * @param {{colour: string, shape: string, width: number}} mark @param {number} radius @param {number} ratio device px per CSS px */
export function stamp(mark, radius, ratio) {
  const r = Math.max(2, Math.round(radius));
  const key = `${mark.colour}|${mark.shape}|${mark.width}|${r}|${ratio}`;
  const cached = cache.get(key);
  if (cached) return cached;
  if (cache.size > 400) cache.clear();
  const line = mark.width * ratio;
  const side = 2 * Math.ceil(r + line + 2 + (mark.shape === "ticked" ? 7 * ratio : 0));
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const m = side / 2;
  pen.beginPath();
  if (mark.shape === "square") pen.rect(m - r * 0.86, m - r * 0.86, r * 1.72, r * 1.72);
  else pen.arc(m, m, r, 0, 2 * Math.PI);
  if (mark.shape === "ticked") {
    // Four short lines across the circle, as in the sight of a telescope.
    const tick = Math.max(2.5 * ratio, Math.min(r * 0.3, 7 * ratio));
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(m + dx * (r - tick), m + dy * (r - tick));
      pen.lineTo(m + dx * (r + tick), m + dy * (r + tick));
    }
  }
  pen.lineWidth = line + 2 * ratio;
  pen.strokeStyle = HALO;
  pen.stroke();
  if (mark.shape === "dashed") pen.setLineDash([4 * ratio, 3 * ratio]);
  pen.lineWidth = line;
  pen.strokeStyle = mark.colour;
  pen.stroke();
  if (r > 9 * ratio) {
    pen.setLineDash([]);
    pen.fillStyle = mark.colour;
    pen.beginPath();
    pen.arc(m, m, 1.1 * ratio, 0, 2 * Math.PI);
    pen.fill();
  }
  cache.set(key, canvas);
  return canvas;
}

/** @type {CanvasPattern | null} */
let hatch = null;
/** Hatching of exclusion regions. @param {CanvasRenderingContext2D} pen */
export function hatching(pen) {
  if (hatch) return hatch;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 10;
  const p = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  p.fillStyle = "rgba(233,84,170,0.14)";
  p.fillRect(0, 0, 10, 10);
  p.strokeStyle = "rgba(255,120,196,0.75)";
  p.lineWidth = 1.4;
  for (const k of [-10, 0, 10]) {
    p.beginPath();
    p.moveTo(k - 1, 11);
    p.lineTo(k + 11, -1);
    p.stroke();
  }
  hatch = pen.createPattern(tile, "repeat");
  return hatch;
}
