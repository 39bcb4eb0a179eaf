// A picture that is chosen, dropped or pasted on a page with a `[data-drop-zone]` stays in that form: a preview shows it,
// and the buttons beside it say what to do with it, or put it away.

import { openPicture } from "./canvas/api.js";
import { awaitPictures } from "./canvas/incoming.js";

const form = document.querySelector("[data-drop-zone]");

function say(words) {
  form.querySelector("[data-drop-said]").textContent = words;
}

function take(file) {
  const transfer = new DataTransfer();
  transfer.items.add(file);
  form.elements.file.files = transfer.files;
  show();
}

function show() {
  const [file] = form.elements.file.files;
  const preview = form.querySelector("[data-drop-preview]");
  URL.revokeObjectURL(preview.src);
  preview.hidden = !file;
  form.querySelector("[data-drop-name]").textContent = file?.name ?? "";
  say("");
  if (!file) return form.elements.file.focus();
  preview.src = URL.createObjectURL(file);
  form.querySelector("[data-drop-use]").focus();
}

async function open() {
  form.setAttribute("aria-busy", "true");
  say("");
  try {
    await openPicture(form.elements.file.files[0]);
  } catch (refusal) {
    say(refusal.fields?.[0]?.message ?? refusal.message);
  }
  form.removeAttribute("aria-busy");
}

if (form) {
  form.elements.file.addEventListener("change", show);
  awaitPictures(form, { take, refuse: say });
  form.addEventListener("submit", (event) => {
    if (!event.submitter?.matches("[formaction='/canvas']")) return;
    event.preventDefault();
    open();
  });
  form.addEventListener("reset", () => setTimeout(show)); // once it is empty
}
