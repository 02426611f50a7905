/** When the certificates of a server expire, as its processes report it. */
import type { CertificateReport, ServerStatus } from './server-status.ts';

const DAY_MS = 86_400_000;
/** Certificates of 90 days are renewed when 30 are left; one with less than this is not being renewed. */
const SOON_DAYS = 14;

export function isExpiring(expires: number, now: number = Date.now()): boolean {
  return expires - now < SOON_DAYS * DAY_MS;
}

/** `expires in 12 days, on 2027-01-31`, or `expired 3 days ago, on 2026-11-26`. */
export function expiryText(expires: number, now: number = Date.now()): string {
  const date = new Date(expires).toISOString().slice(0, 10);
  const left = Math.floor(Math.abs(expires - now) / DAY_MS);
  const days = left === 1 ? '1 day' : `${left} days`;
  if (expires <= now) return `expired ${left === 0 ? 'today' : `${days} ago`}, on ${date}`;
  return `expires in ${left === 0 ? 'less than a day' : days}, on ${date}`;
}

/** Of all processes, each name once, with the earliest time: a process may not have the new certificate yet. */
export function certificatesOf({ workers }: ServerStatus): CertificateReport[] {
  const byName = new Map<string, number>();
  for (const { name, expires } of workers.flatMap(({ report }) => report?.certificates ?? [])) {
    byName.set(name, Math.min(expires, byName.get(name) ?? Number.POSITIVE_INFINITY));
  }
  return [...byName].map(([name, expires]) => ({ name, expires }));
}
