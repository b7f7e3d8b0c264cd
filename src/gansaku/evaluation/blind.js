"use strict";
// Asks round by round, then says what was what. Everything that the page is told comes in as text, never as markup.
(() => {
  const one = (id) => document.getElementById(id);
  const made = (tag, name, text, ...inside) => {
    const element = document.createElement(tag);
    element.className = name;
    element.append(text, ...inside);
    return element;
  };

  const root = document.documentElement;
  const remembered = (theme) => {
    try { return theme ? localStorage.setItem("gansaku-theme", theme) : localStorage.getItem("gansaku-theme"); } catch { return null; }
  };
  if (remembered()) root.dataset.theme = remembered();
  one("theme").hidden = false;
  one("theme").onclick = () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    remembered((root.dataset.theme = dark ? "light" : "dark"));
  };

  const bytes = Uint8Array.from(atob(one("test").dataset.key), (letter) => letter.charCodeAt(0));
  const key = JSON.parse(new TextDecoder().decode(bytes)), sides = key.sides, total = key.left.length;
  const rounds = [...document.querySelectorAll(".round")];
  const places = []; // chosen in each round: 0 left, 1 right, null for neither
  let at = 0, told = false;

  const show = (round) => {
    at = round;
    rounds.forEach((shown, i) => { shown.hidden = i !== at; });
    one("at").textContent = `${told ? "Revealed, round" : "Round"} ${at + 1} of ${total}`;
    one("done").style.width = told ? "100%" : `${(100 * at) / total}%`;
    one("back").disabled = at === 0;
    one("reveal").disabled = at === 0;
  };
  const choose = (place) => {
    places[at] = place;
    places.length = at + 1;
    if (at + 1 < total) show(at + 1); else reveal();
  };

  const times = (n) => (n === 1 ? "1 time" : `${n} times`);
  const side = (place, round) => (place ? 1 - key.left[round] : key.left[round]);
  const tally = () => {
    const votes = [0, 0];
    places.forEach((place, round) => { if (place !== null) votes[side(place, round)] += 1; });
    return votes;
  };

  const verdict = (votes) => {
    const n = votes[0] + votes[1], first = key.better.findIndex((better) => better !== null), unsure = places.length - n;
    const by = first < 0 ? 0 : key.better[first], k = votes[by], p = key.p[n][k];
    const name = first < 0 ? "" : sides[0].scores[first].name;
    one("title").textContent = n === 0 ? "You could not tell in any round"
      : first < 0 ? `You preferred ${sides[0].name} ${k} of ${times(n)}` : `You preferred the better-scored one ${k} of ${times(n)}`;
    const said = [], which = name ? `the difference in ${name}` : "a difference";
    if (n) {
      const so = p <= 0.05 ? `so you see a difference${name && `, in favor of the ${2 * k > n ? "better" : "worse"} ${name}`}`
        : n < 6 ? "and fewer than 6 choices can show nothing" : `so this does not show that you see ${which}`;
      said.push(`By chance one expects ${n / 2}. Tossed coins are at least as far from it with probability ${Number(p.toPrecision(2))} (exact binomial test, two-sided), ${so}.`);
    }
    if (unsure && n) said.push(`In ${unsure === 1 ? "1 more round" : `${unsure} more rounds`} you could not tell.`);
    key.better.forEach((better, i) => {
      if (n && first >= 0 && better !== null && better !== by) said.push(`${sides[0].scores[i].name} prefers the other one: ${n - k} of ${n}.`);
    });
    one("lead").textContent = said.join(" ");
  };

  const score = (told, better) => {
    const block = made("div", "score", made("h3", "", told.name, made("small", "", told.wanted)));
    const value = made("p", "value", told.value, made("small", "", told.interval));
    if (better) value.append(made("small", "better", "better"));
    block.append(value, made("p", "how", told.how), ...told.warnings.map((text) => made("p", "how warning", text)));
    return block;
  };
  const card = (told, i, votes) => made("article", "card", made("h2", "", told.name), made("p", "votes", `You preferred it ${times(votes)}.`),
    ...told.scores.map((each, k) => score(each, key.better[k] === i)));

  const reveal = () => {
    told = true;
    const votes = tally(), asked = places.length;
    verdict(votes);
    one("result").append(made("div", "cards", "", ...sides.map((told, i) => card(told, i, votes[i]))));
    rounds.forEach((round, i) => [...round.querySelectorAll(".panel")].forEach((panel, place) => {
      panel.querySelector("figcaption").replaceChildren(made("b", "", sides[side(place, i)].name));
      panel.querySelector(".tiles").setAttribute("aria-label", `${panel.querySelector(".tiles").getAttribute("aria-label")} of ${sides[side(place, i)].name}`);
      panel.classList.toggle("chosen", i < asked && places[i] === place);
    }));
    const turn = (by, text, label) => {
      const button = made("button", "", text);
      button.type = "button";
      button.setAttribute("aria-label", label);
      button.onclick = () => show((at + by + total) % total);
      return button;
    };
    const bar = made("div", "turn", made("h2", "", "The samples again"));
    if (total > 1) bar.append(turn(-1, "←", "Previous round"), turn(1, "→", "Next round"));
    one("rounds").before(one("result"), bar);
    one("result").hidden = false;
    one("choices").hidden = true;
    show(0);
    one("title").focus();
    scrollTo(0, 0);
  };

  for (const button of document.querySelectorAll("[data-place]")) {
    button.onclick = () => choose(button.dataset.place === "" ? null : +button.dataset.place);
  }
  one("back").onclick = () => show(at - 1);
  one("reveal").onclick = reveal;
  addEventListener("keydown", (event) => {
    const by = { ArrowLeft: 0, ArrowRight: 1 }[event.key];
    if (by === undefined || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat) return;
    event.preventDefault();
    if (told) show((at + (by ? 1 : -1) + total) % total); else choose(by);
  });
  one("choices").hidden = false;
  show(0);
})();
