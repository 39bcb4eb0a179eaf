// Says when the server does not answer what was asked by hand, or when the stream of cards is lost; both notices go once
// the server is there again.

const FAILURES = 3; // in a row, about four seconds, before the stream counts as lost: a server that restarts is soon back

const notices = document.getElementById("notices");

function show(name) {
  if (!notices.querySelector(`[data-notice=${name}]`)) notices.append(document.getElementById(`notice-${name}`).content.cloneNode(true));
}

function remove(names) {
  for (const notice of notices.querySelectorAll(names)) notice.remove();
}

document.addEventListener("htmx:error", ({ detail: { ctx } }) => {
  if (ctx && !ctx.response && ctx.sourceEvent.isTrusted) show("unanswered"); // what asks by itself asks again by itself
});
document.addEventListener("htmx:after:request", () => remove("[data-notice=unanswered]"));
document.addEventListener("htmx:sse:error", ({ detail: { connection } }) => connection?.attempt === FAILURES && show("lost"));
document.addEventListener("htmx:sse:after:connection", () => remove("[data-notice]"));
