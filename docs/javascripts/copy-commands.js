/* Copies commands without the prompt "$ " and without the output that is shown below them. */
document.addEventListener("copy", (event) => {
  const field = document.activeElement;
  // The theme's copy buttons select the text of a hidden field.
  const text = field instanceof HTMLTextAreaElement ? field.value : String(document.getSelection());
  if (!/^\$ /m.test(text) || !event.clipboardData) return;
  const commands = [];
  let isContinued = false;
  for (const line of text.split("\n")) {
    if (line.startsWith("$ ") || isContinued) {
      commands.push(line.replace(/^\$ /, ""));
      isContinued = line.endsWith("\\");
    }
  }
  event.clipboardData.setData("text/plain", commands.join("\n") + "\n");
  event.preventDefault();
});
