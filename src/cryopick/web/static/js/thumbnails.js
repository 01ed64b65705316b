// @ts-check
// Thumbnails of micrographs with rings on their picks, drawn into pixels, so that a wall of them follows the threshold.

import { ask } from "./api.js";
import { unpack } from "./picks.js";
import { scoreColour } from "./viewer/stamps.js";
import { greysOf } from "./viewer/tiles.js";

/** @typedef {{bytes: Uint8Array, width: number, height: number, scale: number}} Thumbnail  scale: micrograph px per pixel */
/** @typedef {ReturnType<typeof unpack>} PickSet */

const MAX_KEPT = 600;

/** Values by key, of which the least recently used are removed. @template T */
class Kept {
  /** @param {(key: string) => Promise<T>} fetch */
  constructor(fetch) {
    this.fetch = fetch;
    /** @type {Map<string, T | null>} null while it is loading */
    this.map = new Map();
  }

  /** @param {string} key @param {() => void} arrived @returns {T | null} */
  get(key, arrived) {
    const known = this.map.get(key);
    if (known !== undefined) {
      this.map.delete(key);
      this.map.set(key, known);
      return known;
    }
    this.map.set(key, null);
    this.fetch(key).then((value) => {
      if (!this.map.has(key)) return; // forgotten meanwhile
      this.map.set(key, value);
      for (const first of this.map.keys()) {
        if (this.map.size <= MAX_KEPT) break;
        this.map.delete(first);
      }
      arrived();
    }, () => this.map.delete(key));
    return null;
  }

  /** Forget all values, which have changed. */
  clear() {
    this.map.clear();
  }
}

/** Images by "micrograph low-pass pixel-size", such as "12 20 1.77"; a low-pass of 0 for none. */
export const images = new Kept(async (key) => {
  const [id, lp] = key.split(" ");
  const filter = Number(lp) ? { variant: "filtered", lp } : {};
  const response = await ask(`micrographs/${id}/display`, { query: { n: 256, ...filter } });
  const scale = Number(response.headers.get("X-Scale")) || 1;
  return { ...greysOf(await createImageBitmap(await response.blob())), scale };
});

/** Picks that nobody has rejected, and labels with the best score of the picks near each. */
export const pickSets = new Kept(async (key) => {
  const [run, id] = key.split(" ");
  return unpack(await (await ask(`micrographs/${id}/picks`, { query: { run, corrected: true } })).arrayBuffer());
});

/** Number of particles: picks at or above a threshold, and labels without such a pick. @param {PickSet} set @param {number} threshold */
export const countParticles = (set, threshold) => countAbove(set, threshold) + set.labels.score.filter((best) => best < threshold).length;

/** Number of picks at or above a threshold; they are sorted by descending score. @param {PickSet} set @param {number} threshold */
function countAbove(set, threshold) {
  let [low, high] = [0, set.n];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (set.score[middle] >= threshold) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @type {Map<number, Int32Array>} */
const rings = new Map();
/** Pixels of a ring: [dx, dy, …]. @param {number} radius */
function ring(radius) {
  const cached = rings.get(radius);
  if (cached) return cached;
  const offsets = [];
  for (let dy = -radius - 1; dy <= radius + 1; dy++)
    for (let dx = -radius - 1; dx <= radius + 1; dx++) if (Math.abs(Math.hypot(dx, dy) - radius) < 0.5) offsets.push(dx, dy);
  const made = Int32Array.from(offsets);
  rings.set(radius, made);
  return made;
}

const COLOURS = 24;
const LABEL = 0xff9ae34b; // of particles added by hand, as on the micrograph
/** @type {Uint32Array | null} */
let palette = null;
function colours() {
  palette ??= Uint32Array.from({ length: COLOURS + 1 }, (_, k) => {
    const [r, g, b] = (scoreColour(k / COLOURS).match(/\d+/g) ?? []).map(Number);
    return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
  });
  return palette;
}

/** Draw a thumbnail with the picks at or above a threshold, and the labels without such a pick.
 * @param {HTMLCanvasElement} canvas @param {Thumbnail} image @param {PickSet | null} set
 * @param {{width: number, threshold: number, radius: number, range: [number, number], table: Uint32Array}} look  width and radius in canvas and micrograph px
 * @returns {number} rings drawn */
export function drawThumbnail(canvas, image, set, { width, threshold, radius, range, table }) {
  const zoom = width / image.width;
  const height = Math.round(image.height * zoom);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pixels = new ImageData(width, height);
  const out = new Uint32Array(pixels.data.buffer);
  for (let y = 0; y < height; y++) {
    const row = Math.min(image.height - 1, Math.floor(y / zoom)) * image.width;
    for (let x = 0; x < width; x++) out[y * width + x] = table[image.bytes[row + Math.min(image.width - 1, Math.floor(x / zoom))]];
  }
  const scale = zoom / image.scale;
  const r = Math.max(2, Math.round(radius * scale));
  const [dark, line] = [ring(r + 1), ring(r)];
  const steps = COLOURS / (range[1] - range[0] || 1);
  const mark = (/** @type {{x: Float32Array, y: Float32Array}} */ at, /** @type {number} */ i, /** @type {number} */ colour) => {
    const [cx, cy] = [Math.round((at.x[i] + 0.5) * scale), Math.round((at.y[i] + 0.5) * scale)];
    write(out, width, height, dark, cx, cy, 0xff000000);
    write(out, width, height, line, cx, cy, colour);
  };
  if (set) {
    for (let i = countAbove(set, threshold) - 1; i >= 0; i--) mark(set, i, colours()[Math.min(COLOURS, Math.max(0, Math.round((set.score[i] - range[0]) * steps)))]);
    for (let i = 0; i < set.labels.n; i++) if (set.labels.score[i] < threshold) mark(set.labels, i, LABEL);
  }
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(pixels, 0, 0);
  return set ? countParticles(set, threshold) : 0;
}

/** @param {Uint32Array} out @param {number} width @param {number} height @param {Int32Array} offsets @param {number} cx @param {number} cy @param {number} colour */
function write(out, width, height, offsets, cx, cy, colour) {
  for (let k = 0; k < offsets.length; k += 2) {
    const x = cx + offsets[k];
    const y = cy + offsets[k + 1];
    if (x >= 0 && y >= 0 && x < width && y < height) out[y * width + x] = colour;
  }
}
