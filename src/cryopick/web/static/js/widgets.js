// @ts-check
// Controls that several panels use.

import { html, useEffect, useRef, useState } from "../vendor/ui.js";
import { keyFor } from "./keys.js";
import * as store from "./store.js";

/** A number field that keeps unfinished input when the page is rendered again, and says so if it does not use a number.
 * @param {{value: number | string | null | undefined, on: (value: number | null) => void, [attribute: string]: unknown}} props  `on`: called with null when the field is emptied */
export function NumberBox({ value, on, ...more }) {
  const [draft, setDraft] = useState(/** @type {string | null} */ (null));
  /** @param {import("./types.js").FieldEvent} e */
  const finish = (e) => {
    setDraft(null);
    const { value: text, min, max, validity } = e.target;
    if (validity.rangeUnderflow || validity.rangeOverflow)
      store.notify(`${count(Number(text))} is not used: enter a number ${max ? `from ${count(Number(min))} to ${count(Number(max))}` : `of at least ${min}`}.`, "warn");
    else if (text === "") on(null);
    else if (Number.isFinite(Number(text))) on(Number(text));
  };
  return html`<input type="number" step="any" ...${more} value=${draft ?? value ?? ""}
    onInput=${(/** @type {import("./types.js").FieldEvent} */ e) => setDraft(e.target.value)} onChange=${finish} />`;
}

/** A slider with a number field.
 * @param {{name: string, value: number, min: number, max: number, step?: number, unit?: string, log?: boolean, off?: string,
 *   on: (value: number, final: boolean) => void}} props  `log`: logarithmic scale; `off`: text for zero */
export function Slide({ name, value, min, max, step = 1, unit = "", log = false, off, on }) {
  const shown = off && !value ? (log ? 0 : min) : value;
  const to = (/** @type {number} */ v) => (log ? (v > 0 ? (100 * Math.log(v / min)) / Math.log(max / min) : -2) : v);
  const from = (/** @type {string} */ text) => {
    const v = Number(text);
    if (!log) return v;
    if (off && v <= -1) return 0;
    return Number((min * (max / min) ** (Math.max(0, v) / 100)).toPrecision(2));
  };
  const low = log ? (off ? -2 : 0) : min;
  /** @param {import("./types.js").FieldEvent} e @param {boolean} final */
  const slide = (e, final) => on(from(e.target.value), final);
  /** @param {number | null} v */
  const type = (v) => v !== null && on(off && v <= 0 ? 0 : Math.min(max, Math.max(min, v)), true);
  return html`<div class="slide">
    <span class="name" aria-hidden="true"><span>${name}</span><span class="muted">${off && !value ? off : unit}</span></span>
    <input type="range" aria-label=${name} min=${low} max=${log ? 100 : max} step=${log ? 0.5 : step} value=${to(shown)}
      aria-valuetext=${off && !value ? off : `${value} ${unit}`}
      onInput=${(/** @type {import("./types.js").FieldEvent} */ e) => slide(e, false)} onChange=${(/** @type {import("./types.js").FieldEvent} */ e) => slide(e, true)} />
    <${NumberBox} aria-label=${`${name}${unit ? `, ${unit}` : ""}`} min=${off ? 0 : min} max=${max} value=${value} on=${type} />
  </div>`;
}

/** A group of buttons, one of which is selected.
 * @param {{name: string, value: string, choices: [string, string, string?][], on: (v: string) => void, wide?: boolean, disabled?: string[]}} props */
export function Segments({ name, value, choices, on, wide, disabled = [] }) {
  return html`<div class=${`segments ${wide ? "wide" : ""}`} role="group" aria-label=${name}>
    ${choices.map(([id, label, action]) => html`<button key=${id} aria-pressed=${value === id} disabled=${disabled.includes(id)}
      title=${action && keyFor(action) ? `${label} (${keyFor(action)})` : label} onClick=${() => on(id)}>${label}</button>`)}
  </div>`;
}

/** Open a dialog; the keyboard focus returns to where it was. @param {{current: HTMLDialogElement | null}} box */
export function useModal(box) {
  useEffect(() => {
    const before = document.activeElement;
    if (!box.current?.open) box.current?.showModal();
    return () => before instanceof HTMLElement && before.focus({ preventScroll: true });
  }, []);
}

/** @param {{name: string, title: string, children?: unknown, footer?: unknown, wide?: boolean}} props */
export function Dialog({ name, title, children, footer, wide }) {
  const box = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useModal(box);
  const close = () => (store.dialog.value = null);
  return html`<dialog ref=${box} aria-labelledby=${`${name}-title`} style=${wide ? { width: "min(1180px, 94vw)", maxWidth: "none" } : {}}
      onClose=${close} onClick=${(/** @type {MouseEvent} */ e) => e.target === box.current && close()}>
    <header><h2 id=${`${name}-title`} class="grow">${title}</h2><button class="plain" aria-label="Close" onClick=${close}>✕</button></header>
    <div class="body">${children}</div>
    ${footer && html`<footer>${footer}</footer>`}
  </dialog>`;
}

/** Note that the chosen run has not picked all micrographs yet. */
export const StillRunning = () => store.run.value?.state === "running" && html`<p class="note warn" data-test="still-running">${store.run.value.title} is still running. The picks of further micrographs follow.</p>`;

/** 1234567 → 1,234,567. @param {number | null | undefined} n */
export const count = (n) => (n == null ? "–" : Number(n).toLocaleString("en"));

/** @param {number} n @param {string} word @param {string} [many] */
export const plural = (n, word, many = `${word}s`) => `${count(n)} ${n === 1 ? word : many}`;

/** A score with two decimals, without the sign of a negative zero. @param {number} score */
export const formatScore = (score) => Number(score).toFixed(2).replace(/^-(0\.00)$/, "$1");

/** 0.934 → 93 %. @param {number | null | undefined} share */
export const percent = (share) => (share == null ? "–" : `${Math.round(share * 100)} %`);

/** @param {number | null | undefined} seconds */
export function formatDuration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "";
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}
