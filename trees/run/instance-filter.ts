import { usageError } from '../errors.js';
import type { InstanceReport } from './instance-report.js';

export type InstanceFilter = (report: InstanceReport) => boolean;

const filters: Readonly<Record<string, (value: string) => InstanceFilter>> = {
  name: (value) => {
    const pattern = regularExpression(value);
    return (report) => pattern.test(report.name);
  },
  id: (value) => (report) => report.id?.startsWith(value) === true,
  app: (value) => (report) => report.app === value,
  status: (value) => (report) => report.status === value,
  health: (value) => (report) => (report.health ?? 'none') === value,
  exited: (value) => (report) => report.status === 'exited' && String(report.exit) === value,
  label: (value) => {
    const equals = value.indexOf('=');
    const key = equals < 0 ? value : value.slice(0, equals);
    return ({ labels }) => labels[key] !== undefined && (equals < 0 || labels[key] === value.slice(equals + 1));
  },
};

/**
 * podman's filters: `name=REGEX`, `status=…`, `label=KEY[=VALUE]`… Of the same key one has to fit, of different keys all.
 * @throws TreesError `USAGE`
 */
export function parseFilters(texts: readonly string[]): InstanceFilter {
  const groups = new Map<string, InstanceFilter[]>();
  for (const text of texts) {
    const equals = text.indexOf('=');
    const key = text.slice(0, equals);
    const make = equals > 0 && Object.hasOwn(filters, key) ? filters[key] : undefined;
    if (make === undefined) {
      throw usageError(
        `Expected --filter to be KEY=VALUE, got "${text}"`,
        `keys are ${Object.keys(filters).sort().join(', ')}`,
      );
    }
    groups.set(key, [...(groups.get(key) ?? []), make(text.slice(equals + 1))]);
  }
  return (report) => [...groups.values()].every((group) => group.some((filter) => filter(report)));
}

function regularExpression(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw usageError(`Expected the filter "name" to be a regular expression, got "${text}"`);
  }
}
