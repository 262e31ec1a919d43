import type { Input, VariableInput } from '../../inputs.js';
import { crc32 } from '../../system/calls.js';
import type { Line } from './line.js';

/** What a line came to, and everything that this rests on. */
export interface KeptLaunch {
  readonly line: Line;
  /** App whose launch it is. */
  readonly app: string;
  readonly variables: readonly VariableInput[];
  readonly inputs: readonly Input[];
  /** How many of them were read before the instance was held. */
  readonly held: number;
  readonly start: KeptRun | KeptExec;
}

/** A container that is to be started. */
export interface KeptRun {
  readonly kind: 'run';
  readonly runDir: string;
  /** Directories that get `spec.json`; it begins and ends like this, with the time in between. Null: they get none. */
  readonly specDirectories: readonly string[];
  readonly spec: readonly [string, string] | null;
  /** Words and environment of the launcher. */
  readonly flags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Whether to say that it was kept. */
  readonly explain: boolean;
}

/** A command that is to be run in an instance. */
export interface KeptExec {
  readonly kind: 'exec';
  readonly runDir: string;
  readonly flags: readonly string[];
}

/** With its launch plan; empty where there is none. */
export interface Entry {
  readonly launch: KeptLaunch;
  readonly plan: Uint8Array;
}

/*
 * magic, CRC of what follows (it tells damage, not forgery), lengths of both parts (uint32, little endian); what is kept as JSON; the plan.
 * Versions of the program are told apart by its files, which are inputs, too.
 */
const MAGIC = 0x4b_45_50_31;
const HEADER = 16;
const COVERED_FROM = 8;

export function encodeEntry({ launch, plan }: Entry): Buffer {
  const text = Buffer.from(JSON.stringify(launch), 'utf8');
  const bytes = Buffer.concat([Buffer.alloc(HEADER), text, plan]);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(text.length, 8);
  bytes.writeUInt32LE(plan.length, 12);
  bytes.writeUInt32LE(crc32(bytes, COVERED_FROM), 4);
  return bytes;
}

/** @returns undefined if it is damaged */
export function decodeEntry(bytes: Buffer): Entry | undefined {
  if (bytes.length < HEADER || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  const end = HEADER + bytes.readUInt32LE(8);
  if (end + bytes.readUInt32LE(12) !== bytes.length || crc32(bytes, COVERED_FROM) !== bytes.readUInt32LE(4))
    return undefined;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- we wrote it, and it is whole
  return { launch: JSON.parse(bytes.toString('utf8', HEADER, end)) as KeptLaunch, plan: bytes.subarray(end) };
}
