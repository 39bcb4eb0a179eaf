// When pictures were asked for, go down to where they appear, if that cannot be seen.

const CALM = "(prefers-reduced-motion: reduce)";

document.addEventListener("htmx:after:swap", ({ target, detail: { ctx } }) => {
  if (target.id !== "recipe" || ctx.response.status !== 200) return;
  const jobs = document.getElementById("jobs");
  if (jobs.getBoundingClientRect().top < innerHeight / 2) return;
  jobs.scrollIntoView({ behavior: matchMedia(CALM).matches ? "instant" : "smooth" });
});
