// @ts-check
// Images of micrographs from the server: coarse while a slider moves, as fine as the screen can show afterwards;
// images of the neighbours are prefetched.

import { address, ask, RequestError } from "./api.js";
import * as list from "./micrographs.js";
import * as store from "./store.js";
import { byteCounts } from "./viewer/lut.js";
import { greysOf } from "./viewer/tiles.js";

/** @typedef {import("./viewer/stage.js").Plane} Plane */

const [COARSE, MEDIUM, FINE] = [512, 1024, 2048];
const MAX_BYTES = 64e6;
/** @type {Map<string, {loading: Promise<Plane>, size: number}>} */
const cache = new Map();
/** The image that is shown or being loaded. @type {{what: string, control: AbortController, shown: Promise<boolean>, fine: boolean}} */
let now = { what: "", control: new AbortController(), shown: Promise.resolve(false), fine: false };

/** @param {import("./types.js").Lens} lens @param {number} n */
function query(lens, n) {
  // Filters need the pixel size, because their resolution is in ångströms.
  // The server has its own pixel size; here it tells cached images of an earlier one apart.
  const px = store.project.value.pixel_size_ang;
  if (lens.view === "denoised") return { n: Math.max(n, MEDIUM), variant: "denoised", px };
  if (lens.view === "raw" || !store.pixelSize.value) return { n, variant: "raw" };
  return { n, variant: "filtered", lp: lens.lowpass || undefined, hp: lens.highpass || undefined, px };
}

/** @param {number} id @param {object} variant @param {AbortSignal} [signal] @returns {Promise<Plane>} */
export async function fetchPlane(id, variant, signal) {
  const response = await ask(`micrographs/${id}/display`, { query: { ...variant }, signal });
  const scale = Number(response.headers.get("X-Scale")) || 1;
  const x0 = Number(response.headers.get("X-Origin-X")) || 0;
  const y0 = Number(response.headers.get("X-Origin-Y")) || 0;
  const bitmap = await createImageBitmap(await response.blob());
  const { bytes, width, height } = greysOf(bitmap);
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
 * @param {import("./types.js").MicrographRow | null} m @param {import("./types.js").Lens} lens @param {boolean} fine @param {(plane: Plane | null) => void} show */
export function loadPlane(m, lens, fine, show) {
  const first = query(lens, lens.moving ? COARSE : MEDIUM);
  const what = m && !m.problem ? `${m.id} ${JSON.stringify(first)}` : "";
  /** @param {import("./types.js").MicrographRow} row @param {object} variant @param {typeof now} request @returns {Promise<boolean>} */
  const fill = async (row, variant, request) => {
    try {
      const loaded = await plane(row.id, variant, request.control.signal);
      if (request !== now) return false;
      store.greys.value = loaded.counts;
      store.failure.value = null;
      store.settle("image");
      show(loaded);
      return true;
    } catch (error) {
      if (request === now && !request.control.signal.aborted) {
        const text = /** @type {Error} */ (error).message;
        // An answer of the server concerns the file; without one the connection is interrupted.
        if (error instanceof RequestError && error.status < 500) {
          store.failure.value = { id: row.id, text };
          store.greys.value = null;
          show(null);
        } else {
          now.what = "";
          store.notify(`${row.name} cannot be shown: ${text}`, "bad", { cause: "image" });
        }
      }
      return false;
    } finally {
      if (request === now) store.loading.value = false;
    }
  };
  if (what !== now.what) {
    now.control.abort();
    now = { what, control: new AbortController(), shown: Promise.resolve(false), fine: false };
    store.failure.value = null;
    if (!m || !what) return void (store.greys.value = null);
    const request = now;
    store.loading.value = true;
    request.shown = fill(m, first, request);
    request.shown.then((shown) => void (shown && !lens.moving && prefetch(request, lens)));
  }
  // Images that still change are not loaded at a finer resolution.
  if (!m || !what || !fine || now.fine || lens.moving || Math.max(m.width_px, m.height_px) <= MEDIUM) return;
  now.fine = true;
  const request = now;
  request.shown.then((shown) => void (shown && request === now && fill(m, query(lens, FINE), request)));
}

/** Prefetch the neighbours, the next one first. @param {typeof now} request @param {import("./types.js").Lens} lens */
async function prefetch(request, lens) {
  await new Promise(requestAnimationFrame); // so that the current image is painted before other requests start
  for (const by of lens.view === "denoised" ? [1] : [1, -1]) {
    const neighbour = await list.neighbour(by).catch(() => null);
    if (request !== now) return;
    // Not aborted when the user moves on, because this image is usually the next one shown.
    if (neighbour && !neighbour.problem) await plane(neighbour.id, query(lens, MEDIUM)).catch(() => {});
  }
}

/** Filters of the tiles at full resolution. @param {import("./types.js").Lens} lens */
export function tileQuery(lens) {
  const { lp, hp, px } = query(lens, FINE);
  return { lp, hp, px };
}

/** Draw the next image even if it is unchanged, because the stage is new. */
export const forceReload = () => void (now.what = "");
