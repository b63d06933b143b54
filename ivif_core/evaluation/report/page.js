"use strict";

// Sorting: the first click shows the better end of a column, the next one the other; undefined figures stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.tHead.addEventListener("click", (event) => {
    const head = event.target.closest("th");
    if (!head) return;
    const old = head.getAttribute("aria-sort");
    const order = !old ? head.dataset.first : old === "ascending" ? "descending" : "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => {
      const cell = row.cells[head.cellIndex];
      return { row, text: cell.textContent, value: "value" in cell.dataset ? Number(cell.dataset.value) : NaN };
    });
    const compare = head.cellIndex === 0
      ? (a, b) => sign * a.text.localeCompare(b.text, undefined, { numeric: true })
      : (a, b) => Number.isNaN(a.value) - Number.isNaN(b.value) || sign * (a.value - b.value) || 0;
    body.append(...rows.sort(compare).map((entry) => entry.row));
  });
}

// Slider: the images of the strip, two of them on top of each other.
for (const example of document.querySelectorAll(".example")) {
  const images = [...example.querySelectorAll(".strip img")];
  const stage = example.querySelector(".stage");
  const range = stage.querySelector("input");
  range.addEventListener("input", () => stage.style.setProperty("--cut", `${range.value}%`));
  const sides = [["left", images.slice(0, 2), 1], ["right", images.slice(2), 0]];
  example.querySelectorAll(".choose").forEach((group, k) => {
    const [side, choices, first] = sides[k];
    const show = (chosen) => {
      stage.querySelector(`.${side}`).src = choices[chosen].src;
      [...group.children].forEach((button, i) => button.setAttribute("aria-pressed", i === chosen));
    };
    choices.forEach((image, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = image.alt;
      button.addEventListener("click", () => show(i));
      group.append(button);
    });
    show(first);
  });
  example.querySelector(".compare").hidden = false;
}
