// @ts-check
// Images of micrographs from the server: coarse while a slider moves, as fine as the screen can show afterwards;
// images of the neighbours are prefetched.

import { address, ask } from "./api.js";
import * as list from "./micrographs.js";
import * as store from "./store.js";
import { byteCounts } from "./viewer/lut.js";

/** @typedef {import("./viewer/stage.js").Plane} Plane */

const [COARSE, MEDIUM, FINE] = [512, 1024, 2048];
const MAX_BYTES = 64e6;
/** @type {Map<string, {loading: Promise<Plane>, size: number}>} */
const cache = new Map();
/** The image that is shown or being loaded. @type {{what: string, control: AbortController, shown: Promise<boolean>, fine: boolean}} */
let now = { what: "", control: new AbortController(), shown: Promise.resolve(false), fine: false };

/** @param {import("./types.js").Lens} lens @param {string | null} run @param {number} n */
function query(lens, run, n) {
  if (lens.view === "scores") return { n, variant: "scores", run };
  // Filters need the pixel size, because their resolution is in ångströms.
  if (lens.view === "raw" || !store.pixelSize.value) return { n, variant: "raw" };
  return { n, variant: "filtered", lp: lens.lowpass || undefined, hp: lens.highpass || undefined };
}

/** @param {number} id @param {object} variant @param {AbortSignal} [signal] @returns {Promise<Plane>} */
async function fetchPlane(id, variant, signal) {
  const response = await ask(`micrographs/${id}/display`, { query: { ...variant }, signal });
  const scale = Number(response.headers.get("X-Scale")) || 1;
  const x0 = Number(response.headers.get("X-Origin-X")) || 0;
  const y0 = Number(response.headers.get("X-Origin-Y")) || 0;
  const bitmap = await createImageBitmap(await response.blob());
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = pen.getImageData(0, 0, width, height).data;
  const bytes = new Uint8Array(width * height);
  for (let i = 0; i < bytes.length; i++) bytes[i] = rgba[4 * i];
  const counts = byteCounts(bytes);
  // The centre of image pixel i is at x0 + i * scale in the micrograph.
  const extent = { x: x0 - scale / 2, y: y0 - scale / 2, width: width * scale, height: height * scale };
  return { bytes, counts, width, height, extent };
}

/** @param {number} id @param {object} variant @param {AbortSignal} [signal] */
function plane(id, variant, signal) {
  const key = address(`micrographs/${id}/display`, { ...variant });
  const cached = cache.get(key);
  if (cached) {
    cache.delete(key); // least recently used images are first, and removed first
    cache.set(key, cached);
    return cached.loading;
  }
  const entry = { loading: fetchPlane(id, variant, signal), size: 0 };
  cache.set(key, entry);
  entry.loading.then((loaded) => {
    entry.size = loaded.bytes.length;
    makeRoom();
  }, () => cache.delete(key));
  return entry.loading;
}

/** Remove the least recently used images. */
function makeRoom() {
  let bytes = 0;
  for (const { size } of cache.values()) bytes += size;
  for (const [key, { size }] of cache) {
    if (bytes <= MAX_BYTES) return;
    if (size) cache.delete(key);
    bytes -= size;
  }
}

/** Whether the screen has a higher resolution than the medium image, which is binned by an integer factor.
 * @param {import("./types.js").MicrographRow | null} m @param {number} zoom screen px per micrograph px */
export const wantsFine = (m, zoom) =>
  zoom * (window.devicePixelRatio || 1) * Math.ceil(Math.max(m?.width_px ?? 0, m?.height_px ?? 0) / MEDIUM) > 1.2;

/** Show a micrograph with the display settings; sends a request only if the server must render a new image.
 * @param {import("./types.js").MicrographRow | null} m @param {import("./types.js").Lens} lens @param {string | null} run @param {boolean} fine @param {(plane: Plane, scores: boolean) => void} show */
export function loadPlane(m, lens, run, fine, show) {
  const scores = lens.view === "scores";
  const first = query(lens, run, lens.moving ? COARSE : MEDIUM);
  const what = m && !m.problem ? `${m.id} ${JSON.stringify(first)}` : "";
  /** @param {import("./types.js").MicrographRow} row @param {object} variant @param {typeof now} request @returns {Promise<boolean>} */
  const fill = async (row, variant, request) => {
    try {
      const loaded = await plane(row.id, variant, request.control.signal);
      if (request !== now) return false;
      store.greys.value = loaded.counts;
      show(loaded, scores);
      return true;
    } catch (error) {
      if (request === now && !request.control.signal.aborted) {
        now.what = "";
        store.notify(`${row.name} cannot be shown: ${/** @type {Error} */ (error).message}`, "bad");
      }
      return false;
    } finally {
      if (request === now) store.loading.value = false;
    }
  };
  if (what !== now.what) {
    now.control.abort();
    now = { what, control: new AbortController(), shown: Promise.resolve(false), fine: false };
    if (!m || !what) return;
    const request = now;
    store.loading.value = true;
    request.shown = fill(m, first, request);
    request.shown.then((shown) => void (shown && !lens.moving && prefetch(request, lens, run)));
  }
  // Score maps have a fixed resolution, and images that still change are not loaded at a finer resolution.
  if (!m || !what || !fine || now.fine || scores || lens.moving || Math.max(m.width_px, m.height_px) <= MEDIUM) return;
  now.fine = true;
  const request = now;
  request.shown.then((shown) => void (shown && request === now && fill(m, query(lens, run, FINE), request)));
}

/** Prefetch the neighbours, the next one first. @param {typeof now} request @param {import("./types.js").Lens} lens @param {string | null} run */
async function prefetch(request, lens, run) {
  await new Promise(requestAnimationFrame); // so that the current image is painted before other requests start
  for (const by of [1, -1]) {
    const neighbour = await list.neighbour(by).catch(() => null);
    if (request !== now) return;
    // Not aborted when the user moves on, because this image is usually the next one shown.
    if (neighbour && !neighbour.problem) await plane(neighbour.id, query(lens, run, MEDIUM)).catch(() => {});
  }
}

/** Clear the cache after a run has changed its score maps. */
export const clearCache = () => (forceReload(), cache.clear());
/** Draw the next image even if it is unchanged, because the stage is new. */
export const forceReload = () => void (now.what = "");
