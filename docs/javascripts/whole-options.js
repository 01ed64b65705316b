/* Breaks lines where readers expect it: between words of commands, not in names of options, as browsers break after
   hyphens; and gives long texts in tables a readable width on small screens, where the table scrolls. */
const SENTENCE = 60; // characters

for (const code of document.querySelectorAll(":not(pre) > code")) {
  if (/\s/.test(code.textContent ?? "")) code.classList.add("command");
}

for (const code of document.querySelectorAll(".language-console code, .language-sh code, code.command")) {
  const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode);
  for (const text of texts) {
    const parts = (text.textContent ?? "").split(/(?<=^|\s)(--?[\w-]+)/);
    if (parts.length < 2 || !text.parentNode) continue;
    const nodes = parts.map((part, index) => {
      if (index % 2 === 0) return document.createTextNode(part);
      const span = document.createElement("span");
      span.style.whiteSpace = "nowrap";
      span.textContent = part;
      return span;
    });
    /** @type {ChildNode} */ (text).replaceWith(...nodes);
  }
}

for (const cell of document.querySelectorAll(".md-typeset table:not([class]) td")) {
  if ((cell.textContent ?? "").length > SENTENCE) cell.classList.add("sentence");
}
