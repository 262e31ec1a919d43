import { choice, type Field, record, u32, words } from './plan-record.js';

/** The launch plan's section HOOKS; `trees/launcher/plan-hooks.h` says what the phases mean. */

export const hookPhase = { prestart: 1, poststop: 2, init: 3, stop: 4 } as const;

export interface PlanHook {
  readonly phase: keyof typeof hookPhase;
  /** Milliseconds after which it is killed and has failed; 0: never. */
  readonly timeout: number;
  readonly command: readonly string[];
}

export const hookRecord: Field<PlanHook> = record<PlanHook>({ phase: choice(hookPhase), timeout: u32, command: words });
