// Where canvases begin: `[data-drop]` takes a file that is chosen, dropped or pasted anywhere on the page and sends it;
// `[data-forget]` takes a canvas off the list.

import { on } from "../on.js";
import { ask, openPicture } from "./api.js";
import { awaitPictures } from "./incoming.js";

const form = document.querySelector("[data-drop]");
const state = form.querySelector("[data-drop-state]");

function say(words, isBad = false) {
  state.textContent = words;
  state.classList.toggle("fault", isBad);
}

async function send(file) {
  if (!file) return;
  form.setAttribute("aria-busy", "true");
  say(`Opening ${file.name}…`);
  try {
    await openPicture(file);
  } catch (refusal) {
    say(refusal.fields?.[0]?.message ?? refusal.message, true);
    form.removeAttribute("aria-busy");
    form.reset();
  }
}

form.elements.file.addEventListener("change", ({ target }) => send(target.files[0]));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send(form.elements.file.files[0]);
});
awaitPictures(form, { take: send, refuse: (words) => say(words, true) });

on("click", "[data-forget]", async (button) => {
  try {
    await ask("DELETE", `/api/canvases/${button.dataset.forget}`);
  } catch (refusal) {
    return say(refusal.message, true);
  }
  const item = button.closest("li");
  const next = (item.nextElementSibling ?? item.previousElementSibling)?.querySelector("[data-forget]");
  item.remove();
  (next ?? form.elements.file).focus();
});
