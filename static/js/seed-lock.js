// `[data-keeps="seed"]` is the lock of the seed: closed, the seed stays for the next pictures (an empty field takes
// that of the newest picture, on a canvas of the candidate that is looked at, or a rolled one); open, the field is
// emptied, so that each picture gets a new seed.

import { roll } from "./dice.js";
import { on, type } from "./on.js";

const lockOf = (form) => form?.querySelector("[data-keeps]");

on("change", "[data-keeps]", (lock) => {
  const field = lock.form.elements[lock.dataset.keeps];
  if (!lock.checked) return type(field, "");
  if (!field.value) type(field, document.querySelector("[data-seed]")?.dataset.seed ?? String(roll()));
});

on("input", "[name=seed]", (field) => {
  const lock = lockOf(field.form);
  if (lock) lock.checked = field.value !== "";
});
