// `[data-copy="#id"]` copies that field's value or that element's text, and says so for a moment.

import { on } from "./on.js";

const SAID_FOR_MS = 2000;

async function write(source) {
  const text = source.value ?? source.textContent.trim();
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    source.select?.(); // no permission, or not a secure context: leave it selected for Ctrl+C
    return false;
  }
}

on("click", "[data-copy]", async (button) => {
  const source = document.querySelector(button.dataset.copy);
  const word = button.querySelector("[data-copy-word]");
  if (!source || !word) return;
  const before = word.dataset.before ?? word.textContent;
  word.dataset.before = before;
  word.textContent = (await write(source)) ? "Copied" : "Press Ctrl+C";
  setTimeout(() => {
    word.textContent = before;
  }, SAID_FOR_MS);
});
