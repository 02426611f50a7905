/** `Not Found` for 404. */

/**
 * The standard text of a status, or the number itself. Node's table is asked for when it is needed: importing node:http
 * takes as long as the rest of paster, and not everybody who imports this serves anything.
 */
export function statusText(status: number): string {
  return process.getBuiltinModule('node:http').STATUS_CODES[status] ?? String(status);
}
