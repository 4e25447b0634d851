"use strict";
// Shows what the API says. Everything is put in as text: names come from outside.

const EVERY_MS = 3000;
const PAGES_MAX = 5;
const REASONS_MAX = 4;
const ROWS_MAX = 200;
const KEY = "caerus.token";
const $ = (id) => document.getElementById(id);
let timer = 0;
let round = 0;

class Refused extends Error {
  constructor(status, detail) { super(detail); this.status = status; }
}

async function get(path) {
  const answer = await fetch(path, {
    headers: { authorization: `Bearer ${sessionStorage.getItem(KEY)}` },
    cache: "no-store",
  });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, body.detail || answer.statusText);
  return body;
}

// What this credential or this process does not offer is an empty list, not an error.
async function optional(path, fallback) {
  try {
    return await get(path);
  } catch (refused) {
    if (refused instanceof Refused && (refused.status === 403 || refused.status === 404)) return fallback();
    throw refused;
  }
}

async function pages(path) {
  const found = [];
  let after = "";
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const body = await get(path + (after && `&after=${encodeURIComponent(after)}`));
    found.push(...body.entries);
    if (!body.next) break;
    after = body.next;
  }
  return found;
}

function cell(row, text, className) {
  const td = row.insertCell();
  td.textContent = text ?? "";
  if (className) td.className = className;
  return td;
}

function list(td, lines) {
  const ul = document.createElement("ul");
  for (const line of lines) {
    const li = document.createElement("li");
    li.textContent = line;
    ul.append(li);
  }
  td.append(ul);
}

function reasons(contributions) {
  return (contributions || [])
    .filter((line) => line.points > 0 && line.code !== "PRIOR")
    .sort((a, b) => b.points - a.points)
    .slice(0, REASONS_MAX)
    .map((line) => `${line.text || line.code} (${line.points > 0 ? "+" : ""}${line.points})`);
}

function when(text) {
  if (!text) return "";
  const at = new Date(text);
  const sameDay = at.toDateString() === new Date().toDateString();
  return sameDay ? at.toLocaleTimeString() : at.toLocaleString();
}

function level(score) {
  return score >= 80 ? "HIGH" : score >= 40 ? "MEDIUM" : "LOW";
}

function fill(id, entries, none, put) {
  const body = $(id);
  const rows = document.createDocumentFragment();
  for (const entry of entries.slice(0, ROWS_MAX)) {
    const row = document.createElement("tr");
    put(row, entry);
    rows.append(row);
  }
  if (!entries.length) {
    const row = document.createElement("tr");
    const td = cell(row, none, "nobody");
    td.colSpan = 6;
    rows.append(row);
  }
  body.replaceChildren(rows);
  $(`${id}-count`).textContent = entries.length ? String(entries.length) : "";
}

function showRisk(subjects) {
  const atRisk = subjects.filter((s) => s.score >= 20).sort((a, b) => b.score - a.score);
  fill("risk", atRisk, "nobody stands at 20 points or more", (row, subject) => {
    cell(row, subject.score, `number ${level(subject.score)}`);
    cell(row, `${subject.name}${subject.session ? ` · session ${subject.session}` : ""}`);
    cell(row, (subject.hypothesis || "").replaceAll("_", " "));
    list(cell(row, ""), reasons(subject.contributions));
    cell(row, when(subject.at), "when");
  });
}

function target(of) {
  return ["user", "session", "device", "workload", "app"]
    .filter((member) => of[member])
    .map((member) => (member === "user" ? of.user : `${member} ${of[member]}`))
    .join(" · ");
}

function showForce(decisions) {
  const demands = decisions.filter((one) => one.action !== "clear");
  const newest = demands.sort((a, b) => (a.issued_at < b.issued_at ? 1 : -1));
  fill("force", newest, "nothing is in force", (row, decision) => {
    cell(row, decision.action.replace("_", "-"), decision.action);
    cell(row, target(decision.target));
    cell(row, decision.score, `number ${decision.level}`);
    list(cell(row, ""), reasons(decision.contributions));
    cell(row, when(decision.issued_at), "when");
    cell(row, when(decision.expires_at), "when");
  });
}

function showPoints(points) {
  fill("points", points, "none has ever connected, or this credential may not see them", (row, point) => {
    cell(row, point.connected ? "connected" : "away", point.connected ? "is-here" : "is-away");
    cell(row, point.name);
    cell(row, point.client);
    cell(row, point.tenants.length ? point.tenants.join(", ") : "every tenant");
    cell(row, when(point.last_seen), "when");
  });
}

async function show() {
  const named = $("tenant").value.trim();
  const tenant = named ? `&tenant=${encodeURIComponent(named)}` : "";
  const recent = async () => {
    const now = new Date().toISOString();
    const body = await get(`/v1/decisions?limit=${ROWS_MAX}${tenant}`);
    return { entries: body.entries.filter((one) => one.expires_at > now && one.mode === "enforce") };
  };
  const [users, devices, force, points] = await Promise.all([
    pages(`/v1/subjects?kind=user&order=risk${tenant}`),
    pages(`/v1/subjects?kind=device&order=risk${tenant}`),
    optional(`/v1/decisions?active=true${tenant}`, recent),
    optional("/v1/enforcement-points", () => ({ entries: [] })),
  ]);
  showRisk(users.concat(devices));
  showForce(force.entries);
  showPoints(points.entries);
}

function leave(problem) {
  clearTimeout(timer);
  round += 1;
  sessionStorage.removeItem(KEY);
  $("board").hidden = true;
  $("leave").hidden = true;
  $("enter").hidden = false;
  $("problem").textContent = problem || "";
  $("state").textContent = "not connected";
  $("state").className = "";
}

async function turn() {
  clearTimeout(timer);
  round += 1;
  const mine = round;
  try {
    await show();
    if (mine !== round) return;
    $("enter").hidden = true;
    $("problem").textContent = "";
    $("board").hidden = false;
    $("leave").hidden = false;
    $("state").textContent = `as of ${new Date().toLocaleTimeString()}`;
    $("state").className = "";
  } catch (refused) {
    if (mine !== round) return;
    const isOut = refused.status === 401 || (refused.status === 403 && $("board").hidden);
    if (refused instanceof Refused && isOut) {
      leave(refused.message);
      return;
    }
    $("state").textContent = `not up to date: ${refused.message}`;
    $("state").className = "is-bad";
  }
  timer = setTimeout(turn, EVERY_MS);
}

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("token").value.trim());
  $("token").value = "";
  turn();
});
$("leave").addEventListener("click", () => leave(""));
$("tenant").addEventListener("change", turn);
if (sessionStorage.getItem(KEY)) turn();
