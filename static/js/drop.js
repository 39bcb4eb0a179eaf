// A picture that is dropped or pasted anywhere on the page becomes the file of `[data-drop-zone]`, as if it had been
// chosen there; a preview shows it, and the buttons beside it say what to do with it.

const zone = document.querySelector("[data-drop-zone]");
const input = zone.elements.file;
const preview = zone.querySelector("[data-drop-preview]");
const name = zone.querySelector("[data-drop-name]");

const pictureIn = (transfer) => [...(transfer?.files ?? [])].find(({ type }) => type.startsWith("image/"));

function take(file) {
  if (!file) return;
  const transfer = new DataTransfer();
  transfer.items.add(file);
  input.files = transfer.files;
  show();
}

function show() {
  const [file] = input.files;
  URL.revokeObjectURL(preview.src);
  preview.hidden = !file;
  name.textContent = file?.name ?? "";
  if (!file) return;
  preview.src = URL.createObjectURL(file);
  zone.querySelector("[data-drop-use]").focus();
}

input.addEventListener("change", show);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  zone.dataset.over = "true";
});
document.addEventListener("dragleave", (event) => event.relatedTarget || delete zone.dataset.over);
document.addEventListener("drop", (event) => {
  event.preventDefault();
  delete zone.dataset.over;
  take(pictureIn(event.dataTransfer));
});
document.addEventListener("paste", ({ clipboardData }) => {
  if (!clipboardData.types.includes("text/plain")) take(pictureIn(clipboardData)); // words may come with a picture
});
