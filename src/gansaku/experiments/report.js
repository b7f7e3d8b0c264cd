"use strict";
// The page is whole without this: it shows other moments and seeds in the places of the arms.
(() => {
  const one = (id) => document.getElementById(id);
  if (!one("pictures") || !one("moment")) return;
  const { stops, seeds, missing, pictures } = JSON.parse(one("pictures").textContent);
  const slider = one("moment"), choice = one("seed"), figures = [...document.querySelectorAll(".arm")];
  let playing = 0;

  const show = () => {
    const seed = +choice.value, stop = +slider.value;
    figures.forEach((figure, arm) => {
      const found = pictures[seed][stop][arm], image = figure.querySelector("img"), why = figure.querySelector(".missing");
      image.hidden = !found;
      why.hidden = !!found;
      if (found) image.src = found[0]; else why.textContent = missing[seed][arm];
      figure.querySelector("small").textContent = found ? found[1] : "";
    });
    const [count, passes] = stops[stop], strong = document.createElement("b");
    strong.textContent = count;
    one("at").replaceChildren(strong, ` samples seen${passes} · seed ${seeds[seed]}`);
    slider.setAttribute("aria-valuetext", one("at").textContent);
  };
  const stop = () => { clearInterval(playing); playing = 0; one("play").textContent = "Play"; };
  const move = (by) => { stop(); slider.value = +slider.value + by; show(); };
  slider.oninput = () => move(0);
  choice.onchange = show;
  one("previous").onclick = () => move(-1);
  one("next").onclick = () => move(1);
  one("play").onclick = () => {
    if (playing) return stop();
    if (+slider.value === stops.length - 1) { slider.value = 0; show(); }
    one("play").textContent = "Pause";
    playing = setInterval(() => {
      if (+slider.value === stops.length - 1) return stop();
      slider.value = +slider.value + 1;
      show();
    }, 700);
  };
  addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const elsewhere = event.target.closest && event.target.closest("input, select, pre");
    if (by && !elsewhere && !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey) { move(by); event.preventDefault(); }
  });
  show();
})();
