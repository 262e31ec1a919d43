/** One thing that was looked at. */
export interface CheckResult {
  readonly id: string;
  readonly group: 'program' | 'store' | 'kernel' | 'building';
  /** `warn`: something works less well, or not at all, but not what most need. `missing`: it is needed. */
  readonly status: 'ok' | 'warn' | 'missing';
  /** What was found, or why it does not work. */
  readonly why: string;
  /** What to do about it; empty if nothing is to be done. */
  readonly hint: string;
}

type Group = CheckResult['group'];

export function ok(group: Group, id: string, why: string): CheckResult {
  return { id, group, status: 'ok', why, hint: '' };
}

export function warn(group: Group, id: string, why: string, hint: string): CheckResult {
  return { id, group, status: 'warn', why, hint };
}

export function missing(group: Group, id: string, why: string, hint: string): CheckResult {
  return { id, group, status: 'missing', why, hint };
}
