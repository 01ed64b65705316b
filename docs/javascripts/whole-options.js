/* Keeps names of options on one line where long commands are wrapped: browsers break after hyphens. */
for (const code of document.querySelectorAll(".language-console code, .language-sh code")) {
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
