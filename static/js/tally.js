// `[data-tally]` says how many cards are in the works and how many wait, as single cards change.

import { always } from "./on.js";

const count = (state) => document.querySelectorAll(`.card[data-state=${state}]`).length;

always(() => {
  const output = document.querySelector("[data-tally]");
  if (!output) return;
  const [running, waiting] = [count("running"), count("queued")];
  const words = [running && `${running} in the works`, waiting && `${waiting} waiting`].filter(Boolean).join(", ");
  if (output.textContent !== words) output.textContent = words;
});
