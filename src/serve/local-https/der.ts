/** Writes ASN.1 in DER (ITU-T X.690), the form of certificates: as much of it as these need. */

/** An element: its tag, the length, the contents. */
export function element(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), lengthOf(content.length), content]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

export function sequence(...members: readonly Buffer[]): Buffer {
  return element(0x30, ...members);
}

export function set(...members: readonly Buffer[]): Buffer {
  return element(0x31, ...members);
}

/** A number that is not negative, by its bytes. */
export function integer(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const shortest = first === -1 ? Buffer.from([0]) : bytes.subarray(first);
  const isNegative = ((shortest[0] ?? 0) & 0x80) !== 0;
  return element(0x02, ...(isNegative ? [Buffer.from([0])] : []), shortest);
}

export const TRUE = element(0x01, Buffer.from([0xff]));

/** @param unused the number of bits at the end that do not count */
export function bitString(bytes: Buffer, unused = 0): Buffer {
  return element(0x03, Buffer.from([unused]), bytes);
}

export function octetString(content: Buffer): Buffer {
  return element(0x04, content);
}

export function utf8(text: string): Buffer {
  return element(0x0c, Buffer.from(text));
}

/** An object identifier, such as `2.5.29.17`. */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...others] = text.split('.').map(Number);
  const bytes = [first * 40 + second, ...others].flatMap((part) => {
    const groups = [part % 128];
    for (let left = Math.floor(part / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift(0x80 | (left % 128));
    return groups;
  });
  return element(0x06, Buffer.from(bytes));
}

/** A time of a certificate: with two digits for the year until 2049, as RFC 5280 section 4.1.2.5 requires. */
export function time(date: Date): Buffer {
  const text = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050
    ? element(0x17, Buffer.from(text.slice(2), 'latin1'))
    : element(0x18, Buffer.from(text, 'latin1'));
}
