"use strict";
(function () {
  const $ = (id) => document.getElementById(id);
  const found = window.QC.found;
  if (!found) { document.body.textContent = "The list scans.js is not beside this page."; return; }
  const scans = found.rows.map((row, number) => ({
    number: number, variant: found.variants[row[0]], scan: row[1], image: row[2], doubt: row[3], kind: row[4],
    draw: row[5], why: row[6], facts: row[7], after: row[8], before: row[9]
  }));
  const WORDS = { "ok": "ok", "face left": "face", "brain cut": "brain", "redo": "redo" };
  const SHOWN = 200;
  let rater = "", ratings = new Map(), shown = [], place = 0, flipped = false, outlined = false, kept = true;

  const key = (one) => one.variant + "\t" + one.scan + "\t" + one.image;
  const byKey = new Map(scans.map((one) => [key(one), one]));
  const storage = () => "refacebench-qc:" + found.dataset + ":" + rater;
  const address = (path) => path.split("/").map(encodeURIComponent).join("/");

  // what was rated ------------------------------------------------------------------------
  function recall() {
    ratings = new Map();
    if (!rater) { return; }
    let stored = null;
    try { stored = localStorage.getItem(storage()); } catch (error) { kept = false; }
    try { take(JSON.parse(stored || "[]")); } catch (error) { /* nothing that can be read */ }
  }
  function take(list) {
    let number = 0;
    for (const item of Array.isArray(list) ? list : []) {
      // A rating of another image of the same name is none of this one.
      if (!item || !(item.rating in WORDS) || !byKey.has(key(item))) { continue; }
      const old = ratings.get(key(item));
      if (!old || String(old.when) <= String(item.when)) { ratings.set(key(item), item); }
      number += 1;
    }
    return number;
  }
  function keep() {
    try { localStorage.setItem(storage(), JSON.stringify([...ratings.values()])); } catch (error) { kept = false; }
  }
  function drawnNext(one) {
    // Part of the random sample is what comes next in the order of the draw, and nothing else.
    if ($("order").value !== "sample" || one.draw === null) { return false; }
    return scans.every((other) => other.variant !== one.variant || other.draw === null || other.draw >= one.draw || ratings.has(key(other)));
  }
  function rate(rating) {
    const one = shown[place];
    if (!one) { return; }
    if (!/^[A-Za-z0-9_-]{1,40}$/.test(rater)) {
      $("complaint").textContent = "First give your name or a code (letters, digits, - and _).";
      $("rater").focus();
      return;
    }
    const old = ratings.get(key(one));
    const how = old ? old.how : drawnNext(one) ? "sample" : "list";
    ratings.set(key(one), {
      variant: one.variant, scan: one.scan, image: one.image, rating: rating,
      left: rating === "face left" && old && old.rating === rating ? old.left : [],
      comment: old ? old.comment : "", how: how, when: new Date().toISOString()
    });
    keep();
    if (rating === "ok") { step(1); } else { draw(); }
    count();
  }
  function clear() {
    const one = shown[place];
    if (one && ratings.delete(key(one))) { keep(); draw(); count(); }
  }
  function part(name) {
    const mine = shown[place] && ratings.get(key(shown[place]));
    if (!mine || mine.rating !== "face left") { return; }
    mine.left = mine.left.includes(name) ? mine.left.filter((other) => other !== name) : [...mine.left, name];
    mine.when = new Date().toISOString();
    keep();
    draw();
  }

  // the list ------------------------------------------------------------------------------
  function choose() {
    const variant = $("variant").value, kind = $("kind").value, rated = $("rated").value, sample = $("order").value === "sample";
    const current = shown[place];
    shown = scans.filter((one) => {
      if (variant && one.variant !== variant) { return false; }
      if (sample) { return one.draw !== null; }
      if (kind === "images" ? one.kind === 3 : kind !== "" && one.kind !== Number(kind)) { return false; }
      const mine = ratings.get(key(one));
      return rated === "" || (rated === "no" ? !mine : Boolean(mine) && (mine.rating === "ok") === (rated === "ok"));
    });
    $("kind").disabled = $("rated").disabled = sample;
    if (sample) { shown.sort((a, b) => a.draw - b.draw || a.number - b.number); }
    // A sample begins with what was drawn first, wherever the list was.
    place = Math.max(0, sample ? shown.findIndex((one) => !ratings.has(key(one))) : shown.indexOf(current));
    said();
    show();
  }
  function said() {
    const needed = found.needed[$("variant").value];
    let text = shown.length + " scans";
    if ($("order").value === "sample") {
      const mine = [...ratings.values()].filter((item) => item.how === "sample" && (!$("variant").value || item.variant === $("variant").value));
      const bad = mine.filter((item) => item.rating !== "ok").length;
      text = mine.length + " of the random sample looked at, " + bad + " not ok. ";
      if (needed === undefined) { text += "Choose one method first."; }
      else if (needed === shown.length) { text += "Look at all " + needed + ": they are too few for a sample to say much."; }
      else { text += "Look at " + needed + ": if none fails, fewer than " + 100 * found.share + " % of the others do (" + 100 * found.level + " %)."; }
    }
    $("found").textContent = text;
  }
  function list() {
    const first = Math.max(0, Math.min(place - SHOWN / 2, shown.length - SHOWN));
    const items = shown.slice(first, first + SHOWN).map((one, i) => {
      const item = document.createElement("li"), doubt = document.createElement("span"), who = document.createElement("span"), small = document.createElement("small");
      const mine = ratings.get(key(one));
      doubt.className = "doubt kind" + one.kind;
      doubt.textContent = one.kind === 3 ? "–" : one.doubt.toFixed(2);
      who.className = "who";
      small.textContent = one.variant + " · " + found.kinds[one.kind];
      who.append(one.scan, small);
      item.append(doubt, who);
      if (mine) {
        const tag = document.createElement("span");
        tag.className = "tag " + WORDS[mine.rating];
        tag.textContent = mine.rating;
        item.append(tag);
      }
      if (first + i === place) { item.setAttribute("aria-current", "true"); }
      item.addEventListener("click", () => { place = first + i; show(); });
      return item;
    });
    if (first > 0) { items.unshift(rest(first + " scans before these")); }
    if (first + SHOWN < shown.length) { items.push(rest((shown.length - first - SHOWN) + " more scans")); }
    $("list").replaceChildren(...items);
    const current = $("list").querySelector("[aria-current]");
    if (current) { current.scrollIntoView({ block: "nearest" }); }
  }
  function rest(text) {
    const item = document.createElement("li");
    item.textContent = text;
    item.style.display = "block";
    return item;
  }

  // one scan ------------------------------------------------------------------------------
  function show() {
    flipped = false;
    stopViewer();
    draw();
    const next = shown[place + 1];
    if (next) { for (const path of [next.after[0], next.before[0], next.after[1]]) { if (path) { new Image().src = address(path); } } }
  }
  function source(image, path) {
    const wanted = path ? address(path) : "";
    if (image.getAttribute("src") !== wanted) { if (wanted) { image.src = wanted; } else { image.removeAttribute("src"); } }
  }
  function draw() {
    list();
    const one = shown[place];
    $("case").hidden = !one;
    if (!one) { return; }
    const mine = ratings.get(key(one));
    $("title").textContent = one.scan + ", " + one.variant;
    $("facts").textContent = [found.kinds[one.kind] + (one.kind === 3 ? "" : ", doubt " + one.doubt.toFixed(2)),
      ...found.facts.map((words, i) => one.facts[i] === "" ? "" : words + " " + one.facts[i])].filter(Boolean).join(" · ");
    $("why").replaceChildren(...one.why.map((text) => { const item = document.createElement("li"); item.textContent = text; return item; }));
    const picture = one.after[0] !== "";
    $("stage").hidden = !picture;
    $("none").hidden = picture;
    source($("after"), one.after[0]);
    source($("before"), one.before[0]);
    source($("outline"), one.before[3]);
    $("after").alt = "Slices after " + one.variant;
    $("before").alt = "The same slices of the original";
    $("before").hidden = !flipped || !one.before[0];
    $("outline").hidden = !outlined || !one.before[3];
    $("which").textContent = flipped ? "before" : "after";
    $("which").className = flipped ? "which before" : "which";
    $("flip").disabled = !picture || !one.before[0];
    $("brain").disabled = !one.before[3] || !picture;
    $("brain").setAttribute("aria-pressed", outlined);
    $("view").disabled = !one.after[2];
    const faces = [["before", one.before[1]], ["after " + one.variant, one.after[1]]].filter((pair) => pair[1] && picture);
    $("faces").replaceChildren(...faces.map((pair) => {
      const figure = document.createElement("figure"), image = document.createElement("img"), caption = document.createElement("figcaption");
      image.src = address(pair[1]);
      image.alt = "The head's surface from three sides, " + pair[0];
      caption.textContent = "Face " + pair[0];
      figure.append(image, caption);
      return figure;
    }));
    for (const button of document.querySelectorAll("[data-rating]")) { button.setAttribute("aria-pressed", Boolean(mine) && mine.rating === button.dataset.rating); }
    for (const button of document.querySelectorAll("[data-part]")) { button.setAttribute("aria-pressed", Boolean(mine) && mine.left.includes(button.dataset.part)); }
    $("more").hidden = !mine || mine.rating !== "face left";
    $("remark").hidden = !mine;
    $("comment").value = mine ? mine.comment : "";
    $("clear").disabled = !mine;
    $("prev").disabled = place === 0;
    $("next").disabled = place + 1 >= shown.length;
  }
  function count() {
    const images = scans.filter((one) => one.kind !== 3).length, done = [...ratings.keys()].filter((name) => byKey.get(name).kind !== 3).length;
    $("progress").textContent = done + " of " + images + " scans rated" + (kept ? "" : ". This browser keeps nothing: save before you close it.");
    said();
  }
  function step(by) {
    if (place + by >= 0 && place + by < shown.length) { place += by; show(); } else { draw(); }
  }
  function flip() { flipped = !flipped; draw(); }
  function outline() { outlined = !outlined; draw(); }

  // the viewer ----------------------------------------------------------------------------
  function script(path) {
    return new Promise((resolve, reject) => {
      const made = document.createElement("script");
      made.src = path;
      made.onload = () => { made.remove(); resolve(); };
      made.onerror = () => { made.remove(); reject(new Error(path + " is not there")); };
      document.head.append(made);
    });
  }
  let viewing = null;
  async function volume(path) {
    // The small copy is a script that calls this, one at a time.
    let coded = "";
    window.QC.volume = (text) => { coded = text; };
    await script(address(path));
    return window.niivue.NVImage.loadFromBase64({ base64: coded, name: "scan.nii.gz", cal_min: 0, cal_max: 255 });
  }
  function stopViewer() {
    viewing = null;
    for (const canvas of $("canvases").querySelectorAll("canvas")) {
      const context = canvas.getContext("webgl2");
      if (context && context.getExtension("WEBGL_lose_context")) { context.getExtension("WEBGL_lose_context").loseContext(); }
    }
    $("viewer").hidden = true;
    delete $("viewer").dataset.ready;
    $("canvases").replaceChildren();
    $("view").setAttribute("aria-pressed", false);
  }
  async function view() {
    const one = shown[place];
    if (!$("viewer").hidden) { stopViewer(); return; }
    if (!one || !one.after[2]) { return; }
    $("viewer").hidden = false;
    $("view").setAttribute("aria-pressed", true);
    $("viewertext").textContent = "Loading the viewer ...";
    $("viewer").scrollIntoView({ block: "nearest" });
    const mine = viewing = {};
    try {
      if (!document.createElement("canvas").getContext("webgl2")) { throw new Error("this browser has no WebGL 2, which the viewer needs"); }
      if (!window.niivue) { await script("niivue.js"); }
      const pairs = [["before", one.before[2]], ["after", one.after[2]]].filter((pair) => pair[1]);
      const viewers = [];
      for (const [name, path] of pairs) {
        const image = await volume(path);
        if (viewing !== mine) { return; }
        const frame = document.createElement("div"), canvas = document.createElement("canvas");
        frame.className = "frame";
        canvas.setAttribute("aria-label", "Viewer, " + name);
        frame.append(canvas);
        $("canvases").append(frame);
        const nv = new window.niivue.Niivue({ backColor: [0, 0, 0, 1], show3Dcrosshair: true, isRadiologicalConvention: false, multiplanarLayout: window.niivue.MULTIPLANAR_TYPE.GRID, logLevel: "error" });
        await nv.attachToCanvas(canvas);
        nv.addVolume(image);
        nv.setSliceType(nv.sliceTypeMultiplanar);
        viewers.push(nv);
      }
      if (viewers.length === 2) { viewers[0].broadcastTo([viewers[1]], { "2d": true, "3d": true }); viewers[1].broadcastTo([viewers[0]], { "2d": true, "3d": true }); }
      mine.viewers = viewers;
      $("viewertext").textContent = (viewers.length === 2 ? "Left before, right after; both move together. " : "") + "Drag to move the cross, turn the head in the lower right. A small copy of the image; no measurement.";
      $("viewer").dataset.ready = "yes";
      $("viewer").scrollIntoView({ block: "end" });
    } catch (error) {
      $("viewertext").textContent = "The viewer cannot be shown: " + error.message + ".";
    }
  }

  // files ---------------------------------------------------------------------------------
  function download(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: type }));
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }
  const stem = () => "ratings_" + found.dataset.replace(/[^A-Za-z0-9_-]/g, "_") + "_" + rater;
  function save() {
    if (!ratings.size) { $("complaint").textContent = "There is nothing to save yet."; return; }
    $("complaint").textContent = "";
    const file = { format: "refacebench-ratings", version: 1, dataset: found.dataset, rater: rater, saved: new Date().toISOString(), ratings: [...ratings.values()] };
    download(stem() + ".json", "application/json", JSON.stringify(file, null, 1) + "\n");
  }
  function table() {
    if (!ratings.size) { $("complaint").textContent = "There is nothing to save yet."; return; }
    const plain = (text) => String(text).replace(/[\t\r\n"]+/g, " ");
    const columns = ["dataset", "rater", "variant", "scan", "image", "rating", "left", "comment", "how", "when"];
    const rows = [...ratings.values()].map((item) => [found.dataset, rater, item.variant, item.scan, item.image, item.rating, item.left.join(","), item.comment, item.how, item.when].map(plain).join("\t"));
    download(stem() + ".tsv", "text/tab-separated-values", [columns.join("\t"), ...rows].join("\n") + "\n");
  }
  async function load(file) {
    try {
      const given = JSON.parse(await file.text());
      if (given.format !== "refacebench-ratings" || given.dataset !== found.dataset) { throw new Error("it is no file of ratings of this data set"); }
      if (!rater) { $("rater").value = given.rater; named(); }
      if (given.rater !== rater) { throw new Error("it is a file of " + given.rater); }
      const number = take(given.ratings);
      keep();
      $("complaint").textContent = number + " ratings loaded.";
      choose();
      count();
    } catch (error) { $("complaint").textContent = file.name + " cannot be used: " + error.message + "."; }
  }

  // what a person does --------------------------------------------------------------------
  function named() { rater = $("rater").value.trim(); recall(); $("complaint").textContent = ""; choose(); count(); }
  function option(select, value, text) {
    const made = document.createElement("option");
    made.value = value;
    made.textContent = text;
    select.append(made);
  }
  option($("variant"), "", "all methods");
  for (const name of found.variants) { option($("variant"), name, name); }
  option($("kind"), "", "all scans");
  option($("kind"), "images", "all that have an image");
  found.kinds.forEach((name, i) => option($("kind"), String(i), name + " (" + scans.filter((one) => one.kind === i).length + ")"));
  for (const id of ["variant", "kind", "rated", "order"]) { $(id).addEventListener("change", (event) => { choose(); event.target.blur(); }); }
  $("rater").addEventListener("input", named);
  $("rater").addEventListener("keydown", (event) => { if (event.key === "Enter") { event.target.blur(); event.stopPropagation(); } });
  $("comment").addEventListener("input", (event) => {
    const mine = shown[place] && ratings.get(key(shown[place]));
    if (mine) { mine.comment = event.target.value; mine.when = new Date().toISOString(); keep(); }
  });
  const does = { prev: () => step(-1), next: () => step(1), clear: clear, flip: flip, brain: outline, view: view, save: save, tsv: table, load: () => $("file").click() };
  for (const id of Object.keys(does)) { $(id).addEventListener("click", (event) => { event.currentTarget.blur(); does[id](); }); }
  $("file").addEventListener("change", (event) => { if (event.target.files.length) { load(event.target.files[0]); event.target.value = ""; } });
  for (const button of document.querySelectorAll("[data-rating]")) { button.addEventListener("click", () => { button.blur(); rate(button.dataset.rating); }); }
  for (const button of document.querySelectorAll("[data-part]")) { button.addEventListener("click", () => { button.blur(); part(button.dataset.part); }); }
  const keys = {
    "1": () => rate("ok"), "2": () => rate("face left"), "3": () => rate("brain cut"), "4": () => rate("redo"),
    "n": () => part("nose"), "y": () => part("eyes"), "m": () => part("mouth"), "c": () => part("chin"), "e": () => part("ears"),
    " ": flip, "b": outline, "v": view, "s": save, "Enter": () => step(1), "ArrowRight": () => step(1), "ArrowLeft": () => step(-1), "Backspace": clear
  };
  document.addEventListener("keydown", (event) => {
    const inField = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.target.id === "comment" && event.key === "Enter") { event.target.blur(); step(1); return; }
    if (inField || event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "CANVAS") { return; }
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || (event.repeat && event.key !== "ArrowRight" && event.key !== "ArrowLeft")) { return; }
    event.preventDefault();
    act();
  });
  choose();
  count();
})();
