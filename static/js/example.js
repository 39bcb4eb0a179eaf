// `a[data-example]` puts its text into the prompt instead of loading the page again.

import { on, type } from "./on.js";

on("click", "a[data-example]", (link, event) => {
  const prompt = document.getElementById("prompt");
  if (!prompt || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  type(prompt, link.textContent.trim());
  prompt.focus();
});
