/** The table that the benchmark prints, and keeps in README.md. */
import { readFileSync, writeFileSync } from 'node:fs';

/** One comparison with what it is measured against. */
export interface Row {
  /** What was measured; the row's key in README.md. */
  readonly what: string;
  readonly ours: string;
  readonly peer: string;
  /** What is compared with the bar. */
  readonly value: number;
  /** Unit of value and bar: `×`, ` ms`, ` MB`… */
  readonly unit: string;
  readonly bar: { readonly kind: 'at most' | 'at least'; readonly value: number } | undefined;
}

/** Rows whose measurement belongs together, under a name to choose them by. */
export interface Family {
  readonly name: string;
  readonly summary: string;
  /** Minutes on an idle machine with two cores. */
  readonly minutes: number;
  /** Measures, and tells each row as soon as it is known. */
  measure(tell: (row: Row) => void): void | Promise<void>;
}

const HEAD = ['what', 'trees', 'peer', 'measured', 'bar', ''] as const;
const WIDTHS = [48, 30, 30, 9, 9, 4] as const;

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell, index) => cell.padEnd(WIDTHS[index] ?? 0)).join(' | ')} |`;
}

export const head = `${line(HEAD)}\n| ${WIDTHS.map((width) => '-'.repeat(width)).join(' | ')} |`;

/** Whether the row meets its bar. */
export function meets({ value, bar }: Row): boolean {
  if (bar === undefined) return true;
  return bar.kind === 'at most' ? value <= bar.value : value >= bar.value;
}

function number(value: number): string {
  if (value === 0 || value >= 100) return value.toFixed(0);
  return value < 0.1 ? value.toPrecision(2) : value.toFixed(value < 10 ? 2 : 1);
}

export function formatRow(row: Row): string {
  const { what, ours, peer, value, unit, bar } = row;
  const wanted = bar === undefined ? '' : `${bar.kind === 'at most' ? '≤' : '≥'} ${number(bar.value)}${unit}`;
  const verdict = bar === undefined ? '' : meets(row) ? 'ok' : 'MISS';
  return line([what, ours, peer, `${number(value)}${unit}`, wanted, verdict]);
}

export const atMost = (value: number): Row['bar'] => ({ kind: 'at most', value });
export const atLeast = (value: number): Row['bar'] => ({ kind: 'at least', value });

export function bytes(value: number): string {
  if (value < 10_000) return `${value} B`;
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} kB` : `${(value / 1e6).toFixed(2)} MB`;
}

export function seconds(value: number): string {
  return value < 1 ? `${(value * 1000).toFixed(0)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

const END = '<!-- end of table -->';

/** Replaces the rows that are in the table of README.md already, and adds the others. @throws Error without the table */
export function updateReadme(path: string, rows: readonly Row[], name = 'delta'): void {
  const marker = `<!-- table of ${name}: ./scripts/bench ${name} --update replaces the rows that it measured -->`;
  const text = readFileSync(path, 'utf8');
  const start = text.indexOf(marker);
  const end = text.indexOf(END, start);
  if (start < 0 || end < start) throw new Error(`Expected ${path} to have the lines ${marker} and ${END}`);
  const old = text.slice(start + marker.length, end).trim();
  const kept = old === '' ? [] : old.split('\n').slice(2);
  const lines = new Map(kept.map((text) => [keyOf(text), text]));
  for (const row of rows) lines.set(row.what, formatRow(row));
  const table = [head, ...lines.values()].join('\n');
  writeFileSync(path, `${text.slice(0, start)}${marker}\n${table}\n${text.slice(end)}`);
}

function keyOf(text: string): string {
  return text.split('|')[1]?.trim() ?? '';
}
