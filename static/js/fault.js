// When a form comes back with faults, go to the first one, also inside a closed <details>.

document.addEventListener("htmx:after:swap", (event) => {
  if (!(event.target instanceof HTMLFormElement)) return; // the event stream swaps too
  const field = event.target.querySelector("[aria-invalid=true]");
  if (!field || document.activeElement === field) return;
  const details = field.closest("details");
  if (details) details.open = true;
  field.focus();
});
