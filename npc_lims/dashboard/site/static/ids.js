// Session ids: reading what people type, what they may have meant, and the pages of this site.

const LOOSE =
  /(?<![0-9])([0-9]{6,7})[ _-]?([0-9]{4})[-_.]?([0-9]{2})[-_.]?([0-9]{2})(?:_([0-9]{1,2})(?![0-9-]))?(?![0-9])/;

/**
 * The id of the session that *text* names: an id, a folder such as `DRpilot_626791_20220815`, or a data asset's name.
 *
 * @param {string} text
 * @returns {string | null}
 */
export function sessionIn(text) {
  const found = LOOSE.exec(text);
  if (!found) {
    return null;
  }
  const [, subject, year, month, day, index] = found;
  return `${subject}_${year}-${month}-${day}${index && Number(index) ? `_${Number(index)}` : ""}`;
}

/**
 * @param {string} id `626791_2022-08-15` or `626791_2022-08-15_1`
 * @returns {{subject: string, date: string, index: number}}
 */
export function parts(id) {
  const [subject, date, index] = id.split("_");
  return { subject, date: date ?? "", index: Number(index ?? 0) };
}

/** @param {string} id */
export function sessionPage(id) {
  return `session.html?id=${encodeURIComponent(id)}`;
}

/** @param {string} subject */
export function subjectPage(subject) {
  return `subject.html?id=${encodeURIComponent(subject)}`;
}

/**
 * The page for what somebody typed into the search field.
 *
 * @param {string} text
 */
export function pageFor(text) {
  const typed = text.trim();
  const session = sessionIn(typed);
  if (session) {
    return sessionPage(session);
  }
  return /^[0-9]{6,7}$/.test(typed)
    ? subjectPage(typed)
    : `sessions.html${typed ? `?q=${encodeURIComponent(typed)}` : ""}`;
}

/**
 * Of all *ids* those that *wanted* may have meant, the nearest first: other days of the subject, other subjects of the
 * day, slips of a digit or two.
 *
 * @param {string} wanted
 * @param {string[]} ids
 * @param {number} [limit]
 * @returns {string[]}
 */
export function near(wanted, ids, limit = 12) {
  const meant = parts(sessionIn(wanted) ?? wanted);
  const day = Date.parse(meant.date);
  /** @type {{id: string, distance: number}[]} */
  const found = [];
  for (const id of ids) {
    const { subject, date } = parts(id);
    const digits = slips(meant.subject, subject, 2);
    // a day counts as much as a tenth of a digit: the subject's other sessions come before other subjects
    const days = meant.date && !Number.isNaN(day) ? Math.abs(Date.parse(date) - day) / 86_400_000 : 0;
    const distance = Math.min(digits + Math.min(days / 300, 1), date === meant.date ? 1.5 : 9);
    if (distance < 2.5) {
      found.push({ id, distance });
    }
  }
  found.sort((a, b) => a.distance - b.distance || (a.id < b.id ? -1 : 1));
  return found.slice(0, limit).map(({ id }) => id);
}

/**
 * How many single characters differ, are missing or are swapped with their neighbour; more than *most* is *most* + 1.
 *
 * @param {string} a
 * @param {string} b
 * @param {number} most
 */
export function slips(a, b, most) {
  if (a === b) {
    return 0;
  }
  if (Math.abs(a.length - b.length) > most) {
    return most + 1;
  }
  /** @type {number[]} */
  let before = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        next[j] = Math.min(next[j], before[j - 2] + 1);
      }
    }
    before = row;
    row = next;
  }
  return Math.min(row[b.length], most + 1);
}
