// `textarea[data-autosize]` grows with its text, in browsers whose CSS cannot do that (`field-sizing: content`).

import { always, on } from "./on.js";

function fit(area) {
  area.style.blockSize = "auto";
  area.style.blockSize = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
}

if (!CSS.supports("field-sizing", "content")) {
  on("input", "textarea[data-autosize]", fit);
  always(() => document.querySelectorAll("textarea[data-autosize]").forEach(fit));
}
