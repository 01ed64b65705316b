// @ts-check
// Review of picks, one crop at a time.

import { html, signal, useEffect, useRef } from "../../vendor/ui.js";
import { cropAround } from "../api.js";
import { keyFor } from "../keys.js";
import * as store from "../store.js";
import { count, plural, formatScore } from "../widgets.js";

/** `answered`: indices of the answered items, in the order of the answers.
 * @type {{value: import("../types.js").ReviewQueue | null}} */
export const queue = signal(null);

const SAMPLES = /** @type {Record<string, [string, string]>} */ ({
  uncertain: ["Uncertain", "Picks with the most uncertain scores. Your answers become labels and improve the next training most; they do not measure the precision."],
  disagree: ["Disagreements", "Labelled particles with low scores, negative labels with high scores and, on fully labelled micrographs, unlabelled picks with high scores. Your answers change the labels."],
  random: ["Random sample", "Drawn from the picks above the threshold. Your answers only measure the precision, at this threshold and at higher ones."],
});

/** @param {{begin: (sample: string) => void, answer: (a: string) => void, back: () => void, retrain: () => void}} props */
export function Review({ begin, answer, back, retrain }) {
  const q = queue.value;
  const hasPicks = store.runs.value.some((r) => r.has_picks);
  if (!hasPicks) return html`<div class="page"><div class="empty"><h1>Nothing to review yet</h1><p>Train a model and pick micrographs first; then review uncertain picks here.</p></div></div>`;
  return html`<div class="page"><div class="inner">
    <header><div class="buttons"><h1 class="grow">Review picks</h1><div class="segments" role="group" aria-label="What to review">
      ${Object.entries(SAMPLES).map(([id, [name]]) => html`<button key=${id} aria-pressed=${q?.sample === id} onClick=${() => begin(id)}>${name}</button>`)}</div></div>
      <p class="lead">${SAMPLES[q?.sample ?? "uncertain"][1]}</p></header>
    ${q && (q.at < q.items.length ? html`<${ReviewItem} q=${q} answer=${answer} back=${back} />` : html`<${ReviewSummary} q=${q} back=${back} retrain=${retrain} begin=${begin} />`)}
  </div></div>`;
}

/** @param {{q: import("../types.js").ReviewQueue, answer: (a: string) => void, back: () => void}} props */
function ReviewItem({ q, answer, back }) {
  const item = q.items[q.at];
  const current = q.answers[q.at];
  useEffect(() => {
    for (const next of q.items.slice(q.at + 1, q.at + 3)) {
      cropOf(next, "near");
      cropOf(next, "smooth");
      cropOf(next, "wide");
    }
  }, [q.at, q.items]);
  return html`<section class="card review" aria-label="Review a pick">
    <header><h2 class="num">${q.at + 1} of ${q.items.length}</h2>
      <span class="muted small num">score ${formatScore(item.score)} · ${item.name}</span></header>
    <progress value=${q.at} max=${q.items.length} aria-label="Reviewed"></progress>
    <div class="crops"><${Crop} item=${item} caption="Close-up" /><${Crop} item=${item} smooth caption="Smoothed" /><${Crop} item=${item} wide caption="Surroundings" /></div>
    <div class="buttons answers">
      <button class="big" aria-pressed=${current === "yes"} onClick=${() => answer("yes")}><kbd>${keyFor("yes")}</kbd>Particle</button>
      <button class="big" aria-pressed=${current === "no"} onClick=${() => answer("no")}><kbd>${keyFor("no")}</kbd>Not a particle</button>
      <button class="big" aria-pressed=${current === "unsure"} onClick=${() => answer("unsure")}><kbd>${keyFor("unsure")}</kbd>Not sure</button>
      <span class="grow"></span>
      <button class="big plain" disabled=${q.at === 0} onClick=${back}><kbd>${keyFor("back")}</kbd>Back</button>
    </div></section>`;
}

/** Cache of crops, so that the next pick is shown immediately. @type {Map<string, HTMLImageElement>} */
const crops = new Map();

/** @param {import("../types.js").ReviewItem} item @param {"near" | "smooth" | "wide"} how */
function cropOf(item, how) {
  const ang = store.pixelSize.value;
  const side = Math.max(32, Math.min(1000, Math.round(store.radiusPx.value * (how === "wide" ? 9 : 3.2))));
  const filters = { near: Math.max(8, 2.5 * ang), smooth: Math.max(30, store.diameter.value / 4), wide: 20 };
  const { url, at } = cropAround(item.mid, item.x, item.y, side, ang ? filters[how] : undefined);
  const image = crops.get(url) ?? new Image();
  if (!image.src) image.src = url;
  crops.set(url, image);
  for (const old of [...crops.keys()].slice(0, Math.max(0, crops.size - 24))) crops.delete(old);
  return { image, side, at };
}

/** @param {{item: import("../types.js").ReviewItem, smooth?: boolean, wide?: boolean, caption: string}} props */
function Crop({ item, smooth, wide, caption }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useEffect(() => {
    let isRemoved = false;
    const { image, side, at } = cropOf(item, smooth ? "smooth" : wide ? "wide" : "near");
    image.decode().then(() => !isRemoved && paint(canvas.current, image, side, at), () => {});
    return () => void (isRemoved = true);
  }, [item]);
  return html`<figure><canvas ref=${canvas} width="320" height="320" role="img" aria-label=${`${caption} at ${Math.round(item.x)}, ${Math.round(item.y)}`}></canvas>
    <figcaption class="muted small">${caption}</figcaption></figure>`;
}

/** @param {HTMLCanvasElement | null} canvas @param {HTMLImageElement} image @param {number} side micrograph px
 * @param {number[]} at position of the pick in the crop, 0 to 1 */
function paint(canvas, image, side, at) {
  if (!canvas) return;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  const radius = (store.radiusPx.value / side) * canvas.width;
  for (const [width, colour] of /** @type {[number, string][]} */ ([[4, "rgba(0,0,0,.5)"], [1.6, "#ffd84d"]])) {
    pen.beginPath();
    pen.arc(at[0] * canvas.width, at[1] * canvas.height, radius * 1.08, 0, 2 * Math.PI);
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.setLineDash([7, 7]);
    pen.stroke();
  }
}

/** @param {{q: import("../types.js").ReviewQueue, back: () => void, retrain: () => void, begin: (sample: string) => void}} props */
function ReviewSummary({ q, back, retrain, begin }) {
  const answers = Object.values(q.answers);
  const n = (/** @type {string} */ a) => answers.filter((s) => s === a).length;
  if (!q.items.length) return html`<section class="card"><p>There are no such picks to review.</p></section>`;
  return html`<section class="card"><h2>${plural(answers.length, "pick")} reviewed</h2>
    <dl class="facts-grid" style="max-width:340px"><dt>Particles</dt><dd>${count(n("yes"))}</dd><dt>Not particles</dt><dd>${count(n("no"))}</dd><dt>Not sure</dt><dd>${count(n("unsure"))}</dd></dl>
    <div class="buttons">${q.sample !== "random" && html`<button onClick=${retrain}>Train again with these labels</button>`}
      <button onClick=${() => begin(q.sample)}>Review more</button><button class="plain" onClick=${back}>Back to the last pick</button></div></section>`;
}
