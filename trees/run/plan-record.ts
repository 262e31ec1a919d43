/**
 * How records of a launch plan are laid out, declared once for writing and reading. Integers are little-endian; every
 * field is aligned to its size and every record to its largest field, as a C compiler does.
 */

/** Collects what records refer to. */
export interface PlanWriter {
  /** The string's offset; equal ones are stored once. */
  string(text: string): number;
  /** Where the strings lie in the list of words. */
  words(list: readonly string[]): number;
}

/** @throws RangeError when an offset is outside; a plan that trees-launch accepts never does. */
export interface PlanReader {
  string(offset: number): string;
  words(first: number, count: number): readonly string[];
}

/** One value of `size` bytes. Methods, so that a table of different types is one type. */
export interface Field<T> {
  readonly size: number;
  readonly align: number;
  /** `undefined` is written as zeroes. */
  write(bytes: Buffer, at: number, value: T, writer: PlanWriter): void;
  read(bytes: Buffer, at: number, reader: PlanReader): T;
}

export const u8: Field<number> = {
  size: 1,
  align: 1,
  write: (bytes, at, value) => void bytes.writeUInt8(value, at),
  read: (bytes, at) => bytes.readUInt8(at),
};

export const u16: Field<number> = {
  size: 2,
  align: 2,
  write: (bytes, at, value) => void bytes.writeUInt16LE(value, at),
  read: (bytes, at) => bytes.readUInt16LE(at),
};

export const u32: Field<number> = {
  size: 4,
  align: 4,
  write: (bytes, at, value) => void bytes.writeUInt32LE(value, at),
  read: (bytes, at) => bytes.readUInt32LE(at),
};

export const i32: Field<number> = {
  size: 4,
  align: 4,
  write: (bytes, at, value) => void bytes.writeInt32LE(value, at),
  read: (bytes, at) => bytes.readInt32LE(at),
};

export const u64: Field<bigint> = {
  size: 8,
  align: 8,
  write: (bytes, at, value) => void bytes.writeBigUInt64LE(value, at),
  read: (bytes, at) => bytes.readBigUInt64LE(at),
};

export const i64: Field<bigint> = {
  size: 8,
  align: 8,
  write: (bytes, at, value) => void bytes.writeBigInt64LE(value, at),
  read: (bytes, at) => bytes.readBigInt64LE(at),
};

export const bool: Field<boolean> = {
  ...u32,
  write: (bytes, at, value) => void bytes.writeUInt32LE(value ? 1 : 0, at),
  read: (bytes, at) => bytes.readUInt32LE(at) !== 0,
};

/** An offset into the strings. */
export const string: Field<string> = {
  ...u32,
  write: (bytes, at, value, writer) => void bytes.writeUInt32LE(writer.string(value), at),
  read: (bytes, at, reader) => reader.string(bytes.readUInt32LE(at)),
};

/** `struct plan_words`: a list of strings. */
export const words: Field<readonly string[]> = {
  size: 8,
  align: 4,
  write: (bytes, at, value, writer) => {
    bytes.writeUInt32LE(value.length === 0 ? 0 : writer.words(value), at);
    bytes.writeUInt32LE(value.length, at + 4);
  },
  read: (bytes, at, reader) => reader.words(bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)),
};

/** One of several names. */
export function choice<const N extends string>(numbers: Readonly<Record<N, number>>): Field<N> {
  const names = keysOf(numbers);
  return {
    ...u32,
    write: (bytes, at, value) => void bytes.writeUInt32LE(numbers[value], at),
    read: (bytes, at) => {
      const number = bytes.readUInt32LE(at);
      const name = names.find((known) => numbers[known] === number);
      if (name === undefined) throw new RangeError(`Expected a number of ${names.join(', ')}, got ${number}`);
      return name;
    },
  };
}

/** Any of several names, a bit each. */
export function flags<const N extends string>(bits: Readonly<Record<N, number>>): Field<readonly N[]> {
  const names = keysOf(bits);
  return {
    ...u32,
    write: (bytes, at, value) => void bytes.writeUInt32LE(value.reduce((sum, name) => sum | bits[name], 0) >>> 0, at),
    read: (bytes, at) => {
      const set = bytes.readUInt32LE(at);
      return names.filter((name) => (set & bits[name]) !== 0);
    },
  };
}

/**
 * A record of several fields, in the order in which they are given. Optional members of `T` that are absent are written
 * as zeroes.
 */
export function record<T extends object>(
  fields: { readonly [K in keyof T]-?: Field<Exclude<T[K], undefined>> },
): Field<T> {
  const placed: { name: keyof T; at: number; field: Field<unknown> }[] = [];
  let end = 0;
  let align = 1;
  for (const name of keysOf(fields)) {
    const field: Field<unknown> = fields[name];
    const at = roundUp(end, field.align);
    placed.push({ name, at, field });
    end = at + field.size;
    align = Math.max(align, field.align);
  }
  return {
    size: roundUp(end, align),
    align,
    write: (bytes, start, value, writer) => {
      for (const { name, at, field } of placed) {
        if (value[name] !== undefined) field.write(bytes, start + at, value[name], writer);
      }
    },
    read: (bytes, start, reader) => {
      const values = placed.map(({ name, at, field }) => [name, field.read(bytes, start + at, reader)]);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every member of T has a field of its type
      return Object.fromEntries(values) as T;
    },
  };
}

function keysOf<T extends object>(value: T): (keyof T & string)[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the tables are literals, they have no other keys
  return Object.keys(value) as (keyof T & string)[];
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
