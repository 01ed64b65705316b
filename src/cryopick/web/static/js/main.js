// @ts-check
// Start of the page: log in with the token of the link, load the project, render.

import { html, render } from "../vendor/ui.js";
import { get, post, RequestError } from "./api.js";
import { App } from "./app.js";
import { editsFromLink } from "./reconnect.js";
import * as session from "./session.js";
import * as store from "./store.js";

const root = /** @type {HTMLElement} */ (document.getElementById("page"));

/** @param {string} title @param {unknown} text */
const halt = (title, text) => render(html`<main class="empty"><h1>${title}</h1><p>${text}</p></main>`, root);

async function begin() {
  session.restoreTheme();
  const link = new URLSearchParams(location.hash.slice(1));
  const token = link.get("t");
  if (token) {
    history.replaceState(null, "", location.pathname + location.search);
    await post("login", { token });
  }
  await session.start(await get("state"));
  if (token) session.adopt(editsFromLink(link.get("ops")));
  root.replaceChildren();
  render(html`<${App} />`, root);
  document.documentElement.dataset.ready = "yes";
}

begin().catch((error) => {
  if (error instanceof RequestError && (error.status === 401 || error.status === 403))
    halt("Open the printed link", html`<code>cryopick label</code> prints a link that ends in <code>#t=…</code>. Open that link to log in.`);
  else halt("The page cannot be loaded", error.message);
  store.connected.value = false;
});
