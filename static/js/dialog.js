// `a[data-dialog="id"]` opens that <dialog> instead of going to its page; `[data-close]` inside one closes it.

import { on } from "./on.js";

on("click", "a[data-dialog]", (link, event) => {
  const dialog = document.getElementById(link.dataset.dialog);
  if (!dialog || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  dialog.showModal();
});

on("click", "dialog [data-close]", (button, event) => {
  event.preventDefault();
  button.closest("dialog").close();
});

on("click", "dialog", (dialog, event) => {
  if (event.target === dialog) dialog.close(); // the backdrop
});
