// What `[data-then="selector"]` asks for takes it off the page. The next one with the same selector then takes the focus,
// or, where none is left, what the selector says; else it would fall back to the beginning of the page.

const alike = (selector) => [...document.querySelectorAll(`[data-then="${selector}"]`)].filter((element) => element.checkVisibility());

document.addEventListener("htmx:before:request", ({ detail: { ctx } }) => {
  const { then } = ctx.sourceElement.dataset;
  if (then) ctx.place = { then, at: alike(then).indexOf(ctx.sourceElement) };
});

document.addEventListener("htmx:after:swap", ({ detail: { ctx } }) => {
  const focused = document.activeElement;
  if (!ctx.place || (focused !== document.body && focused.checkVisibility())) return; // it stayed, or is elsewhere by now
  const left = alike(ctx.place.then);
  const next = (left[ctx.place.at] ?? left.at(-1))?.querySelector("button");
  (next ?? document.querySelector(ctx.place.then)).focus();
});
