// Pictures that are under way: `[data-under-way]` tells a screen reader when one is done, once, and the title of the tab
// says it while that is hidden.

const title = document.title;
let known = new Map(); // the status of each job
let ended = []; // what became of jobs, as long as it was not said

const isOpen = (status) => status === "queued" || status === "running";
const left = () => [...known.values()].filter(isOpen).length;

/** Whether something is under way. */
export const isBusy = () => left() > 0;

export const statusOf = (job) => known.get(job);

/** Take over how jobs are now, each as `[job, status]`; what became of one is told if it was under way before. */
export function tell(now) {
  for (const [job, status] of now) {
    if (isOpen(known.get(job)) && (status === "done" || status === "failed")) ended.push(status);
  }
  known = new Map(now);
  say();
}

/** The same of one of them. */
export function tellOne(job, status) {
  tell([...new Map([...known, [job, status]])]);
}

function say() {
  if (!document.hidden && ended.length) {
    document.querySelector("[data-under-way]").replaceChildren(inWords()); // a new node: the same words are said again
    ended = [];
  }
  const words = !document.hidden ? "" : isBusy() ? `${left()} to go` : ended.includes("done") ? "Done" : ended.length ? "Failed" : "";
  document.title = words ? `${words} · ${title}` : title;
}

function inWords() {
  const failed = ended.filter((status) => status === "failed").length;
  const done = ended.length - failed;
  const words = [
    done && (done === 1 ? "A picture is done" : `${done} pictures are done`),
    failed && (failed === 1 ? "a picture could not be made" : `${failed} pictures could not be made`),
    isBusy() && `${left()} to go`,
  ];
  const sentence = words.filter(Boolean).join(", ");
  return `${sentence[0].toUpperCase()}${sentence.slice(1)}.`;
}

document.addEventListener("visibilitychange", say);
