"use strict";
// The page is whole without this: it adds the turning of sheets, reading values off the charts, copying and the theme.
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const one = (id) => document.getElementById(id);
  for (const hidden of all("#theme, #controls, .copy")) hidden.hidden = false;

  const root = document.documentElement;
  const remembered = (theme) => {
    try { return theme ? localStorage.setItem("gansaku-theme", theme) : localStorage.getItem("gansaku-theme"); } catch { return null; }
  };
  if (remembered()) root.dataset.theme = remembered();
  one("theme").onclick = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    remembered((root.dataset.theme = dark ? "light" : "dark"));
  };

  const shots = all(".shot"), slider = one("slider");
  if (slider) {
    let playing = 0;
    const show = (i) => {
      slider.value = i;
      shots.forEach((shot, k) => shot.classList.toggle("now", k === +slider.value));
      slider.setAttribute("aria-valuetext", shots[slider.value].querySelector("figcaption").textContent);
    };
    const stop = () => { clearInterval(playing); playing = 0; one("play").textContent = "Play"; };
    const move = (by) => { stop(); show(+slider.value + by); };
    slider.oninput = () => move(0);
    one("previous").onclick = () => move(-1);
    one("next").onclick = () => move(1);
    one("play").onclick = () => {
      if (playing) return stop();
      if (+slider.value === shots.length - 1) show(0);
      one("play").textContent = "Pause";
      playing = setInterval(() => (+slider.value < shots.length - 1 ? show(+slider.value + 1) : stop()), 600);
    };
    addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const elsewhere = event.target.closest && event.target.closest("input, pre");
      if (by && !elsewhere && !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey) { move(by); event.preventDefault(); }
    });
    show(shots.length - 1);
  }

  const number = (value) => Number.isFinite(value) ? value.toLocaleString("en", { maximumSignificantDigits: 4 }) : "not a number";
  const charts = all(".chart").filter((figure) => figure.querySelector(".hit")).map((figure) => {
    const svg = figure.querySelector(".curves"), values = all(".legend b", figure);
    const lines = all(".series", svg).map((line, i) => ({
      x: line.dataset.x.split(" ").map(Number), y: line.dataset.y.split(" ").map(Number), text: values[i], last: values[i].textContent,
    }));
    return { svg, lines, end: +svg.dataset.end, hit: svg.querySelector(".hit"), cross: svg.querySelector(".cross"), at: figure.querySelector("output") };
  });
  const nearest = (sorted, x) => {
    let low = 0, high = sorted.length - 1;
    while (low < high) { const middle = (low + high) >> 1; if (sorted[middle] < x) low = middle + 1; else high = middle; }
    return low > 0 && x - sorted[low - 1] < sorted[low] - x ? low - 1 : low;
  };
  const read = (seen) => {
    for (const chart of charts) {
      const place = `${(100 * seen) / chart.end}%`;
      chart.cross.setAttribute("x1", place);
      chart.cross.setAttribute("x2", place);
      chart.cross.setAttribute("visibility", "visible");
      chart.at.textContent = `at ${seen.toLocaleString("en")}`;
      for (const line of chart.lines) line.text.textContent = number(line.y[nearest(line.x, seen)]);
    }
  };
  const leave = () => {
    for (const chart of charts) {
      chart.cross.setAttribute("visibility", "hidden");
      chart.at.textContent = "";
      for (const line of chart.lines) line.text.textContent = line.last;
    }
  };
  for (const chart of charts) {
    chart.svg.onpointermove = chart.svg.onpointerdown = (event) => {
      const plot = chart.hit.getBoundingClientRect(), x = chart.lines[0].x;
      read(x[nearest(x, (chart.end * (event.clientX - plot.left)) / plot.width)]);
    };
    chart.svg.onpointerleave = leave;
  }

  for (const button of all(".copy")) {
    button.onclick = () => {
      getSelection().selectAllChildren(button.parentElement.querySelector("pre"));
      button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    };
  }
})();
