import { crc32 } from 'node:zlib';

/** The launch plan's file format. Every number here is also in `trees/launcher/plan.h`, which describes the layout. */

export const PLAN_VERSION = 1;
const MAGIC = 'TREEPLAN';
const HEADER_SIZE = 24;
const SECTION_SIZE = 16;

const section = { config: 1, ops: 2, argv: 3, env: 4, uidMap: 5, gidMap: 6, rlimits: 7, strings: 8 } as const;

export const namespaceBit = { mount: 1, pid: 2, ipc: 4, uts: 8, cgroup: 16, net: 32 } as const;
export const usernsMode = { host: 0, ranges: 1, self: 2 } as const;
export const rootMode = { persistent: 0, ephemeral: 1, readonly: 2 } as const;
export const planFlag = { noNewPrivileges: 1, noInit: 2 } as const;

export const opType = {
  lower: 1,
  upper: 2,
  bind: 3,
  device: 4,
  tmpfs: 5,
  proc: 6,
  sysfs: 7,
  mqueue: 8,
  devpts: 9,
  symlink: 10,
  dir: 11,
  file: 12,
  mask: 13,
  readonly: 14,
} as const;

export const opFlag = {
  rdonly: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  recursive: 16,
  idmap: 32,
  optional: 64,
  realDir: 128,
} as const;

/** One step of building the container's file system. Meaning of the fields per type: `plan.h`. */
export interface PlanOp {
  readonly type: keyof typeof opType;
  readonly flags?: readonly (keyof typeof opFlag)[];
  readonly source?: string;
  readonly target?: string;
  readonly data?: string;
  readonly mode?: number;
  readonly number?: bigint;
}

export interface IdMap {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

export interface PlanRlimit {
  readonly resource: number;
  readonly required: boolean;
  readonly soft: bigint;
  readonly hard: bigint;
}

export interface Plan {
  readonly flags: number;
  readonly namespaces: number;
  readonly userns: keyof typeof usernsMode;
  readonly root: keyof typeof rootMode;
  readonly hostname: string;
  readonly workdir: string;
  readonly user: string;
  readonly lockFile: string;
  readonly ownLock: string;
  readonly capabilities: bigint;
  /** Bytes; 0 is the kernel's default. */
  readonly upperSize: bigint;
  /** Milliseconds. */
  readonly stopTimeout: number;
  readonly ops: readonly PlanOp[];
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly uidMap: readonly IdMap[];
  readonly gidMap: readonly IdMap[];
  readonly rlimits: readonly PlanRlimit[];
}

/** Serialises a plan. The same plan always gives the same bytes. */
export function encodePlan(plan: Plan): Uint8Array {
  const strings = new StringTable();
  const sections: [type: number, count: number, bytes: Buffer][] = [
    [section.config, 1, encodeConfig(plan, strings)],
    [section.ops, plan.ops.length, Buffer.concat(plan.ops.map((op) => encodeOp(op, strings)))],
    [section.argv, plan.argv.length, encodeStrings(plan.argv, strings)],
    [section.env, plan.env.length, encodeStrings(plan.env, strings)],
    [section.uidMap, plan.uidMap.length, encodeMap(plan.uidMap)],
    [section.gidMap, plan.gidMap.length, encodeMap(plan.gidMap)],
    [section.rlimits, plan.rlimits.length, Buffer.concat(plan.rlimits.map(encodeRlimit))],
  ];
  const stringBytes = strings.bytes();
  sections.push([section.strings, stringBytes.length, stringBytes]);

  const header = Buffer.alloc(HEADER_SIZE + sections.length * SECTION_SIZE);
  const parts: Buffer[] = [header];
  let offset = header.length;
  for (const [index, [type, count, bytes]] of sections.entries()) {
    const padding = (8 - (offset % 8)) % 8;
    parts.push(Buffer.alloc(padding), bytes);
    offset += padding;
    words(header, HEADER_SIZE + index * SECTION_SIZE, [type, offset, count, 0]);
    offset += bytes.length;
  }
  header.write(MAGIC, 'latin1');
  words(header, 8, [PLAN_VERSION, 0, offset, sections.length]);
  const file = Buffer.concat(parts);
  // Covers everything after itself.
  file.writeUInt32LE(crc32(file.subarray(16)), 12);
  return file;
}

/** Strings as offsets; equal ones are stored once. Offset 0 is the empty string. */
class StringTable {
  readonly #offsets = new Map<string, number>([['', 0]]);
  readonly #parts: Buffer[] = [Buffer.alloc(1)];
  #size = 1;

  offset(text: string): number {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    const bytes = Buffer.from(`${text}\0`, 'utf8');
    const offset = this.#size;
    this.#offsets.set(text, offset);
    this.#parts.push(bytes);
    this.#size += bytes.length;
    return offset;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function words(target: Buffer, start: number, values: readonly number[]): void {
  for (const [index, value] of values.entries()) target.writeUInt32LE(value, start + index * 4);
}

function encodeConfig(plan: Plan, strings: StringTable): Buffer {
  const bytes = Buffer.alloc(56);
  words(bytes, 0, [plan.flags, plan.namespaces, usernsMode[plan.userns], rootMode[plan.root]]);
  words(
    bytes,
    16,
    [plan.hostname, plan.workdir, plan.user, plan.lockFile].map((text) => strings.offset(text)),
  );
  bytes.writeBigUInt64LE(plan.capabilities, 32);
  bytes.writeBigUInt64LE(plan.upperSize, 40);
  words(bytes, 48, [plan.stopTimeout, strings.offset(plan.ownLock)]);
  return bytes;
}

function encodeOp(op: PlanOp, strings: StringTable): Buffer {
  const bytes = Buffer.alloc(32);
  const flags = (op.flags ?? []).reduce((sum, flag) => sum | opFlag[flag], 0);
  words(bytes, 0, [opType[op.type], flags]);
  words(
    bytes,
    8,
    [op.source ?? '', op.target ?? '', op.data ?? ''].map((text) => strings.offset(text)),
  );
  bytes.writeUInt32LE(op.mode ?? 0, 20);
  bytes.writeBigUInt64LE(op.number ?? 0n, 24);
  return bytes;
}

function encodeStrings(list: readonly string[], strings: StringTable): Buffer {
  const bytes = Buffer.alloc(list.length * 4);
  words(
    bytes,
    0,
    list.map((text) => strings.offset(text)),
  );
  return bytes;
}

function encodeMap(map: readonly IdMap[]): Buffer {
  const bytes = Buffer.alloc(map.length * 16);
  for (const [index, range] of map.entries()) {
    words(bytes, index * 16, [range.inside, range.outside, range.count, 0]);
  }
  return bytes;
}

function encodeRlimit(limit: PlanRlimit): Buffer {
  const bytes = Buffer.alloc(24);
  words(bytes, 0, [limit.resource, limit.required ? 1 : 0]);
  bytes.writeBigUInt64LE(limit.soft, 8);
  bytes.writeBigUInt64LE(limit.hard, 16);
  return bytes;
}
