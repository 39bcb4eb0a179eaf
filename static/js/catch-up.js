// Fields of the studio may hold other values than the page was made for: those that a browser or `draft.js` brings back,
// and those that were typed while an answer was on its way. What follows them (the notes on the prompt, the sizes) is told.

function tell() {
  for (const field of document.querySelectorAll("#recipe :is(textarea, [type=number])")) {
    if (field.value !== field.defaultValue) field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

document.addEventListener("DOMContentLoaded", tell);
addEventListener("pageshow", tell);
document.addEventListener("htmx:after:swap", ({ target }) => target.id === "recipe" && tell());
