// Tables that sort by a click on a head, and show more at the end of their rows.

const PAGE = 50;

// `columns`: [{ head, of(item) → what sorts, show(item) → node or text, text: left-aligned }]
function table(columns, items, { onpick, label, note } = {}) {
  let shown = PAGE,
    by = -1,
    down = true;
  const body = el("tbody"),
    foot = el("p", { class: "more" });
  const heads = columns.map((column, i) =>
    el(
      "th",
      { class: column.text ? "text" : "", scope: "col" },
      column.of ? el("button", { class: "sort", onclick: () => sort(i) }, column.head) : column.head,
    ),
  );

  function sort(i) {
    down = by === i ? !down : !columns[i].text;
    by = i;
    const sign = down ? -1 : 1,
      of = columns[i].of;
    items = [...items].sort((a, b) => (of(a) < of(b) ? -sign : of(a) > of(b) ? sign : 0));
    heads.forEach((head, k) =>
      k === i
        ? head.setAttribute("aria-sort", down ? "descending" : "ascending")
        : head.removeAttribute("aria-sort"),
    );
    fill();
  }

  function fill() {
    body.replaceChildren(
      ...items.slice(0, shown).map((item) => {
        const row = el(
          "tr",
          {},
          ...columns.map((column) => el("td", { class: column.text ? "text" : "" }, column.show(item))),
        );
        if (onpick) {
          row.tabIndex = 0;
          row.addEventListener("click", () => onpick(item));
          row.addEventListener("keydown", (event) => {
            if (event.key === "Enter") onpick(item);
          });
        }
        return row;
      }),
    );
    const left = items.length - shown;
    foot.replaceChildren(
      ...(left > 0
        ? [
            el(
              "button",
              {
                onclick: () => {
                  shown += 4 * PAGE;
                  fill();
                },
              },
              `Show more of ${left.toLocaleString("en")}`,
            ),
          ]
        : []),
      note ?? "",
    );
  }

  fill();
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      { "aria-label": label, class: onpick ? "picks" : "" },
      el("thead", {}, el("tr", {}, ...heads)),
      body,
    ),
    foot,
  );
}

// A bar as long as a part of a whole, behind a number.
function meter(part, text, slot) {
  const fill = el("span", { class: `fill ${slot === undefined ? "" : `slot${slot}`}` });
  fill.style.width = `${Math.max(0, Math.min(100, part * 100))}%`;
  return el(
    "span",
    { class: "meter" },
    el("span", { class: "track", "aria-hidden": "true" }, fill),
    el("span", {}, text),
  );
}
