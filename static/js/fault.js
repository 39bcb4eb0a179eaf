// When a form comes back with faults, go to the first one, also inside a closed <details>.

document.addEventListener("htmx:after:swap", () => {
  const field = document.querySelector("form [aria-invalid=true]");
  if (!field || document.activeElement === field) return;
  const details = field.closest("details");
  if (details) details.open = true;
  field.focus();
});
