// @ts-check
// Order and filters of the list of micrographs: state, verdict, and what a STAR or .cs file states about them.

import { html } from "../../vendor/ui.js";
import { changeQuery, listing } from "../micrographs.js";
import * as store from "../store.js";
import { NumberBox } from "../widgets.js";

const SORTS = { name: "By name", labels: "Most labels", picks: "Most picks", "picks-least": "Fewest picks", score: "Highest scores", suggested: "Suggested first" };
const STATES = { "": "All", todo: "Not started", doing: "In progress", all: "Fully labelled", skip: "Excluded", problem: "With a problem" };
const UNCLEAR = "unclear: faint particles or contamination";
const VERDICTS = { "": "Any verdict", particles: "Has particles", "probably empty": "Probably empty", [UNCLEAR]: "Unclear", "not decided": "Not decided" };
/** @typedef {import("../types.js").FieldEvent} FieldEvent */

/** Verdict of the run on a micrograph that may show no particles. @param {import("../types.js").MicrographRow} row */
export const verdictBadge = ({ verdict }) =>
  verdict === UNCLEAR ? html`<span class="badge" title=${verdict}>unclear</span>` : verdict === "probably empty" && html`<span class="badge warn" title=${verdict}>empty?</span>`;

export function ListSort() {
  const values = store.project.value.values ?? [];
  return html`<select aria-label="Order" value=${listing.value.sort} onChange=${(/** @type {FieldEvent} */ e) => changeQuery({ sort: e.target.value })}>
    ${Object.entries(SORTS).map(([value, name]) => html`<option value=${value}>${name}</option>`)}
    ${values.map((v) => html`<option value=${v.name}>By ${v.title.replace(/^[A-Z](?=[a-z])/, (c) => c.toLowerCase())}</option>`)}</select>`;
}

export function ListFilter() {
  const { state, verdict, ranges } = listing.value;
  const values = store.project.value.values ?? [];
  const set = (/** @type {string} */ name, /** @type {0 | 1} */ end, /** @type {number | null} */ v) => {
    const range = /** @type {[number | null, number | null]} */ ([...(ranges[name] ?? [null, null])]);
    range[end] = v;
    changeQuery({ ranges: { ...ranges, [name]: range } });
  };
  const active = Object.values(ranges).flat().filter((v) => v !== null).length + (verdict ? 1 : 0);
  return html`<select aria-label="Show" value=${state} onChange=${(/** @type {FieldEvent} */ e) => changeQuery({ state: e.target.value })}>
      ${Object.entries(STATES).map(([value, name]) => html`<option value=${value}>${name}</option>`)}</select>
    ${(values.length > 0 || store.run.value) && html`<details class="list-filter"><summary>Filter${active ? ` (${active})` : ""}</summary><div class="filter-box">
      ${store.run.value && html`<select aria-label="Verdict" value=${verdict} onChange=${(/** @type {FieldEvent} */ e) => changeQuery({ verdict: e.target.value })}>
        ${Object.entries(VERDICTS).map(([value, name]) => html`<option value=${value}>${name}</option>`)}</select>`}
      ${values.map((v) => html`<div class="range" key=${v.name}><span>${v.title}${v.unit && `, ${v.unit}`}</span>
        <${NumberBox} aria-label=${`${v.title}, minimum`} placeholder=${Number(v.low.toPrecision(3))} value=${ranges[v.name]?.[0]} on=${(/** @type {number | null} */ n) => set(v.name, 0, n)} />
        <${NumberBox} aria-label=${`${v.title}, maximum`} placeholder=${Number(v.high.toPrecision(3))} value=${ranges[v.name]?.[1]} on=${(/** @type {number | null} */ n) => set(v.name, 1, n)} /></div>`)}
      ${active > 0 && html`<button class="small" onClick=${() => changeQuery({ ranges: {}, verdict: "" })}>Clear the filters</button>`}</div></details>`}`;
}
