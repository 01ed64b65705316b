// @ts-check
// Size of the particles: estimated by the general model, and shown as a circle on the micrograph.

import { ask, get } from "./api.js";
import * as store from "./store.js";
import { stage } from "./viewer/viewer.js";
import { toImage } from "./viewer/view.js";

const SIMILAR = 0.5; // evidence of other sizes that are offered, relative to the best
const isOpen = (/** @type {import("./types.js").Run} */ run) => run.state === "running" || run.state === "queued";

/** The estimate in progress, if there is one. */
export const sizeRun = () => store.runs.value.find((run) => run.kind === "size" && isOpen(run));

/** Start an estimate. */
export const estimateSize = () => ask("runs", { method: "POST", body: { kind: "size" } });

/** Sizes that the scores suggest, in ångströms, the best first. */
export const likelySizes = () =>
  (store.project.value.size_evidence ?? []).filter((s) => s.evidence >= SIMILAR).sort((a, b) => b.evidence - a.evidence);

/** Read and show the size that a run has estimated. */
export async function takeEstimate() {
  store.project.value = await get("state");
  const ang = store.project.value.diameter_ang;
  if (!ang) return;
  store.diameter.value = ang;
  showSize();
  store.notify(`Estimated particle diameter: ${ang} Å. Compare the circle with particles; change it under Display, or measure one.`, "good");
}

/** Draw a circle of the particle diameter in the middle of the view. */
function showSize() {
  const now = stage.now;
  if (!now || !store.pixelSize.value) return;
  const [x, y] = toImage(now.view, now.size, now.size.width / 2, now.size.height / 2);
  store.ruler.value = [[x - store.radiusPx.value, y], [x + store.radiusPx.value, y]];
}

/** Give the circle on the micrograph another diameter. @param {number} ang */
export function resizeCircle(ang) {
  const line = store.ruler.value;
  if (!line || !store.pixelSize.value) return;
  const [[x1, y1], [x2, y2]] = line;
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [dx, dy] = [x2 - x1, y2 - y1].map((d) => ((d / length) * ang) / store.pixelSize.value / 2);
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  store.ruler.value = [[x - dx, y - dy], [x + dx, y + dy]];
}
