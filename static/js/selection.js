// Tiles that are selected: with shift all between this one and the last, from the bar all of the page, as many as may be
// asked for at once. What htmx deletes of them passes the focus on to what is in its place.

import { always, on } from "./on.js";

const boxes = () => [...document.querySelectorAll(".tile-select input")];
let last = null;
let hasShift = false;

function tell() {
  const form = document.querySelector("[data-most]");
  if (!form) return;
  const count = boxes().filter((box) => box.checked).length;
  const most = Number(form.dataset.most);
  const words = `${count} selected` + (count > most ? `; ${most} at most` : count === most ? ", the most at once" : "");
  const output = form.querySelector("[data-selected]");
  if (output.textContent !== words) output.textContent = words;
  for (const button of form.querySelectorAll("button:not([type])")) button.disabled = count > most;
}

on("click", ".tile-select", (label, event) => {
  if (!(event.target instanceof HTMLInputElement)) return void (hasShift = event.shiftKey); // the click of its box follows
  const all = boxes();
  const [from, to] = [all.indexOf(last), all.indexOf(event.target)].sort((a, b) => a - b);
  if ((event.shiftKey || hasShift) && from >= 0) for (const box of all.slice(from, to + 1)) box.checked = event.target.checked;
  [last, hasShift] = [event.target, false];
  tell();
});

on("click", "[data-select-all]", (button) => {
  boxes().forEach((box, at) => { box.checked = at < Number(button.form.dataset.most); });
  tell();
});

document.addEventListener("reset", () => setTimeout(tell)); // once it is done
always(tell);

document.addEventListener("htmx:before:swap", ({ detail: { ctx } }) => {
  const dialog = ctx.sourceElement.closest("dialog[data-opens]");
  if (!dialog) return;
  ctx.at = boxes().findIndex((box) => box.checked);
  dialog.close(); // what is said outside of an open one is not read out
});

document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  if (ctx.target?.matches("dialog[data-opens]:not([open])") && ctx.target.querySelector("form")) ctx.target.showModal();
  if (ctx.at === undefined) return;
  const left = boxes();
  (left[ctx.at] ?? left.at(-1) ?? document.querySelector(".more a, .emptied a"))?.focus();
});
