// @ts-check
// Drawing of thousands of rings directly into pixels, several times faster than one image per ring.

import { SCORE_STEPS, scoreColour } from "./stamps.js";

/** @typedef {{n: number, x: Float32Array, y: Float32Array, score: Float32Array}} PickSet */

/** @type {ImageData | null} */
let buffer = null;
/** @type {Uint32Array | null} */
let colours = null;

/** Pixels of a ring around (0, 0): [dx, dy, …]. @param {number} radius @param {number} inner @param {number} outer */
function ring(radius, inner, outer) {
  const offsets = [];
  const far = Math.ceil(radius + outer);
  for (let dy = -far; dy <= far; dy++)
    for (let dx = -far; dx <= far; dx++) {
      const d = Math.hypot(dx, dy) - radius;
      if (d >= inner && d < outer) offsets.push(dx, dy);
    }
  return Int32Array.from(offsets);
}

function palette() {
  if (colours) return colours;
  colours = new Uint32Array(SCORE_STEPS + 1);
  for (let k = 0; k <= SCORE_STEPS; k++) {
    const [r, g, b] = (scoreColour(k / SCORE_STEPS).match(/\d+/g) ?? []).map(Number);
    colours[k] = (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
  }
  return colours;
}

/** Replace the content of the canvas by the rings of picks.
 * @param {CanvasRenderingContext2D} pen @param {PickSet} picks @param {(i: number) => boolean} shown
 * @param {{scale: number, left: number, top: number, radius: number, ratio: number, low: number, high: number}} props device px */
export function rasterPicks(pen, picks, shown, { scale, left, top, radius, ratio, low, high }) {
  const { width, height } = pen.canvas;
  if (!buffer || buffer.width !== width || buffer.height !== height) buffer = new ImageData(width, height);
  const out = new Uint32Array(buffer.data.buffer);
  out.fill(0);
  const r = Math.max(2, Math.round(radius));
  const half = 0.75 * ratio;
  const line = ring(r, -half, half);
  const dark = ring(r, half, half + ratio);
  const table = palette();
  const steps = SCORE_STEPS / (high - low || 1);
  const reach = r + 3 * ratio;
  /** @param {Int32Array} offsets @param {number} sx @param {number} sy @param {number} colour */
  const write = (offsets, sx, sy, colour) => {
    if (sx >= reach && sy >= reach && sx < width - reach && sy < height - reach) {
      const middle = sy * width + sx;
      for (let k = 0; k < offsets.length; k += 2) out[middle + offsets[k + 1] * width + offsets[k]] = colour;
      return;
    }
    for (let k = 0; k < offsets.length; k += 2) {
      const px = sx + offsets[k];
      const py = sy + offsets[k + 1];
      if (px >= 0 && py >= 0 && px < width && py < height) out[py * width + px] = colour;
    }
  };
  for (let i = 0; i < picks.n; i++) {
    const sx = Math.round(left + picks.x[i] * scale);
    const sy = Math.round(top + picks.y[i] * scale);
    if (sx < -reach || sy < -reach || sx > width + reach || sy > height + reach || !shown(i)) continue;
    const step = Math.min(SCORE_STEPS, Math.max(0, Math.round((picks.score[i] - low) * steps)));
    write(dark, sx, sy, 0xb3000000);
    write(line, sx, sy, table[step]);
  }
  pen.putImageData(buffer, 0, 0);
}
