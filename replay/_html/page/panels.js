// What stands beside the list: the turn looked at, how everybody stood behind it, the cancellations.

const LINKS_MAX = 12;
const STATE_ROWS_MAX = 60;
const CHART_SCALE_MIN = 0.78;  // smaller, its words are no more to be read

// --- one turn ------------------------------------------------------------------------------------

function showTurn(turn) {
  const { recording } = page;
  fill(byId('turn'),
    el('h2', {}, `Turn ${turn.number}`, el('span', { class: 'aside' }, turn.moment)),
    el('dl', { class: 'facts' },
      fact('Actor', named(turn.actor.label)),
      fact('Origin', [turn.origin]),
      fact('Cause', causeOf(turn)),
      turn.by ? fact('Called by', [el('span', {}, turn.by.who), ' ',
        el('code', { title: turn.by.file }, turn.by.place)]) : null,
      fact('Led to', linksTo(recording.effects(turn)))),
    el('h3', {}, 'Message'),
    turn.message ? kindBlock(turn.message) : el('p', { class: 'none' }, 'Nothing was taken.'),
    el('h3', {}, turn.events.length === 1 ? 'Event' : 'Events'),
    ...turn.events.length ? turn.events.map(kindBlock) : [el('p', { class: 'none' }, 'Nothing was decided.')],
    turn.more ? el('p', { class: 'none' }, `and ${count(turn.more, 'more event')}, not in this page`) : null);
}

function fact(name, content) {
  return content.length ? el('div', {}, el('dt', {}, name), el('dd', {}, content)) : null;
}

/** The way back to what came from outside, as turns to go to. */
function causeOf(turn) {
  if (turn.foreign) return [`turn ${turn.cause} of log ${turn.foreign.slice(0, 8)}`];
  if (!turn.cause) return ['came from outside'];
  const chain = page.recording.causes(turn);
  const links = chain.slice(0, LINKS_MAX).flatMap((cause) => [' ← ', turnLink(cause.number)]);
  const last = chain.at(-1) ?? turn;
  const rest = chain.length > LINKS_MAX ? [' ← … ← ', turnLink(last.number)] : [];
  const away = last.cause && last.foreign === null ? [' ← ', turnLink(last.cause)] : [];
  const script = turn.causeRequest ? [' in the script of ', ...named(`r${turn.causeRequest}`)] : [];
  return [...links, ...rest, ...away, ...script].slice(1 - (links.length === 0));
}

function linksTo(turns) {
  const links = turns.slice(0, LINKS_MAX).flatMap((turn) => [turnLink(turn.number), ' ']);
  return turns.length > LINKS_MAX ? [...links, `and ${count(turns.length - LINKS_MAX, 'more turn')}`] : links;
}

function kindBlock(kind) {
  const fields = kind.fields.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)));
  return el('details', { class: 'kind', open: kind.fields.length > 0 && kind.fields.length < 5 },
    el('summary', {}, named(kind.text)), el('dl', {}, fields));
}

// --- how everybody stood -------------------------------------------------------------------------

const GROUPS = [['e', 'Endpoints'], ['k', 'Calls'], ['a', 'Other actors']];
const PHASES = ['live', 'owed', 'over'];

function showState(turn) {
  const state = page.recording.stateAt(turn.index);
  const changed = state.filter((one) => one.index === turn.index);
  const own = page.recording.ownAt(turn.actor, turn.index).filter((one) => one.index === turn.index);
  const owners = new Set(state.filter(({ thing }) => 'eka'.includes(thing.letter)).map(({ thing }) => thing.number));
  const parts = [
    el('h2', {}, 'State', el('span', { class: 'aside' }, `after turn ${turn.number}`)),
    el('h3', {}, 'Changed by this turn'),
    changed.length || own.length
      ? el('ul', { class: 'changes' }, bounded(changed, changeRow), bounded(own, (one) => fieldRow(turn.actor, one)))
      : el('p', { class: 'none' }, 'Nothing that this page follows.'),
  ];
  for (const [letter, title] of GROUPS) {
    const members = state.filter(({ thing }) => thing.letter === letter);
    if (!members.length) continue;
    parts.push(el('h3', {}, title), el('ul', { class: 'owners' }, bounded(members, (one) => ownerRow(one, state, turn))));
  }
  const stray = state.filter(({ thing }) => 'rc'.includes(thing.letter) && !owners.has(thing.owner));
  const open = stray.filter((one) => one.phase !== OVER);
  if (open.length) parts.push(el('h3', {}, 'Outstanding'), el('ul', { class: 'members' }, bounded(open, memberRow)));
  fill(byId('state'), ...parts);
}

function bounded(members, row) {
  const rows = members.slice(0, STATE_ROWS_MAX).map(row);
  const rest = members.length - rows.length;
  return rest > 0 ? [...rows, el('li', { class: 'none' }, `and ${rest.toLocaleString('en')} more`)] : rows;
}

function changeRow({ thing, phase, text, was }) {
  return el('li', {}, el('b', {}, named(thing.label)), ' ',
    was ? [el('s', {}, was.text), ' → '] : null, el('span', { class: PHASES[phase] }, named(text)));
}

function fieldRow(thing, { name, value, was }) {
  return el('li', {}, el('b', {}, named(thing.label)), ` ${name} `,
    was === null ? null : [el('s', {}, was), ' → '], el('span', {}, value ?? 'nothing'));
}

function ownerRow(one, state, turn) {
  const { thing } = one;
  const fields = page.recording.ownAt(thing, turn.index).filter(({ value }) => value !== null);
  const own = state.filter((other) => other.thing.owner === thing.number && 'rc'.includes(other.thing.letter) && other.phase !== OVER);
  const windows = own.filter((other) => other.thing.letter === 'c');
  const requests = own.filter((other) => other.thing.letter === 'r');
  return el('li', {},
    el('p', { class: 'owner' }, el('b', {}, named(thing.label)), el('span', { class: `badge ${PHASES[one.phase]}` }, one.text)),
    fields.length ? el('dl', { class: 'own' }, fields.map(({ name, value }) => (
      el('div', {}, el('dt', {}, name), el('dd', {}, value))))) : null,
    windows.length ? el('ul', { class: 'members windows' }, bounded(windows, memberRow)) : null,
    requests.length ? el('ul', { class: 'members' }, bounded(requests, memberRow)) : null);
}

function memberRow({ thing, phase, text, index }) {
  const since = index < 0 ? null : page.recording.turns[index].number;
  return el('li', {}, el('span', {}, named(thing.label)), el('span', { class: PHASES[phase] }, text),
    el('span', { class: 'since' }, since === null ? 'before' : ['since ', turnLink(since)]));
}

// --- cancellations -------------------------------------------------------------------------------

const VERDICTS = { holds: 'holds', broken: 'broken', open: 'open' };

function showCards() {
  const { sequences } = page.recording;
  fill(byId('cards'), sequences.length ? sequences.map(card)
    : el('li', { class: 'none' }, 'No cancellation in these turns.'));
}

function card(one) {
  const [victims, refused, losers] = one.counts;
  const facts = [count(victims, 'victim'), refused ? `${refused.toLocaleString('en')} refused` : '',
    losers ? `${losers.toLocaleString('en')} lost` : ''].filter(Boolean).join(' · ');
  const asked = one.asked.by ? `${one.asked.by.who}  ${placeOf(one.asked.by)}`
    : one.asked.timed_out ? `the deadline of r${one.asked.timed_out}` : 'asked from outside';
  return el('li', {}, el('button', { type: 'button', class: 'card', 'data-cancel': one.cancel,
    onclick: () => page.openStory(one) },
    el('span', { class: 'card-head' }, el('b', {}, `${one.selector} ${one.trigger}`), verdict(one)),
    el('span', {}, `on ${one.label}`),
    el('span', { class: 'dim' }, asked),
    el('span', { class: 'dim' }, facts)));
}

function placeOf(by) {
  const tail = by.file.split(/[\\/]/).at(-1);
  return `${tail}:${by.line}`;
}

function verdict(one) {
  return el('span', { class: `verdict ${VERDICTS[one.verdict] ?? ''}` }, one.verdict);
}

function showStory(one) {
  const window = one.window.began
    ? [turnLink(one.window.began.turn), ' … ', one.window.ended ? turnLink(one.window.ended.turn) : 'still open']
    : ['never opened'];
  const [victims, refused, losers] = one.counts;
  fill(byId('story'),
    el('h2', {}, `${one.selector} ${one.trigger} on ${one.label}`, verdict(one)),
    el('dl', { class: 'facts' },
      fact('Asked', askedBy(one)),
      one.reason ? fact('Because', [one.reason]) : null,
      fact('Window', window),
      one.parent ? fact('In the course of', named(`c${one.parent}`)) : null,
      fact('At rest', [one.quiescence_ns === null ? 'not known' : `after ${duration(one.quiescence_ns)}`])),
    ...one.findings.map((finding) => el('p', { class: `finding ${VERDICTS[finding.verdict] ?? ''}` }, el('b', {}, finding.law), ' ',
      named(finding.text), ' ', finding.turns.flatMap((turn) => [turnLink(turn), ' ']))),
    ...table('Victims', victims, one.victims, ['Request', 'Result', 'Age', 'Completed', 'Delivered'], (victim) => [
      named(`r${victim.request}`).concat(` ${victim.operation}`), resultOf(victim),
      victim.age_ns === null ? '' : duration(victim.age_ns), after(victim.completed, one), deliveryOf(victim, one)]),
    ...table('Refused', refused, one.refused, ['Request', 'Code', 'Asked', 'Rule', 'By'], (refusal) => [
      named(`r${refusal.request}`).concat(` ${refusal.operation}`), codeText(refusal), after(refusal.asked, one),
      refusal.rule, refusal.asked.by ? `${refusal.asked.by.who} ${placeOf(refusal.asked.by)}` : 'outside']),
    ...table('Raced and lost', losers, one.losers, ['Request', 'What lost', 'By', 'Turn'], (loser) => [
      named(`r${loser.request}`).concat(` ${loser.operation}`),
      loser.outcome === 'answer ignored' ? 'the outside’s answer came too late' : `the cancel: ${loser.outcome}`,
      loser.margin_ns === null ? '' : duration(loser.margin_ns), turnLink(loser.turn)]));
}

function askedBy(one) {
  const { asked } = one;
  const when = asked.turn ? ['turn ', turnLink(asked.turn)] : ['before the log begins'];
  const by = asked.by ? [', ', asked.by.who, ' ', el('code', { title: asked.by.file }, `${placeOf(asked.by)} in ${asked.by.function}`)] : [];
  const inside = asked.inside ? [', in the script of ', ...named(`r${asked.inside.request}`)] : [];
  return [...when, ...by, ...inside];
}

function codeText({ code, code_name: name }) {
  return code === null ? '' : name ? `${code} ${name}` : String(code);
}

function resultOf(victim) {
  if (!victim.completed) return el('span', { class: 'owed' }, 'outstanding');
  const text = codeText(victim) || (victim.how === 'result' ? 'ok' : victim.how);
  return victim.won ? text : el('span', { class: 'survived' }, `${text}, its own result`);
}

function after(moment, one) {
  if (!moment || moment.turn === null) return '';
  const begin = one.asked.time_ns;
  const since = begin === null || moment.time_ns === null ? '' : `+${duration(moment.time_ns - begin)} `;
  return [since, turnLink(moment.turn)];
}

function deliveryOf(victim, one) {
  if (victim.delivered) return [...after(victim.delivered, one), ` ${victim.manner}`];
  return victim.discarded ? `never: ${victim.discarded.reason}` : victim.completed ? 'not yet' : '';
}

function table(title, total, rows, heads, cells) {
  if (!total) return title === 'Victims' ? [el('h3', {}, 'No victims: nothing was outstanding')] : [];
  const more = total > rows.length ? ` (${rows.length} shown)` : '';
  return [el('h3', {}, `${title}: ${total.toLocaleString('en')}${more}`),
    el('div', { class: 'scroll' }, el('table', {},
      el('thead', {}, el('tr', {}, heads.map((head) => el('th', { scope: 'col' }, head)))),
      el('tbody', {}, rows.map((row) => el('tr', {}, cells(row).map((cell) => el('td', {}, cell)))))))];
}

/** Show the chart of a selector; a page holds those of the newest cancellations. */
function showChart(selector) {
  const source = byId(`chart-${selector}`);
  const svg = source && readChart(JSON.parse(source.textContent));
  const missing = source ? 'This chart cannot be shown here.' : `This page has no chart of ${selector}.`;
  byId('chart').setAttribute('aria-label', `Sequence chart of ${selector}`);
  if (svg) svg.style.minWidth = `${CHART_SCALE_MIN * svg.width.baseVal.value}px`;
  fill(byId('chart'), svg ?? el('p', { class: 'none' }, missing));
}

/** Mark in the chart what belongs to the current turn, and have it seen. */
function markChart(turn) {
  for (const row of byId('chart').querySelectorAll('[data-turn]')) {
    const first = Number(row.dataset.turn);
    const isHere = first <= turn.number && turn.number <= Number(row.dataset.last ?? first);
    row.classList.toggle('here', isHere);
    if (isHere && !byId('chart').hidden) row.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }
}
