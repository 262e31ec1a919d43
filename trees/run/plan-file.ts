import { crc32 } from './crc32.js';
import { configRecord, PLAN_VERSION, type Plan, sections, sectionType } from './plan-format.js';
import type { Field, PlanReader, PlanWriter } from './plan-record.js';

/** Launch plans as bytes: header, section table, sections (`trees/launcher/plan.h`). */

const MAGIC = 'TREEPLAN';
const HEADER_SIZE = 24;
const SECTION_SIZE = 16;

/** Serialises a plan. The same plan always gives the same bytes. */
export function encodePlan(plan: Plan): Uint8Array {
  const tables = new Tables();
  const parts: EncodedSection[] = [encodeSection(sectionType.config, configRecord, [plan], tables)];
  for (const { member, type, field, list: isList } of sections) {
    const value: unknown = plan[member];
    const records: readonly unknown[] = isList ? (Array.isArray(value) ? value : []) : [value];
    if (value === undefined || records.length === 0) continue;
    parts.push(encodeSection(type, field, records, tables));
  }
  parts.push(...tables.sections());
  return assemble(parts);
}

/**
 * Reads a plan's bytes back, for showing it.
 * @throws RangeError when they are no launch plan of this version, or damaged
 */
export function decodePlan(file: Uint8Array): Plan {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (bytes.length < HEADER_SIZE || bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) {
    throw new RangeError('Expected a launch plan, got something else');
  }
  const version = bytes.readUInt32LE(8);
  if (version !== PLAN_VERSION)
    throw new RangeError(`Expected a launch plan of version ${PLAN_VERSION}, got ${version}`);
  if (crc32(bytes.subarray(16)) !== bytes.readUInt32LE(12)) throw new RangeError('Expected a whole launch plan');
  const found = new Map<number, { offset: number; count: number }>();
  for (let at = HEADER_SIZE, left = bytes.readUInt32LE(20); left > 0; left--, at += SECTION_SIZE) {
    found.set(bytes.readUInt32LE(at), { offset: bytes.readUInt32LE(at + 4), count: bytes.readUInt32LE(at + 8) });
  }
  const reader = planReader(bytes, found.get(sectionType.strings), found.get(sectionType.words));
  const records = <T>(type: number, field: Field<T>): T[] => {
    const { offset, count } = found.get(type) ?? { offset: 0, count: 0 };
    return Array.from({ length: count }, (_, index) => field.read(bytes, offset + index * field.size, reader));
  };
  const members = sections.map(({ member, type, field, list: isList }): [string, unknown] => {
    const values = records(type, field);
    return [member, isList ? values : values[0]];
  });
  const [config] = records(sectionType.config, configRecord);
  if (config === undefined) throw new RangeError('Expected a launch plan to have a configuration');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `sections` has every member with its type
  return { ...config, ...Object.fromEntries(members.filter(([, value]) => value !== undefined)) } as Plan;
}

interface EncodedSection {
  readonly type: number;
  readonly count: number;
  readonly bytes: Buffer;
}

function encodeSection(
  type: number,
  field: Field<unknown>,
  values: readonly unknown[],
  tables: PlanWriter,
): EncodedSection {
  const bytes = Buffer.alloc(values.length * field.size);
  for (const [index, value] of values.entries()) field.write(bytes, index * field.size, value, tables);
  return { type, count: values.length, bytes };
}

function assemble(parts: readonly EncodedSection[]): Uint8Array {
  const header = Buffer.alloc(HEADER_SIZE + parts.length * SECTION_SIZE);
  const pieces: Buffer[] = [header];
  let offset = header.length;
  for (const [index, { type, count, bytes }] of parts.entries()) {
    const padding = (8 - (offset % 8)) % 8;
    pieces.push(Buffer.alloc(padding), bytes);
    offset += padding;
    for (const [word, value] of [type, offset, count].entries()) {
      header.writeUInt32LE(value, HEADER_SIZE + index * SECTION_SIZE + word * 4);
    }
    offset += bytes.length;
  }
  header.write(MAGIC, 'latin1');
  header.writeUInt32LE(PLAN_VERSION, 8);
  header.writeUInt32LE(offset, 16);
  header.writeUInt32LE(parts.length, 20);
  const file = Buffer.concat(pieces);
  // Covers everything after itself.
  file.writeUInt32LE(crc32(file.subarray(16)), 12);
  return file;
}

/** What records refer to. Offset 0 is the empty string. */
class Tables implements PlanWriter {
  readonly #offsets = new Map<string, number>([['', 0]]);
  readonly #strings: Buffer[] = [Buffer.alloc(1)];
  #size = 1;
  readonly #words: number[] = [];

  string(text: string): number {
    const known = this.#offsets.get(text);
    if (known !== undefined) return known;
    const bytes = Buffer.from(`${text}\0`, 'utf8');
    const offset = this.#size;
    this.#offsets.set(text, offset);
    this.#strings.push(bytes);
    this.#size += bytes.length;
    return offset;
  }

  words(texts: readonly string[]): number {
    const first = this.#words.length;
    for (const text of texts) this.#words.push(this.string(text));
    return first;
  }

  sections(): EncodedSection[] {
    const words = Buffer.alloc(this.#words.length * 4);
    for (const [index, offset] of this.#words.entries()) words.writeUInt32LE(offset, index * 4);
    const strings = Buffer.concat(this.#strings);
    return [
      ...(words.length === 0 ? [] : [{ type: sectionType.words, count: this.#words.length, bytes: words }]),
      { type: sectionType.strings, count: strings.length, bytes: strings },
    ];
  }
}

interface SectionPlace {
  readonly offset: number;
  readonly count: number;
}

function planReader(bytes: Buffer, strings: SectionPlace | undefined, wordList: SectionPlace | undefined): PlanReader {
  const reader: PlanReader = {
    string: (offset) => {
      const start = (strings?.offset ?? 0) + offset;
      const end = bytes.indexOf(0, start);
      if (strings === undefined || offset >= strings.count || end < 0) throw new RangeError('Expected a string');
      return bytes.toString('utf8', start, end);
    },
    words: (first, count) => {
      if (first + count > (wordList?.count ?? 0)) throw new RangeError('Expected a list of strings');
      const start = (wordList?.offset ?? 0) + first * 4;
      return Array.from({ length: count }, (_, index) => reader.string(bytes.readUInt32LE(start + index * 4)));
    },
  };
  return reader;
}
