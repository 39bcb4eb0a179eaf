// What happens to the jobs of this browser, as the server says it: `progress(body)` for each step of one, `changed(body)`
// when one begins, ends or waits again. The stream reconnects by itself and then says what is now. Returns how to leave it.

const CHANGES = ["queued", "running", "done", "failed", "cancelled", "snapshot"];

export function follow({ progress = () => {}, changed }) {
  let stream = null;
  let timer = 0;
  const leave = () => {
    stream.close();
    clearTimeout(timer);
  };
  const again = () => {
    leave();
    timer = setTimeout(open, BACK_MS);
  };
  const open = () => {
    stream = new EventSource("/api/events");
    stream.addEventListener("progress", (event) => progress(JSON.parse(event.data)));
    for (const kind of CHANGES) stream.addEventListener(kind, (event) => changed(JSON.parse(event.data)));
    stream.addEventListener("bye", again);
    stream.addEventListener("error", () => stream.readyState === EventSource.CLOSED && again());
  };
  open();
  return leave;
}

const BACK_MS = 2000; // until a server that said goodbye, or had no room, is asked again
