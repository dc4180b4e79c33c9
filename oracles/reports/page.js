"use strict";
(() => {
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
    if (target) target.scrollIntoView({ inline: "center" });
  };
  addEventListener("hashchange", open);

  const form = document.getElementById("filter");
  const rows = [...document.querySelectorAll("table.changes tbody tr:not(.step)")];
  const show = () => {
    const chosen = Object.fromEntries(new FormData(form));
    let shown = 0;
    for (const row of rows) {
      const what = chosen.what, release = row.parentElement.dataset.release;
      row.hidden = !((!chosen.optimizer || row.dataset.o.split(" ").includes(chosen.optimizer))
        && (!chosen.release || release === chosen.release)
        && (!what || (what === "worse" ? row.classList.contains("worse") : row.cells[0].textContent === what)));
      shown += !row.hidden;
    }
    const filtered = Object.values(chosen).some(Boolean);
    for (const body of document.querySelectorAll("table.changes tbody"))
      body.hidden = filtered && ![...body.rows].some(row => !row.hidden && !row.classList.contains("step"));
    document.getElementById("told").textContent = filtered ? `${shown} of ${rows.length} changes` : "";
  };
  const read = () => {
    const asked = new URLSearchParams(location.search);
    for (const select of form.querySelectorAll("select")) {
      select.value = asked.get(select.name) || "";
      if (select.selectedIndex < 0) select.value = "";
    }
    show();
  };
  if (form) {
    form.hidden = false;
    form.addEventListener("change", () => {
      const asked = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
      history.pushState(null, "", asked.size ? `?${asked}` : location.pathname);
      show();
    });
    form.addEventListener("reset", () => setTimeout(() => form.dispatchEvent(new Event("change"))));
    addEventListener("popstate", read);
    read();
  }

  const copying = (beside, command) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.title = command;
    button.setAttribute("aria-label", `copy: ${command}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(command);
        button.textContent = "copied";
      } catch {
        button.textContent = "cannot copy";
      }
    });
    beside.append(button);
  };
  const quoted = word => /^[\w.-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
  // On a narrow screen the newest release is out of view, and so is the text of a wide cell.
  const lay = wides => {
    for (const wide of wides) {
      if (!wide.checkVisibility()) continue;
      const side = wide.querySelector("th")?.offsetWidth || 0;
      wide.style.setProperty("--side", `${side + 8}px`);
      wide.scrollLeft = wide.scrollWidth;
    }
  };
  const prepare = details => {
    if (details.dataset.ready) return;
    details.dataset.ready = "yes";
    for (const code of details.querySelectorAll("p > code.command")) copying(code.parentElement, code.textContent);
    for (const head of details.querySelectorAll("table.places tbody th")) {
      const paths = head.firstChild.textContent.trim().split("; ").map(each => /^(.*?)(?: on ((?:cpu|cuda|mps)\S*))?$/.exec(each).slice(1));
      const words = ["oracles", "check", "--rule", details.id];
      for (const [path] of paths) words.push("--path", path);
      for (const dtype of head.querySelector("span").textContent.split(", ")) words.push("--dtype", dtype);
      for (const device of new Set(paths.map(each => each[1] || "cpu"))) words.push("--device", device);
      copying(head, [...words, "-v"].map(quoted).join(" "));
    }
  };
  document.addEventListener("toggle", event => {
    if (!event.target.open) return;
    lay(event.target.querySelectorAll(".wide"));
    if (event.target.className === "optimizer") prepare(event.target);
  }, true);
  lay(document.querySelectorAll("section > .wide"));  // what is closed is not laid out
  open();
})();
