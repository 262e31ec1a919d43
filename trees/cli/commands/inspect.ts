import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, reasonOf, TreesError } from '../../errors.js';
import { reportInstance } from '../../run/instance-report.js';
import { findInstanceSpec } from '../../run/instance-spec.js';
import { instanceUpper } from '../../run/instance-tree.js';
import { type Instance, PLAN_COPY, requireInstance } from '../../run/instances.js';
import { decodePlan } from '../../run/plan-file.js';
import type { Plan } from '../../run/plan-format.js';
import { checkPolicy, securityPolicies, securityReport } from '../../run/security-report.js';
import { upperKind } from '../../run/upper-format.js';
import { findGeneration } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
import { type CommandResult, type Context, defineCommand } from '../command.js';
import { renderPlan } from '../render/launch-plan.js';
import { renderSecurity } from '../render/security.js';

export const command = defineCommand({
  name: 'inspect',
  summary: 'show everything about an instance',
  description:
    'Prints, as JSON, how the instance is, what it was run with, where its data and logs are, and its control groups. With ' +
    '--plan it shows the launch plan instead: every mount, variable, limit and identity that the launcher was given, in the ' +
    'order in which it acts on them. --security shows what the instance may do, by its plan and by what the kernel says ' +
    'of its process.',
  positionals: [{ name: 'instance', describe: 'its name', required: true, complete: 'instances' }],
  options: {
    plan: { type: 'boolean', describe: 'show the launch plan that it was started from' },
    security: { type: 'boolean', describe: 'show what it may do' },
    policy: {
      type: 'string',
      choices: securityPolicies,
      describe: 'with --security: name what is weaker than that, and exit with 1 if anything is',
    },
  },
  examples: [
    ['inspect web', 'for people and scripts alike'],
    ['inspect --plan web', 'what exactly was started'],
    ['inspect --security --policy strict web', 'whether it may do more than it should'],
  ],
  async handler(context, args) {
    const instance = requireInstance(context.settings, args.instance, 'inspect');
    if (args.plan === true) {
      const plan = readPlan(instance);
      return { json: { name: instance.name, plan: plainValues(plan) }, text: renderPlan(plan) };
    }
    if (args.security === true || args.policy !== undefined) return security(instance, args.policy);
    const json = describe(context, instance);
    return { json, text: `${JSON.stringify(json, null, 2)}\n` };
  },
});

function security(instance: Instance, name: string | undefined): CommandResult {
  const policy = securityPolicies.find((known) => known === name);
  const init = instance.alive ? instance.state?.init?.pid : undefined;
  const report = securityReport(readPlan(instance), {
    pid: init === undefined ? undefined : firstChild(init),
    overlay: instance.state?.overlay,
  });
  const findings = policy === undefined ? undefined : checkPolicy(report, policy);
  return {
    json: plainValues({ name: instance.name, policy: policy ?? null, findings: findings ?? null, report }),
    text: renderSecurity(report, findings),
    status: (findings ?? []).length > 0 ? 1 : 0,
  };
}

/** The command; where it is process 1 itself, that one. */
function firstChild(init: number): number {
  try {
    const children = readFileSync(`/proc/${init}/task/${init}/children`, 'utf8');
    return Number(children.trim().split(' ')[0]) || init;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES')) return init;
    throw error;
  }
}

function describe({ settings }: Context, instance: Instance): object {
  const { name, app, state, runDir, data } = instance;
  const spec = findInstanceSpec(instance);
  const tree = instanceUpper(settings, instance);
  const number = state?.generation;
  const generation = number === undefined ? undefined : findGeneration(storePaths(settings.root), app, number);
  const logs = join(settings.logDir, name);
  return {
    ...reportInstance(instance),
    version: generation?.version ?? null,
    monitor: instance.alive ? (state?.monitor.pid ?? null) : null,
    created: spec?.created ?? null,
    request: plainValues(spec?.request ?? null),
    userns: spec?.userns ?? null,
    overlay: instance.alive ? (state?.overlay ?? null) : tree === undefined ? null : upperKind(tree.upper),
    paths: {
      run: existsSync(runDir) ? runDir : null,
      data: data ?? null,
      tree: tree?.lower ?? null,
      logs: existsSync(logs) ? logs : null,
    },
    cgroups: state?.cgroups ?? [],
  };
}

/** @throws TreesError INSTANCE_NOT_RUNNING, STORE_CORRUPT */
function readPlan({ name, runDir }: Instance): Plan {
  try {
    return decodePlan(readFileSync(join(runDir, PLAN_COPY)));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) {
      throw new TreesError(
        'INSTANCE_NOT_RUNNING',
        `cannot show the plan of "${name}": it has not run since the start`,
        {
          hint: `see what it would be: trees run --name ${name} --dry-run …`,
          details: { name },
        },
      );
    }
    throw new TreesError('STORE_CORRUPT', `cannot read the plan of ${name}: ${reasonOf(error)}`, { cause: error });
  }
}

/** What JSON has no words for: 64-bit numbers become texts, unlimited too. */
function plainValues(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, member: unknown) =>
      typeof member === 'bigint' || member === Infinity ? String(member) : member,
    ),
  ) as unknown;
}
