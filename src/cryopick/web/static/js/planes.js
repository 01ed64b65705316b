// @ts-check
// Pictures of micrographs from the server: coarse while a slider moves, as fine as the screen can show when it rests,
// and those of the neighbours ahead of time.

import { address, ask } from "./api.js";
import * as list from "./micrographs.js";
import * as store from "./store.js";
import { byteCounts } from "./viewer/lut.js";

/** @typedef {import("./viewer/stage.js").Plane} Plane */

const [COARSE, USUAL, FINE] = [512, 1024, 2048];
const MOST_BYTES = 64e6;
/** @type {Map<string, {made: Promise<Plane>, size: number}>} */
const kept = new Map();
/** What is shown or on its way. @type {{what: string, control: AbortController, shown: Promise<boolean>, fine: boolean}} */
let now = { what: "", control: new AbortController(), shown: Promise.resolve(false), fine: false };

/** @param {any} lens @param {any} run @param {number} n */
function query(lens, run, n) {
  if (lens.view === "scores") return { n, variant: "scores", run };
  // Filters are in ångströms: without a pixel size there are none.
  if (lens.view === "raw" || !store.pixelSize.value) return { n, variant: "raw" };
  return { n, variant: "filtered", lp: lens.lowpass || undefined, hp: lens.highpass || undefined };
}

/** @param {any} id @param {object} wanted @param {AbortSignal} [signal] @returns {Promise<Plane>} */
async function fetchPlane(id, wanted, signal) {
  const response = await ask(`micrographs/${id}/display`, { query: { ...wanted }, signal });
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
  // Pixel i of the picture has its middle at x0 + i * scale of the micrograph.
  const place = { x: x0 - scale / 2, y: y0 - scale / 2, width: width * scale, height: height * scale };
  return { bytes, counts, width, height, place };
}

/** @param {any} id @param {object} wanted @param {AbortSignal} [signal] */
function plane(id, wanted, signal) {
  const key = address(`micrographs/${id}/display`, { ...wanted });
  const known = kept.get(key);
  if (known) {
    kept.delete(key); // the last asked for stands last, and goes last
    kept.set(key, known);
    return known.made;
  }
  const entry = { made: fetchPlane(id, wanted, signal), size: 0 };
  kept.set(key, entry);
  entry.made.then((got) => {
    entry.size = got.bytes.length;
    makeRoom();
  }, () => kept.delete(key));
  return entry.made;
}

/** Forget the pictures that were asked for longest ago. */
function makeRoom() {
  let bytes = 0;
  for (const { size } of kept.values()) bytes += size;
  for (const [key, { size }] of kept) {
    if (bytes <= MOST_BYTES) return;
    if (size) kept.delete(key);
    bytes -= size;
  }
}

/** Whether the screen can show more of a micrograph than the usual picture has: there, whole numbers of pixels are one.
 * @param {any} m @param {number} zoom screen px per micrograph px */
export const wantsFine = (m, zoom) =>
  zoom * (window.devicePixelRatio || 1) * Math.ceil(Math.max(m?.width_px ?? 0, m?.height_px ?? 0) / USUAL) > 1.2;

/** Show a micrograph as the lens says; asks again only when something that the server must do has changed.
 * @param {any} m @param {any} lens @param {any} run @param {boolean} fine @param {(plane: Plane, scores: boolean) => void} show */
export function loadPlane(m, lens, run, fine, show) {
  const scores = lens.view === "scores";
  const first = query(lens, run, lens.moving ? COARSE : USUAL);
  const what = m && !m.problem ? `${m.id} ${JSON.stringify(first)}` : "";
  /** @param {object} wanted @param {typeof now} mine @returns {Promise<boolean>} */
  const fill = async (wanted, mine) => {
    try {
      const got = await plane(m.id, wanted, mine.control.signal);
      if (mine !== now) return false;
      store.greys.value = got.counts;
      show(got, scores);
      return true;
    } catch (error) {
      if (mine === now && !mine.control.signal.aborted) {
        now.what = "";
        store.tell(`${m.name} cannot be shown: ${/** @type {Error} */ (error).message}`, "bad");
      }
      return false;
    } finally {
      if (mine === now) store.loading.value = false;
    }
  };
  if (what !== now.what) {
    now.control.abort();
    now = { what, control: new AbortController(), shown: Promise.resolve(false), fine: false };
    if (!what) return;
    const mine = now;
    store.loading.value = true;
    mine.shown = fill(first, mine);
    mine.shown.then((shown) => void (shown && !lens.moving && lookAhead(mine, lens, run)));
  }
  // A score map has as many pixels as it has; of a picture that still changes nothing finer is asked for.
  if (!what || !fine || now.fine || scores || lens.moving || Math.max(m.width_px, m.height_px) <= USUAL) return;
  now.fine = true;
  const mine = now;
  mine.shown.then((shown) => void (shown && mine === now && fill(query(lens, run, FINE), mine)));
}

/** Have the neighbours ready, the next one first. @param {typeof now} mine @param {any} lens @param {any} run */
async function lookAhead(mine, lens, run) {
  await new Promise(requestAnimationFrame); // the shown one is painted in this frame, before anything competes with it
  for (const by of [1, -1]) {
    const there = await list.neighbour(by).catch(() => null);
    if (mine !== now) return;
    // Not given up when the user goes on: it is mostly this one that is wanted then.
    if (there && !there.problem) await plane(there.id, query(lens, run, USUAL)).catch(() => {});
  }
}

/** What is kept of a run's score maps is no longer true. */
export const forget = () => (again(), kept.clear());
/** The next wish is fulfilled even if it is the last one again: the stage is new. */
export const again = () => void (now.what = "");
