// <time datetime> says its moment in the reader's own language and time zone; the full form is its title.

import { always } from "./on.js";

const SHORT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

always(() => {
  for (const element of document.querySelectorAll("time[datetime]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const words = SHORT.format(moment);
    if (element.textContent === words) continue;
    element.textContent = words;
    element.title = FULL.format(moment);
  }
});
