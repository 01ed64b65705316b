// @ts-check
// One crop after another: is it a particle?

import { html, signal, useEffect, useRef } from "../../vendor/ui.js";
import { cropAbout } from "../api.js";
import { keyFor } from "../keys.js";
import * as store from "../store.js";
import { count, plural, scored } from "../widgets.js";

/** `said`: which were answered, the last answer last.
 * @type {{value: {run: any, sample: string, items: any[], drawn: any, at: number, answers: Record<number, string>, said: number[]} | null}} */
export const queue = signal(null);

export const SAMPLES = /** @type {Record<string, [string, string]>} */ ({
  uncertain: ["Uncertain", "Places where the detector is least sure. Your answers teach it most; they say nothing about precision."],
  disagree: ["Disagreements", "Particles you marked that score low, and high scores where you marked none."],
  random: ["Random, to measure", "Drawn from the kept picks. Your answers only measure how many of them are right; they hold for this threshold and for higher ones."],
});

/** @param {{begin: (sample: string) => void, answer: (a: string) => void, back: () => void, retrain: () => void}} given */
export function Review({ begin, answer, back, retrain }) {
  const q = queue.value;
  const any = store.runs.value.some((r) => r.has_picks);
  if (!any) return html`<div class="page"><div class="empty"><h1>Nothing to review yet</h1><p>Train a detector and let it pick; then judge here what it is unsure about.</p></div></div>`;
  return html`<div class="page"><div class="inner">
    <header><h1>Review picks</h1><p class="lead">${SAMPLES[q?.sample ?? "uncertain"][1]}</p></header>
    <div class="buttons"><div class="segments" role="group" aria-label="What to review">
      ${Object.entries(SAMPLES).map(([id, [name]]) => html`<button key=${id} aria-pressed=${q?.sample === id} onClick=${() => begin(id)}>${name}</button>`)}</div></div>
    ${q && (q.at < q.items.length ? html`<${One} q=${q} answer=${answer} back=${back} />` : html`<${Done} q=${q} back=${back} retrain=${retrain} begin=${begin} />`)}
  </div></div>`;
}

/** @param {any} given */
function One({ q, answer, back }) {
  const item = q.items[q.at];
  const said = q.answers[q.at];
  useEffect(() => {
    for (const next of q.items.slice(q.at + 1, q.at + 3)) {
      cropOf(next, "near");
      cropOf(next, "smooth");
      cropOf(next, "wide");
    }
  }, [q.at, q.items]);
  return html`<section class="card review" aria-label="Judge a pick">
    <header><h2 class="num">${q.at + 1} of ${q.items.length}</h2>
      <span class="muted small num">score ${scored(item.score)} · ${item.name}</span></header>
    <progress value=${q.at} max=${q.items.length} aria-label="Judged"></progress>
    <div class="crops"><${Crop} item=${item} says="Close" /><${Crop} item=${item} smooth says="Smoothed" /><${Crop} item=${item} wide says="Surroundings" /></div>
    <div class="buttons answers">
      <button class="big" aria-pressed=${said === "yes"} onClick=${() => answer("yes")}><kbd>${keyFor("yes")}</kbd>Particle</button>
      <button class="big" aria-pressed=${said === "no"} onClick=${() => answer("no")}><kbd>${keyFor("no")}</kbd>Not a particle</button>
      <button class="big" aria-pressed=${said === "unsure"} onClick=${() => answer("unsure")}><kbd>${keyFor("unsure")}</kbd>Not sure</button>
      <span class="grow"></span>
      <button class="big plain" disabled=${q.at === 0} onClick=${back}><kbd>${keyFor("back")}</kbd>Back</button>
    </div></section>`;
}

/** Crops that are here or on their way, so that the next pick stands there at once. @type {Map<string, HTMLImageElement>} */
const crops = new Map();

/** @param {any} item @param {"near" | "smooth" | "wide"} how */
function cropOf(item, how) {
  const ang = store.pixelSize.value;
  const side = Math.max(32, Math.min(1000, Math.round(store.radiusPx.value * (how === "wide" ? 9 : 3.2))));
  const filters = { near: Math.max(8, 2.5 * ang), smooth: Math.max(30, store.diameter.value / 4), wide: 20 };
  const { url, at } = cropAbout(item.mid, item.x, item.y, side, ang ? filters[how] : undefined);
  const image = crops.get(url) ?? new Image();
  if (!image.src) image.src = url;
  crops.set(url, image);
  for (const old of [...crops.keys()].slice(0, Math.max(0, crops.size - 24))) crops.delete(old);
  return { image, side, at };
}

/** @param {any} given */
function Crop({ item, smooth, wide, says }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useEffect(() => {
    let gone = false;
    const { image, side, at } = cropOf(item, smooth ? "smooth" : wide ? "wide" : "near");
    image.decode().then(() => !gone && paint(canvas.current, image, side, at), () => {});
    return () => void (gone = true);
  }, [item]);
  return html`<figure><canvas ref=${canvas} width="320" height="320" role="img" aria-label=${`${says} at ${Math.round(item.x)}, ${Math.round(item.y)}`}></canvas>
    <figcaption class="muted small">${says}</figcaption></figure>`;
}

/** @param {HTMLCanvasElement | null} canvas @param {HTMLImageElement} image @param {number} side micrograph px
 * @param {number[]} at where the pick is, 0 to 1 */
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

/** @param {any} given */
function Done({ q, back, retrain, begin }) {
  const said = Object.values(q.answers);
  const n = (/** @type {string} */ a) => said.filter((s) => s === a).length;
  if (!q.items.length) return html`<section class="card"><p>There is nothing of this kind to judge.</p></section>`;
  return html`<section class="card"><h2>${plural(said.length, "pick")} judged</h2>
    <dl class="facts-grid" style="max-width:340px"><dt>Particles</dt><dd>${count(n("yes"))}</dd><dt>Not particles</dt><dd>${count(n("no"))}</dd><dt>Not sure</dt><dd>${count(n("unsure"))}</dd></dl>
    <div class="buttons">${q.sample !== "random" && html`<button class="primary" onClick=${retrain}>Train again with these answers</button>`}
      <button onClick=${() => begin(q.sample)}>Judge more</button><button class="plain" onClick=${back}>Back to the last one</button></div></section>`;
}
