// `input[data-mirrors="name"]` is a slider for the number field of that name: each follows the other.

import { on } from "./on.js";

const DIGITS = 2; // enough for a guidance scale

on("input", "input[data-mirrors]", (slider) => {
  const field = slider.form.elements[slider.dataset.mirrors];
  field.value = String(Number(Number(slider.value).toFixed(DIGITS)));
});

on("input", "input[type=number]", (field) => {
  const slider = field.form?.querySelector(`[data-mirrors="${field.name}"]`);
  if (slider && field.value) slider.value = field.value;
});
