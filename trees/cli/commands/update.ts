import { TreesError, usageError } from '../../errors.js';
import { type Generation, isAppName } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
import { knownUpToDate } from '../../store/up-to-date.js';
import type { UpdateOptions, UpdateOutcome, UpdatePlan } from '../../store/update.js';
import { type Context, defineCommand } from '../command.js';
import { reportError } from '../errors.js';
import { formatBytes } from '../render/format.js';
import type { planJson, planLines } from '../render/plan.js';
import { storeOptions } from '../store-options.js';

export const command = defineCommand({
  name: 'update',
  summary: 'bring apps to their newest version',
  description:
    'Brings the named apps, or all of them, to the newest version that their pin (see trees pin) and the feed they came ' +
    'from allow, and to the newest base that this version allows. Each gets a new generation; trees rollback goes back. ' +
    'When a base moves, every app on it is composed with the new one, named or not; nothing of the app itself is ' +
    'fetched again.\n\n' +
    'An app that cannot be updated does not stop the others, but the exit status is 1 then.\n\n' +
    'What runs goes on with the generation it was started on. With --restart the instances of updated apps are restarted, ' +
    'one after the other; when one does not become healthy (see trees restart), all go back, and so does the app.',
  positionals: [{ name: 'app', describe: 'name it is installed under', variadic: true, complete: 'installed' }],
  options: {
    restart: { type: 'boolean', describe: 'restart the instances of what was updated, and go back if that fails' },
    'allow-stale': { type: 'boolean', describe: 'accept indexes that have expired' },
  },
  examples: [
    ['update', 'all installed apps'],
    ['update etcd', 'one app, and others on its base if that moves'],
    ['update --dry-run', 'what would change, and what would be fetched'],
  ],
  async handler(context, args) {
    for (const name of args.app) checkName(name);
    const options: UpdateOptions = {
      ...storeOptions(context, ['update', ...args.app].join(' ')),
      names: args.app,
      allowStale: args['allow-stale'],
      network: context.settings.network,
    };
    const { dryRun } = context.settings;
    const found = (dryRun ? undefined : knownApps(context, args.app)) ?? (await lookInto(options, dryRun));
    const apps = args.restart === true && !dryRun ? await restartApps(context, found) : found;
    for (const app of apps) if (app.action === 'failed') warn(context, app.name, app.error);
    const views = dryRun ? await import('../render/plan.js') : undefined;
    const failed = apps.some(({ action }) => action === 'failed');
    return {
      status: failed ? 1 : 0,
      json: { dryRun, apps: apps.map((app) => toJson(app, views)) },
      text: toText(apps, views),
    };
  },
});

/** Most updates find nothing to do, and that is known without loading much. */
function knownApps(context: Context, names: readonly string[]): UpdateOutcome[] | undefined {
  const known = knownUpToDate(storePaths(context.settings.root), names);
  return known?.map((app) => ({ action: 'unchanged', ...app }));
}

async function lookInto(options: UpdateOptions, dryRun: boolean): Promise<ReadonlyArray<UpdateOutcome | UpdatePlan>> {
  const { planUpdate, updateApps } = await import('../../store/update.js');
  return dryRun ? await planUpdate(options) : await updateApps(options);
}

/** How plans are shown; loaded for those only. */
interface PlanViews {
  readonly planJson: typeof planJson;
  readonly planLines: typeof planLines;
}

type App = UpdateOutcome | UpdatePlan | RestartedApp;

/** An updated app whose instances were restarted. */
type RestartedApp = Extract<UpdateOutcome, { readonly previous: Generation }> & {
  readonly restarted: readonly string[];
};

async function restartApps(context: Context, apps: ReadonlyArray<UpdateOutcome | UpdatePlan>): Promise<App[]> {
  const result: App[] = [];
  for (const app of apps) result.push('previous' in app ? await restartApp(context, app) : app);
  return result;
}

async function restartApp(
  context: Context,
  app: Extract<UpdateOutcome, { readonly previous: Generation }>,
): Promise<App> {
  const { moveInstances } = await import('../../run/move-instances.js');
  const { name, generation, previous } = app;
  const { settings, signal } = context;
  const { moved, failed } = await moveInstances(generation, previous, { settings, signal });
  if (failed === undefined) return { ...app, restarted: moved };
  const { rollbackApp } = await import('../../store/rollback.js');
  await rollbackApp({ ...storeOptions(context, `roll ${name} back`), name, to: previous.number, dryRun: false });
  const { message } = failed.error;
  const error = new TreesError('UNHEALTHY', `${message}; ${name} is at ${previous.version} again`, {
    hint: `hold it there until there is a better one: trees pin ${name}`,
    cause: failed.error,
    details: { instance: failed.name, generation: previous.number },
  });
  return { name, action: 'failed', error };
}

function checkName(name: string): void {
  if (isAppName(name)) return;
  throw usageError(
    `Expected app to be the name of an installed app, got "${name}"`,
    'a version: trees install NAME@RANGE; a range to stay in: trees pin NAME@RANGE',
  );
}

function warn(context: Context, name: string, error: unknown): void {
  const { message, hint } = reportError(error);
  context.reporter.warn(`${name} was not updated: ${message}${hint === undefined ? '' : `\nhint: ${hint}`}`);
}

function toJson(app: App, views: PlanViews | undefined) {
  const { name, action } = app;
  if (action === 'failed') {
    const { code, message, hint, details } = reportError(app.error);
    return { name, action, error: { code, message, hint, details } };
  }
  if ('target' in app) {
    const { target, path, space } = app;
    const { selection, installed, pin } = target;
    return {
      name,
      action,
      version: action === 'unchanged' ? installed.current.version : selection.app.version,
      base:
        action === 'unchanged'
          ? baseOf(installed.current)
          : { name: selection.base.name, version: selection.base.version.version },
      installed: { version: installed.current.version, generation: installed.current.number },
      pin: pin?.range ?? null,
      ...views?.planJson({ path, space }),
    };
  }
  const { generation, pin } = app;
  const common = {
    name,
    action,
    version: generation.version,
    base: baseOf(generation),
    generation: generation.number,
    pin: pin?.range ?? null,
  };
  if (action === 'unchanged' || !('previous' in app)) return common;
  const { previous, fetched, bundles, fallback } = app;
  return {
    ...common,
    previous: { version: previous.version, generation: previous.number },
    fetched,
    bundles,
    fallback,
    ...('restarted' in app ? { restarted: app.restarted } : {}),
  };
}

function baseOf({ base }: { base: { name: string; version: string } }) {
  return { name: base.name, version: base.version };
}

function toText(apps: readonly App[], views: PlanViews | undefined): string {
  if (apps.length === 0) return 'no app is installed\n';
  if (apps.every(({ action }) => action === 'unchanged')) {
    const held = apps.filter((app) => pinOf(app) !== undefined).map(({ name }) => name);
    return `everything is up to date${held.length === 0 ? '' : ` (pinned: ${held.join(', ')})`}\n`;
  }
  return apps.map((app) => line(app, views)).join('');
}

function pinOf(app: App): string | undefined {
  if (app.action === 'failed') return undefined;
  return ('target' in app ? app.target.pin : app.pin)?.range;
}

function line(app: App, views: PlanViews | undefined): string {
  const { name } = app;
  if (app.action === 'failed') return '';
  const held = pinOf(app) === undefined ? '' : `, pinned to ${pinOf(app)}`;
  if ('target' in app) {
    const { selection, installed } = app.target;
    if (app.action === 'unchanged') return `${name} ${installed.current.version} would stay${held}\n`;
    const { base } = selection;
    const what =
      `would ${app.action} ${name}: ${installed.current.version} on ${installed.current.base.name} ` +
      `${installed.current.base.version} → ${selection.app.version} on ${base.name} ${base.version.version}, ` +
      `fetch ${formatBytes(app.path.bytes)}${held}`;
    return [what, ...(app.path.edges.length === 0 ? [] : (views?.planLines(app) ?? [])), ''].join('\n');
  }
  const { version, base, number } = app.generation;
  if (!('previous' in app)) return `${name} ${version} is up to date${held}\n`;
  const { previous, fetched, fallback } = app;
  const from = `${previous.version} on ${previous.base.name} ${previous.base.version}`;
  const way = fallback.length === 0 ? '' : `, after ${fallback.length} other bundles failed`;
  return (
    `${app.action} ${name}: ${from} → ${version} on ${base.name} ${base.version} (generation ${number}), ` +
    `fetched ${formatBytes(fetched)}${way}${held}\n` +
    ('restarted' in app ? app.restarted.map((instance) => `restarted ${instance}\n`).join('') : '')
  );
}
