(() => {
  "use strict";
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const steps = all(".step"), tabs = all("nav button"), pictures = all(".picture"), details = all(".detail");
  const panel = document.querySelector(".details");
  const narrow = matchMedia("(max-width: 900px)");
  document.body.classList.add("scripted");

  const show = (walk) => {
    pictures.forEach((one) => one.classList.toggle("picked", one.dataset.walk === walk));
    tabs.forEach((one) => one.setAttribute("aria-selected", String(one.dataset.walk === walk)));
  };
  const pick = (step, scroll = false) => {
    const chosen = steps.find((one) => one.dataset.step === step);
    if (!chosen) return;
    show(chosen.closest(".picture").dataset.walk);
    steps.forEach((one) => one.classList.toggle("picked", one === chosen));
    details.forEach((one) => one.classList.toggle("picked", one.dataset.step === step));
    panel.classList.add("picking");
    panel.scrollTop = 0;
    // on a narrow screen the details lie over the foot of the picture
    const covered = narrow.matches && chosen.getBoundingClientRect().bottom > panel.getBoundingClientRect().top;
    if (scroll || covered) chosen.scrollIntoView({ block: covered ? "center" : "nearest", inline: "nearest" });
    // no element has this fragment as its name, so that the browser does not scroll to one by itself
    history.replaceState(null, "", "#at=" + step);
  };
  const move = (by) => {
    const shown = all(".picture.picked .step");
    const at = shown.findIndex((one) => one.classList.contains("picked"));
    const next = shown[at < 0 ? 0 : Math.min(Math.max(at + by, 0), shown.length - 1)];
    if (next) pick(next.dataset.step, true);
  };

  steps.forEach((one) => one.addEventListener("click", () => pick(one.dataset.step)));
  tabs.forEach((one) => one.addEventListener("click", () => show(one.dataset.walk)));
  document.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight" || event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowLeft" || event.key === "ArrowUp") move(-1);
    else if (event.key === "Enter" && event.target.dataset && event.target.dataset.step) pick(event.target.dataset.step);
    else return;
    event.preventDefault();
  });
  show("0");
  if (location.hash.startsWith("#at=")) pick(location.hash.slice(4), true);
})();
