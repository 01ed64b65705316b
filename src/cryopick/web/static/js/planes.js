// @ts-check
// Pictures of micrographs from the server: coarse while a slider moves, fine when it rests, the next one ahead of time.

import { address, ask } from "./api.js";
import * as store from "./store.js";
import { byteCounts } from "./viewer/lut.js";

/** @typedef {import("./viewer/stage.js").Plane} Plane */

const KEEP = 6;
/** @type {Map<string, Promise<Plane>>} */
const kept = new Map();
/** @type {AbortController | null} */
let current = null;
let asked = "";
/** @type {ReturnType<typeof setTimeout> | undefined} */
let finer;

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
  // Pixel i of the picture has its middle at x0 + i * scale of the micrograph.
  const place = { x: x0 - scale / 2, y: y0 - scale / 2, width: width * scale, height: height * scale };
  return { bytes, width, height, place };
}

/** @param {any} id @param {object} wanted @param {AbortSignal} [signal] */
function plane(id, wanted, signal) {
  const key = address(`micrographs/${id}/display`, { ...wanted });
  const known = kept.get(key);
  if (known) return known;
  const made = fetchPlane(id, wanted, signal);
  kept.set(key, made);
  made.catch(() => kept.delete(key));
  for (const old of [...kept.keys()].slice(0, Math.max(0, kept.size - KEEP))) kept.delete(old);
  return made;
}

/** Show a micrograph as the lens says; asks again only when something that the server must do has changed.
 * @param {any} m @param {any} lens @param {any} run @param {(plane: Plane, scores: boolean) => void} show */
export function loadPlane(m, lens, run, show) {
  const scores = lens.view === "scores";
  const coarse = query(lens, run, lens.moving ? 512 : 1024);
  const what = m && !m.problem ? `${m.id} ${JSON.stringify(coarse)}` : "";
  if (what === asked) return;
  asked = what;
  clearTimeout(finer);
  current?.abort();
  if (!what) return;
  const control = (current = new AbortController());
  store.loading.value = true;
  /** @param {object} wanted */
  const fill = async (wanted) => {
    try {
      const got = await plane(m.id, wanted, control.signal);
      if (control.signal.aborted) return false;
      store.greys.value = byteCounts(got.bytes);
      show(got, scores);
      return true;
    } catch (error) {
      if (!control.signal.aborted) {
        asked = "";
        store.tell(`${m.name} cannot be shown: ${/** @type {Error} */ (error).message}`, "bad");
      }
      return false;
    } finally {
      if (!control.signal.aborted) store.loading.value = false;
    }
  };
  fill(coarse).then((shown) => {
    if (shown && !lens.moving && Math.max(m.width_px, m.height_px) > 1024)
      finer = setTimeout(() => fill(query(lens, run, 2048)), 60);
  });
}

/** Have the next micrograph ready. @param {any} id */
export const prefetch = (id) => void plane(id, query(store.lens.value, store.runId.value, 1024)).catch(() => {});

/** What is kept of a run's score maps is no longer true. */
export const forget = () => (again(), kept.clear());
/** The next wish is fulfilled even if it is the last one again: the stage is new. */
export const again = () => void (asked = "");
