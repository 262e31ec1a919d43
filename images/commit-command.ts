import { defineCommand } from '../trees/cli/command.js';
import { usageError } from '../trees/errors.js';
import { requireInstance } from '../trees/run/instances.js';
import { isAppName } from '../trees/store/generations.js';
import { commitInstance } from './commit-instance.js';

const SEMVER = /^\d{1,9}\.\d{1,9}\.\d{1,9}(-[0-9A-Za-z.-]+)?$/;

export const command = defineCommand({
  name: 'commit',
  summary: 'make a layer of what an instance wrote',
  description:
    'Makes a new version of an app: its layer together with what the instance has changed of its tree since. The result is a ' +
    'commit in the build repository below the root, as of trees build, for trees release to publish. Volumes, and what is ' +
    'written below /run, /tmp and /var/log, are no part of it. An instance that runs is paused meanwhile.',
  positionals: [{ name: 'instance', describe: 'its name', required: true, complete: 'instances' }],
  options: {
    message: { type: 'string', alias: 'm', value: 'TEXT', describe: 'subject of the commit' },
    version: { type: 'string', value: 'VERSION', describe: 'version of the app; default the next one that is free' },
    as: { type: 'string', value: 'APP', describe: 'name of the app that it becomes; default that of the instance’s' },
  },
  examples: [
    ['commit web', 'the next version of its app'],
    ['commit web --as web-tuned --version 1.0.0 -m "larger caches"', 'another app'],
  ],
  async handler(context, args) {
    const { settings, reporter, signal } = context;
    const { version, as } = args;
    if (version !== undefined && !SEMVER.test(version)) {
      throw usageError(`Expected --version to be MAJOR.MINOR.PATCH, got "${version}"`);
    }
    if (as !== undefined && !isAppName(as)) {
      throw usageError(`Expected --as to be lowercase letters, digits, ".", "_" and "-", got "${as}"`);
    }
    const instance = requireInstance(settings, args.instance, 'commit');
    const { dryRun, lockTimeout } = settings;
    if (dryRun) {
      const json = { dryRun, instance: instance.name, app: as ?? instance.app, version: version ?? null };
      return { json, text: `would make a layer of ${instance.name}\n` };
    }
    using task = reporter.task(`committing ${instance.name}`);
    const layer = await commitInstance(instance, {
      places: settings,
      lockTimeout,
      reporter,
      signal,
      app: as,
      version,
      message: args.message,
    });
    task.done(`committed ${layer.app} ${layer.version} on ${layer.base.name} ${layer.base.version}`);
    return { json: { dryRun, instance: instance.name, ...layer }, text: `${layer.ref}\n` };
  },
});
