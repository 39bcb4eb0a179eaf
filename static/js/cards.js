// The cards of the studio are pictures that may be under way. Their own stream rests while the tab is hidden, so that many
// tabs do not hold all the connections that a browser has; while something is under way another one tells how that goes.

import { follow } from "./canvas/live.js";
import { always } from "./on.js";
import { isBusy, statusOf, tell, tellOne } from "./under-way.js";

let leave = null;
let seen = null; // the state of each card, once they were looked at

/** A card that is new on top may have ended already; one that has not changed may be behind what the other stream told. */
function look() {
  const cards = [...document.querySelectorAll("#jobs .card")].map(({ id, dataset }) => [id.slice("job-".length), dataset.state]);
  const known = cards.findIndex(([job]) => seen?.has(job));
  const fresh = seen ? cards.slice(0, known < 0 ? cards.length : known) : [];
  for (const [job] of fresh) tellOne(job, "queued");
  tell(cards.map(([job, state]) => [job, (seen?.get(job) === state && statusOf(job)) || state]));
  seen = new Map(cards);
}

function hear({ jobs, job, status }) {
  if (jobs) tell(jobs.map((one) => [one.id, one.status]));
  else tellOne(job, status);
  if (!isBusy()) stop();
}

function stop() {
  leave?.();
  leave = null;
}

if (document.getElementById("jobs")) {
  always(look);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) stop();
    else if (isBusy()) leave = follow({ changed: hear });
  });
}
