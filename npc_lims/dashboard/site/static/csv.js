// CSV as RFC 4180 has it: quoted where needed, lines end with CR LF.

// begins the file: without it spreadsheets take UTF-8 for the system's old encoding
const BOM = "\uFEFF";

/**
 * A cell. What a spreadsheet would take for a formula gets an apostrophe in front: notes are typed by many hands, and a
 * formula can fetch addresses. A number is left as it is.
 *
 * @param {string | number | null | undefined} value
 */
export function cell(value) {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) {
    text = `'${text}`;
  }
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * @param {(string | number | null | undefined)[][]} rows the names of the columns first
 */
export function csv(rows) {
  return BOM + rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/**
 * Saves *text* as a file of the visitor's.
 *
 * @param {string} text
 * @param {string} name
 */
export function save(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = name;
  anchor.click();
  // the browser reads it after this turn
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
