// Where something in a form is wrong, go there, also inside of what is folded away: the browser says nothing of a field
// that it cannot show.

/** Open every <details> around this. */
export function unfold(element) {
  for (let details = element.closest("details"); details; details = details.parentElement.closest("details")) details.open = true;
}

document.addEventListener("invalid", ({ target }) => unfold(target), true); // before the browser goes to the first of them

document.addEventListener("htmx:after:swap", (event) => {
  if (!(event.target instanceof HTMLFormElement)) return; // the event stream swaps too
  const field = event.target.querySelector("[aria-invalid=true]");
  if (!field || document.activeElement === field) return;
  unfold(field);
  field.focus();
});
