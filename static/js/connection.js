// Says when the server does not answer what was asked by hand, or when the stream of cards is lost; both notices go once
// the server is there again. What a proxy says in its stead is no answer, and no part of the page.

const FAILURES = 3; // in a row, about four seconds, before the stream counts as lost: a server that restarts is soon back

const notices = document.getElementById("notices");

function show(name) {
  if (!notices.querySelector(`[data-notice=${name}]`)) notices.append(document.getElementById(`notice-${name}`).content.cloneNode(true));
}

function remove(names) {
  for (const notice of notices.querySelectorAll(names)) notice.remove();
}

function miss({ sourceEvent }) {
  if (sourceEvent?.isTrusted) show("unanswered"); // what asks by itself asks again by itself
}

document.addEventListener("htmx:error", ({ detail: { ctx } }) => ctx && !ctx.response && miss(ctx));
document.addEventListener("htmx:before:response", (event) => {
  const { ctx } = event.detail;
  if (ctx.response.headers.has("X-Request-Id")) return remove("[data-notice=unanswered]");
  event.preventDefault();
  miss(ctx);
});
document.addEventListener("htmx:sse:error", ({ detail: { connection } }) => connection?.attempt === FAILURES && show("lost"));
document.addEventListener("htmx:sse:after:connection", () => remove("[data-notice]"));
