// `details[data-closed-when-narrow]` starts closed where the page is one column, so that the pictures are near.

const NARROW = "(width < 60rem)";

if (matchMedia(NARROW).matches) {
  for (const details of document.querySelectorAll("details[data-closed-when-narrow]")) {
    details.open = details.querySelector("[aria-invalid=true]") !== null;
  }
}
