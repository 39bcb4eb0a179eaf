// A picture that is dropped or pasted on a page with a `[data-drop-zone]` becomes the file of that form, as if it had
// been chosen there; a preview shows it, and the buttons beside it say what to do with it.

import { shrunk } from "./canvas/shrink.js";
import { on } from "./on.js";

const zone = () => document.querySelector("[data-drop-zone]");
const pictureIn = (transfer) => [...(transfer?.files ?? [])].find(({ type }) => type.startsWith("image/"));

function take(file) {
  if (!file) return;
  const transfer = new DataTransfer();
  transfer.items.add(file);
  zone().elements.file.files = transfer.files;
  show(zone());
}

function show(form) {
  const [file] = form.elements.file.files;
  const preview = form.querySelector("[data-drop-preview]");
  URL.revokeObjectURL(preview.src);
  preview.hidden = !file;
  form.querySelector("[data-drop-name]").textContent = file?.name ?? "";
  if (!file) return;
  preview.src = URL.createObjectURL(file);
  form.querySelector("[data-drop-use]").focus();
}

/** A photograph that is larger than the server takes goes on the canvas in a smaller size. */
async function open(form) {
  const [file] = form.elements.file.files;
  const smaller = await shrunk(file);
  if (smaller !== file) {
    const transfer = new DataTransfer();
    transfer.items.add(smaller);
    form.elements.file.files = transfer.files;
  }
  form.action = "/canvas";
  form.submit();
}

document.addEventListener("submit", (event) => {
  if (!event.submitter?.matches("[data-drop-zone] [formaction='/canvas']")) return;
  event.preventDefault();
  open(event.target);
});
on("change", "[data-drop-zone] [type=file]", (input) => show(input.form));
document.addEventListener("dragover", (event) => {
  if (!zone()) return;
  event.preventDefault();
  zone().dataset.over = "true";
});
document.addEventListener("dragleave", (event) => event.relatedTarget || delete zone()?.dataset.over);
document.addEventListener("drop", (event) => {
  if (!zone()) return;
  event.preventDefault();
  delete zone().dataset.over;
  take(pictureIn(event.dataTransfer));
});
document.addEventListener("paste", ({ clipboardData }) => {
  if (zone() && !clipboardData.types.includes("text/plain")) take(pictureIn(clipboardData)); // words may come with one
});
