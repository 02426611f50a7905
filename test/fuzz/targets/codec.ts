/** FastCGI's records and pairs: what is written is read back after any split, and only invalid bytes are refused. */
import {
  decodePairs,
  encodePairs,
  encodeRecord,
  ProtocolError,
  RecordDecoder,
} from '../../../src/servers/fastcgi/records.ts';
import { record } from '../../servers/fastcgi/client.ts';
import type { Random } from '../random.ts';
import { must, type Target } from '../target.ts';

interface Sent {
  readonly type: number;
  readonly id: number;
  readonly content: Buffer;
  readonly padding: number;
}

export const codec: Target = {
  name: 'codec',
  async start() {
    return {
      async run(random, trace) {
        records(random, trace);
        brokenRecords(random, trace);
        pairs(random, trace);
      },
      async stop() {},
    };
  },
};

function someRecords(random: Random): Sent[] {
  return Array.from({ length: 1 + random.below(6) }, () => ({
    type: random.below(13),
    id: random.pick([0, 1, 2, 255, 256, 65_535]),
    content: random.bytes(random.length(65_535)),
    padding: random.pick([0, 0, 1, 7, 255]),
  }));
}

/** The contents that a decoder returns, with those of one record joined. */
function read(pieces: readonly Buffer[]): string[] {
  const seen: string[] = [];
  let open = '';
  let content: Buffer[] = [];
  const close = (): void => {
    if (open !== '') seen.push(`${open} ${Buffer.concat(content).toString('latin1')}`);
    open = '';
    content = [];
  };
  const decoder = new RecordDecoder((type, id, part) => {
    const key = `${type} ${id}`;
    if (key !== open || part.length === 0) close();
    open = key;
    content.push(Buffer.from(part));
  });
  for (const piece of pieces) {
    decoder.push(piece);
    if (decoder.idle) close();
  }
  close();
  return seen;
}

function records(random: Random, trace: Buffer[]): void {
  // Adjacent records have different IDs, by which `read` tells where one ends.
  const sent = someRecords(random).filter((each, i, all) => i === 0 || each.id !== all[i - 1]?.id);
  const reference = Buffer.concat(sent.map(({ type, id, content, padding }) => record(type, id, content, padding)));
  const ours = Buffer.concat(sent.map(({ type, id, content, padding }) => encodeRecord(type, id, content, padding)));
  const pieces = random.split(random.chance(0.5) ? reference : ours);
  trace.push(...pieces);
  const expected = sent.map(({ type, id, content }) => `${type} ${id} ${content.toString('latin1')}`);
  const seen = read(pieces);
  must(JSON.stringify(seen) === JSON.stringify(expected), 'records were read that were not written');
}

function brokenRecords(random: Random, trace: Buffer[]): void {
  const sent = someRecords(random);
  const whole = Buffer.concat(sent.map(({ type, id, content, padding }) => record(type, id, content, padding)));
  const pieces = random.split(random.mutate(whole));
  trace.push(...pieces);
  try {
    read(pieces);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
}

function pairs(random: Random, trace: Buffer[]): void {
  const sent = Array.from({ length: 2 * random.below(30) }, () =>
    random.bytes(random.length(70_000)).toString('latin1'),
  );
  const bytes = encodePairs(sent);
  trace.push(bytes);
  must(JSON.stringify(decodePairs(bytes)) === JSON.stringify(sent), 'pairs were read that were not written');
  const broken = random.mutate(bytes);
  trace.push(broken);
  try {
    const limit = random.below(20);
    must(decodePairs(broken, limit).length <= 2 * limit, 'more pairs than are allowed');
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
}
