import type { Plan } from '../../run/plan-format.js';

/** A launch plan for people: one statement a line, sections in the order in which the launcher acts on them. */
export function renderPlan(plan: Plan): string {
  const { ops, argv, env, ...rest } = plan;
  const lines: string[] = [`command: ${argv.map(quoted).join(' ')}`];
  for (const [key, value] of Object.entries(rest)) appendMember(lines, key, value, '');
  lines.push('file system:');
  for (const op of ops) {
    const { type, ...fields } = op;
    lines.push(
      `  ${[type.padEnd(9), ...Object.entries(fields).flatMap(([key, value]) => word(key, value))].join(' ')}`,
    );
  }
  lines.push('environment:', ...env.map((variable) => `  ${quoted(variable)}`));
  return `${lines.join('\n')}\n`;
}

const MAX_RECORDS = 64;

function appendMember(lines: string[], key: string, value: unknown, indent: string): void {
  if (isNothing(value)) return;
  if (Array.isArray(value) && value.some((item) => typeof item === 'object')) {
    lines.push(`${indent}${key}:`);
    const items: unknown[] = value;
    // Instructions of a filter say nothing to people.
    if (key === 'seccomp') {
      lines[lines.length - 1] = `${indent}${key}: a filter of ${items.length} instructions`;
      return;
    }
    for (const item of items.slice(0, MAX_RECORDS)) lines.push(`${indent}  ${oneLine(item)}`);
    if (items.length > MAX_RECORDS) lines.push(`${indent}  … ${items.length - MAX_RECORDS} more`);
  } else if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    lines.push(`${indent}${key}:`);
    for (const [name, member] of Object.entries(value)) appendMember(lines, name, member, `${indent}  `);
  } else {
    lines.push(`${indent}${key}: ${scalar(key, value)}`);
  }
}

function isNothing(value: unknown): boolean {
  return value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
}

function oneLine(value: unknown): string {
  if (typeof value !== 'object' || value === null) return scalar('', value);
  return Object.entries(value)
    .flatMap(([key, member]) => word(key, member))
    .join(' ');
}

function word(key: string, value: unknown): string[] {
  if (isNothing(value) || value === 0 || value === 0n) return [];
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return [`${key}={${oneLine(value)}}`];
  return [`${key}=${scalar(key, value)}`];
}

function scalar(key: string, value: unknown): string {
  if (Array.isArray(value)) return value.map((item) => scalar('', item)).join(',');
  if (key === 'mode' && typeof value === 'number') return `0${value.toString(8)}`;
  if (key === 'capabilities' && typeof value === 'bigint') return `0x${value.toString(16).padStart(16, '0')}`;
  return typeof value === 'string' ? quoted(value) : String(value);
}

/** Control characters must not drive the terminal, and blanks not hide where a word ends. */
function quoted(text: string): string {
  return /^[\w./:=,@%+-]+$/.test(text) ? text : JSON.stringify(text);
}
