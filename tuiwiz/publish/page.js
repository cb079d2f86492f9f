"use strict";
// The value of every curve under the pointer, a finger, or the arrow keys.
for (const chart of document.querySelectorAll(".chart")) {
  const data = JSON.parse(chart.querySelector("script").textContent);
  const svg = chart.querySelector("svg"), cross = chart.querySelector(".cross"), out = chart.querySelector("output");
  const [width, , left, right] = data.box, [x0, x1] = data.x;
  let at = x1;
  const short = (v) => (v !== 0 && (Math.abs(v) < 1e-3 || Math.abs(v) >= 1e5) ? v.toExponential(2) : String(+v.toPrecision(4)));
  const show = (x) => {
    at = Math.min(x1, Math.max(x0, x));
    const place = left + ((at - x0) / (x1 - x0)) * (width - left - right);
    cross.setAttribute("x1", place);
    cross.setAttribute("x2", place);
    const told = data.curves.map((curve) => {
      let best = curve.points[0];
      for (const point of curve.points) if (Math.abs(point[0] - at) < Math.abs(best[0] - at)) best = point;
      return `${curve.name} ${short(best[1])}`;
    });
    out.textContent = `step ${Math.round(at)}: ${told.join(", ")}`;
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * width;
    show(x0 + ((place - left) / (width - left - right)) * (x1 - x0));
  });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { show(at + (step * (x1 - x0)) / 100); event.preventDefault(); }
  });
}
