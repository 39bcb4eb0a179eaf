// `[data-dice="name"]` rolls a seed into the form's field of that name, and keeps it.

import { on, type } from "./on.js";

export const SEEDS = 2 ** 32; // as many as other programs have, so that a seed can be carried over

export function roll() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % SEEDS;
}

on("click", "[data-dice]", (button) => {
  type(button.form.elements[button.dataset.dice], String(roll()));
});
