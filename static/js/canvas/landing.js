// Where canvases begin: `[data-drop]` takes a file that is chosen, dropped or pasted anywhere on the page and sends it;
// `[data-forget]` takes a canvas off the list.

import { on } from "../on.js";
import { ask } from "./api.js";

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
  const body = new FormData();
  body.append("file", file);
  try {
    const { id } = await ask("POST", "/api/images", { body });
    const canvas = await ask("POST", "/api/canvases", { json: { image_id: id } });
    location.assign(`/canvas/${canvas.id}`);
  } catch (refusal) {
    say(refusal.fields?.[0]?.message ?? refusal.message, true);
    form.removeAttribute("aria-busy");
    form.reset();
  }
}

const pictureIn = (transfer) => [...(transfer?.files ?? [])].find(({ type }) => type.startsWith("image/"));

form.elements.file.addEventListener("change", ({ target }) => send(target.files[0]));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send(form.elements.file.files[0]);
});
document.addEventListener("paste", ({ clipboardData }) => {
  if (!clipboardData.types.includes("text/plain")) send(pictureIn(clipboardData)); // words may come with a picture of them
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  form.dataset.over = "true";
});
document.addEventListener("dragleave", (event) => event.relatedTarget || delete form.dataset.over);
document.addEventListener("drop", (event) => {
  event.preventDefault();
  delete form.dataset.over;
  const file = pictureIn(event.dataTransfer);
  if (file) send(file);
  else say("That is no picture.", true);
});

on("click", "[data-forget]", async (button) => {
  await ask("DELETE", `/api/canvases/${button.dataset.forget}`);
  button.closest("li").remove();
});
