// Ctrl+Enter (Cmd+Enter) sends the form that is marked `data-shortcut-submit`, from any of its fields. A double click on
// its button sends it once.

import { on } from "./on.js";

on("keydown", "form[data-shortcut-submit]", (form, event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat) return;
  event.preventDefault();
  form.requestSubmit();
});

on("click", "form[data-shortcut-submit] .primary", (button, event) => {
  if (event.detail > 1) event.preventDefault();
});
