// @ts-check
// Selection of picks: histogram of scores with the threshold, and the metrics at that threshold.

import { html, useEffect, useRef } from "../../vendor/ui.js";
import { countHere } from "../corrections.js";
import { mergeBins, nearestEdge } from "../histogram.js";
import { keyFor } from "../keys.js";
import * as store from "../store.js";
import { count, NumberBox, percent, plural, Slide, StillRunning } from "../widgets.js";

const BARS = 128;

/** @param {{setThreshold: (t: number, final: boolean) => void, setLimits: (change: object) => void, go: (step: string) => void, choose: (id: string) => void}} props */
export function ThresholdPanel({ setThreshold, setLimits, go, choose }) {
  const runs = store.runs.value.filter((r) => r.has_picks);
  const { value: scores } = store.scores;
  if (!runs.length) return html`<section aria-label="Threshold"><header><h2 class="cap">Picks</h2></header>
    <p class="muted">There are no picks yet. Label some particles, then train a model.</p>
    <div class="buttons"><button onClick=${() => go("train")}>Go to Train</button></div></section>`;
  return html`<section aria-label="Threshold">
    <header><h2 class="cap">Threshold</h2></header>
    <label class="field"><span class="sr">Run</span><select value=${store.runId.value ?? ""} onChange=${(/** @type {import("../types.js").FieldEvent} */ e) => choose(e.target.value)}>
      ${runs.map((r) => html`<option key=${r.id} value=${r.id}>${r.title}</option>`)}</select></label>
    <${StillRunning} />
    ${scores && html`<${Counts} scores=${scores} setThreshold=${setThreshold} />
      <${Metrics} scores=${scores} go=${go} />
      <${Slide} name="Minimum edge distance" unit="Å" off="none" min=${0} max=${1000} step=${5} value=${scores.edge_ang ?? 0}
        on=${(/** @type {number} */ edge_ang, /** @type {boolean} */ final) => final && setLimits({ edge_ang })} />
      <${Slide} name="Minimum pick distance" unit="Å" off="as picked" min=${0} max=${1000} step=${5} value=${scores.min_distance_ang ?? 0}
        on=${(/** @type {number} */ min_distance_ang, /** @type {boolean} */ final) => final && setLimits({ min_distance_ang })} />`}
  </section>`;
}

/** @param {{scores: import("../types.js").RunScores, setThreshold: (t: number, final: boolean) => void}} props */
function Counts({ scores, setThreshold }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const t = store.threshold.value ?? 0;
  const { edges, totals } = scores;
  const bin = nearestEdge(edges, t);
  const last = edges.length - 1;
  useEffect(() => draw(canvas.current, scores, bin), [scores, bin, store.theme.value]);
  const picked = totals[bin];
  const added = scores.added?.[bin] ?? 0;
  const rejected = scores.rejections?.[bin] ?? 0;
  const total = picked + added;
  const onMicrograph = countHere();
  const dragThreshold = (/** @type {PointerEvent} */ e) => {
    if (!(e.buttons & 1)) return;
    const box = /** @type {HTMLElement} */ (e.currentTarget).getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (e.clientX - box.left) / box.width));
    setThreshold(edges[Math.round(share * last)], false);
  };
  return html`
    <div class="histogram">
      <canvas ref=${canvas} width="548" height="190" aria-hidden="true" onPointerDown=${dragThreshold} onPointerMove=${dragThreshold}
        onPointerUp=${() => setThreshold(t, true)}></canvas>
      <input type="range" aria-label="Threshold" min="0" max=${last} step="1" value=${bin} aria-valuetext=${`${edges[bin].toFixed(2)}, ${count(total)} particles`}
        onInput=${(/** @type {import("../types.js").FieldEvent} */ e) => setThreshold(edges[Number(e.target.value)], false)}
        onChange=${(/** @type {import("../types.js").FieldEvent} */ e) => setThreshold(edges[Number(e.target.value)], true)} />
    </div>
    <label class="unit" style="justify-content:space-between"><span>Minimum score</span>
      <${NumberBox} aria-label="Threshold, score" value=${t}
        on=${(/** @type {number | null} */ v) => v !== null && setThreshold(v, true)} /></label>
    <div class="kept"><strong class="num" data-test="kept">${count(total)}</strong><span>particles <span class="muted">of ${count(totals[0])} picks</span><br />
      <span class="muted small">${count(Math.round(total / Math.max(1, scores.n_micrographs)))} per micrograph</span></span></div>
    ${(added > 0 || rejected > 0) && html`<p class="muted small num" data-test="corrections">${count(picked + rejected)} picked${rejected > 0 && html` − ${count(rejected)} rejected`}${added > 0 && html` + ${count(added)} added by hand`}</p>`}
    ${onMicrograph && html`<p class="muted small num"><span data-test="here">On this micrograph ${count(onMicrograph.particles)} of ${count(onMicrograph.candidates)}.</span> <span class="nowrap">Keys <kbd>${keyFor("lower")}</kbd> <kbd>${keyFor("higher")}</kbd></span></p>`}
    ${scores.suggestions?.length > 0 && html`<div class="buttons small">${scores.suggestions.map((s) => html`
      <button key=${s.name} title=${s.reason} onClick=${() => setThreshold(s.threshold, true)}>${s.name}</button>`)}</div>`}`;
}

/** @param {{scores: import("../types.js").RunScores, go: (step: string) => void}} props */
function Metrics({ scores, go }) {
  const { recall, precision, estimated, is_calibrated: isCalibrated = true } = scores.metrics ?? {};
  const interval = (/** @type {import("../types.js").Interval | undefined} */ i) => i ? html`${percent(i.value)} <span class="muted nowrap">(${Math.round(100 * i.low)} to ${percent(i.high)})</span>` : html`<span class="muted">unknown</span>`;
  return html`${!isCalibrated && html`<p class="note warn" data-test="ranking-only">Ranking only: these scores are not calibrated. They order the picks, but do not estimate precision, recall or numbers.</p>`}
  ${estimated?.is_capped && html`<p class="note warn" data-test="capped">No micrograph clearly shows particles, so the automatic threshold keeps at most one pick of each. Check the micrographs, the diameter and the pixel size.</p>`}
  <table class="metrics small"><thead><tr><th><span class="sr">Metric</span></th><th>Estimated</th><th>Measured</th></tr></thead><tbody>
    <tr><th scope="row">Precision</th><td data-test="estimated-precision">${interval(estimated?.precision)}</td>
      <td data-test="precision">${precision?.value == null ? html`<span class="muted">unknown</span>`
      : html`${percent(precision.value)} <span class="muted">(${percent(precision.low)} to ${percent(precision.high)})</span>`}</td></tr>
    <tr><th scope="row">Recall</th><td data-test="estimated-recall">${interval(estimated?.recall)}</td>
      <td title="On labelled particles that were held out of the training">${recall?.value == null ? html`<span class="muted">unknown</span>` : html`${percent(recall.value)} <span class="muted">of ${count(recall.n)}</span>`}</td></tr>
  </tbody></table>
  ${estimated?.count && html`<p class="muted small num">Expected from the scores: about ${roundCount(estimated.per_micrograph ?? 0)} particles per micrograph, ${roundTotal(estimated.count.value)} in all (<span class="nowrap">95 %</span>: ${roundTotal(estimated.count.low)} to ${roundTotal(estimated.count.high)}).</p>`}
  ${precision?.value == null ? html`<button class="small" onClick=${() => go("review:random")}>Review 40 random picks (2 min)</button>`
    : html`<p class="muted small">Measured with ${plural(precision.n, "pick")} ${precision.from ?? "reviewed at random"}.</p>`}`;
}

/** Two figures of an estimated number. @param {number} n */
const roundCount = (n) => count(Number(n.toPrecision(2)));
/** @param {number} n */
const roundTotal = (n) => roundCount(Math.round(n));

/** @param {HTMLCanvasElement | null} canvas @param {import("../types.js").RunScores} scores @param {number} bin */
function draw(canvas, scores, bin) {
  if (!canvas) return;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const { width, height } = canvas;
  const style = getComputedStyle(canvas);
  pen.clearRect(0, 0, width, height);
  const bars = mergeBins(scores.counts, BARS);
  const highest = Math.sqrt(Math.max(1, ...bars));
  const at = (bin / (scores.edges.length - 1)) * width;
  const floor = height - 8;
  bars.forEach((n, i) => {
    const x = (i * width) / BARS;
    const h = n ? Math.max(2, (Math.sqrt(n) / highest) * (floor - 6)) : 0;
    pen.fillStyle = x >= at - 1 ? style.color : style.borderTopColor;
    pen.fillRect(x, floor - h, width / BARS - 1, h);
  });
  pen.fillStyle = style.borderTopColor;
  pen.fillRect(0, floor, width, 2);
  pen.fillStyle = style.outlineColor;
  for (const s of scores.suggestions ?? []) {
    const x = (nearestEdge(scores.edges, s.threshold) / (scores.edges.length - 1)) * width;
    for (let y = 0; y < floor; y += 8) pen.fillRect(x - 1, y, 2, 4);
  }
  pen.fillStyle = style.caretColor;
  pen.fillRect(at - 1.5, 0, 3, height);
  pen.beginPath();
  pen.moveTo(at - 9, 0);
  pen.lineTo(at + 9, 0);
  pen.lineTo(at, 11);
  pen.fill();
}
