// `[data-aspects]` holds buttons with `data-width` and `data-height`: pressing one fills the number fields of the
// form, and the one that equals the fields is shown as pressed.

import { on, type } from "./on.js";

function show(form) {
  for (const button of form.querySelectorAll("[data-aspects] button")) {
    const same = button.dataset.width === form.elements.width.value && button.dataset.height === form.elements.height.value;
    button.setAttribute("aria-pressed", String(same));
  }
}

on("click", "[data-aspects] button", (button) => {
  type(button.form.elements.width, button.dataset.width);
  type(button.form.elements.height, button.dataset.height);
});

on("input", "[name=width], [name=height]", (field) => {
  if (field.form) show(field.form);
});
