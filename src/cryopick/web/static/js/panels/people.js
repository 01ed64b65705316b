// @ts-check
// Who labels: the name of the person at this browser, asked once, the numbers of marks, and the agreement of two people.

import { html, signal, useEffect } from "../../vendor/ui.js";
import { get, put } from "../api.js";
import * as store from "../store.js";
import { count, Dialog, percent, plural } from "../widgets.js";

/** @typedef {{author: string, name: string, pos: number, neg: number}} Person */
/** @typedef {{people: string[], f1: number, both: number, micrographs: number}} Agreement */

const people = signal(/** @type {{me: string, people: Person[], agreement: Agreement[]}} */ ({ me: "", people: [], agreement: [] }));
const loadPeople = () => get("people").then((answer) => (people.value = answer)).catch(() => {});

const NAME = "cryopick.name";
/** @returns {string} the name that this browser remembers for all projects */
function storedName() {
  try {
    return localStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} name */
async function rename(name) {
  try {
    localStorage.setItem(NAME, name);
  } catch {
    // a private window asks again
  }
  await put("me", { name }).then(loadPeople).catch(store.fail);
}

const myName = () => people.value.people.find((p) => p.author === people.value.me)?.name ?? "";
/** @param {string | undefined} author */
const nameOf = (author) => people.value.people.find((p) => p.author === author)?.name || (author === people.value.me ? "you" : author ?? "");

/** Button with the name of the person; opens the list of people. */
export function Me() {
  useEffect(() => void loadPeople().then(() => {
    if (!myName() && storedName() && !store.readOnly.value) rename(storedName());
  }), []);
  useEffect(() => void loadPeople(), [store.revision.value]);
  const hasMarks = people.value.people.some((p) => p.author === people.value.me);
  return html`<button class=${`plain ${!myName() && hasMarks && !store.readOnly.value ? "ask" : ""}`} onClick=${() => (store.dialog.value = "people")}>${myName() || "Your name?"}</button>`;
}

/** @param {SubmitEvent} event */
function submit(event) {
  event.preventDefault();
  const name = String(new FormData(/** @type {HTMLFormElement} */ (event.currentTarget)).get("name")).trim();
  if (name) rename(name);
}

export function People() {
  useEffect(() => void loadPeople(), []);
  const { people: all, agreement } = people.value;
  return html`<${Dialog} name="people" title="People">
    <form class="seekline" onSubmit=${submit}><label class="grow field"><span class="name">Your name</span>
      <input name="name" maxlength="60" required disabled=${store.readOnly.value} defaultValue=${myName() || storedName()} /></label><button class="primary" disabled=${store.readOnly.value}>Save</button></form>
    <p class="muted small">Your marks carry this name.</p>
    <table><thead><tr><th>Name</th><th class="right">Particles</th><th class="right">Negative labels</th></tr></thead>
      <tbody>${all.map((p) => html`<tr key=${p.author}><td>${p.name || html`<span class="muted">no name (${p.author})</span>`}</td><td class="right">${count(p.pos)}</td><td class="right">${count(p.neg)}</td></tr>`)}</tbody></table>
    <label class="tick"><input type="checkbox" checked=${store.onlyMine.value} onChange=${() => (store.onlyMine.value = !store.onlyMine.value)} />
      Show only my marks, to label without seeing those of others</label>
    <h3>Agreement</h3>
    ${agreement.length ? html`<table><thead><tr><th>People</th><th class="right">F1</th><th class="right">Marked by both</th><th>On</th></tr></thead><tbody>
      ${agreement.map((a) => html`<tr key=${a.people.join()}><td>${a.people.map(nameOf).join(" and ")}</td><td class="right" data-test="agreement">${percent(a.f1)}</td><td class="right">${count(a.both)}</td><td>${plural(a.micrographs, "micrograph")}</td></tr>`)}</tbody></table>`
      : html`<p class="muted small">No two people have marked the same micrograph. Let a second person tick the box above and label some of your micrographs.</p>`}
  </${Dialog}>`;
}
