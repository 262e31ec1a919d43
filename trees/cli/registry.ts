import { preloadRepository } from '../system/calls.js';
import type { Command, CommandGroup } from './command.js';

/** One line of the command table: enough for help and completion without loading the command. */
export interface RegistryEntry {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly summary: string;
  readonly group: 'delivery' | 'running' | 'producing' | 'general';
  load(): Promise<Command | CommandGroup>;
}

export const registry: readonly RegistryEntry[] = [
  {
    name: 'install',
    summary: 'install an app from a feed',
    group: 'delivery',
    load: async () => {
      preloadRepository();
      return (await import('./commands/install.js')).command;
    },
  },
  {
    name: 'update',
    summary: 'bring apps to their newest version',
    group: 'delivery',
    load: async () => (await import('./commands/update.js')).command,
  },
  {
    name: 'rollback',
    summary: 'go back to an earlier generation of an app',
    group: 'delivery',
    load: async () => (await import('./commands/rollback.js')).command,
  },
  {
    name: 'history',
    summary: 'show the generations of an app',
    group: 'delivery',
    load: async () => (await import('./commands/history.js')).command,
  },
  {
    name: 'diff',
    summary: 'show what changed between two generations of an app, or in an instance',
    group: 'delivery',
    load: async () => (await import('./commands/diff.js')).command,
  },
  {
    name: 'pin',
    summary: 'hold an app at its version or within a range',
    group: 'delivery',
    load: async () => (await import('./commands/pin.js')).pin,
  },
  {
    name: 'unpin',
    summary: 'let a pinned app be updated again',
    group: 'delivery',
    load: async () => (await import('./commands/pin.js')).unpin,
  },
  {
    name: 'remove',
    aliases: ['rm'],
    summary: 'remove an app and prune the store, or remove an instance',
    group: 'delivery',
    load: async () => (await import('./commands/remove.js')).command,
  },
  {
    name: 'list',
    aliases: ['ls'],
    summary: 'list installed apps',
    group: 'delivery',
    load: async () => (await import('./commands/list.js')).command,
  },
  {
    name: 'info',
    summary: 'show what is known about an app',
    group: 'delivery',
    load: async () => (await import('./commands/info.js')).command,
  },
  {
    name: 'search',
    summary: 'search the feeds for apps',
    group: 'delivery',
    load: async () => (await import('./commands/search.js')).command,
  },
  {
    name: 'checkout',
    aliases: ['co'],
    summary: "build an app's link tree, into a directory if given",
    group: 'delivery',
    load: async () => (await import('./commands/checkout.js')).command,
  },
  {
    name: 'gc',
    summary: 'delete what no installed app needs',
    group: 'delivery',
    load: async () => (await import('./commands/gc.js')).command,
  },
  {
    name: 'fsck',
    summary: 'check the store, and repair it',
    group: 'delivery',
    load: async () => (await import('./commands/fsck.js')).command,
  },
  {
    name: 'feed',
    summary: 'add, list, remove or mirror feeds',
    group: 'delivery',
    load: async () => (await import('./commands/feed.js')).command,
  },
  {
    name: 'bundle',
    summary: 'install bundles from files; create, inspect or apply them on any OSTree repository',
    group: 'delivery',
    load: async () => {
      preloadRepository();
      return (await import('./commands/bundle.js')).command;
    },
  },
  {
    name: 'run',
    summary: 'run a command in a container of an app',
    group: 'running',
    load: async () => (await import('./commands/run.js')).command,
  },
  {
    name: 'logs',
    summary: 'show what an instance has written',
    group: 'running',
    load: async () => (await import('./commands/logs.js')).command,
  },
  {
    name: 'ps',
    summary: 'list instances',
    group: 'running',
    load: async () => (await import('./commands/ps.js')).command,
  },
  {
    name: 'start',
    summary: 'start instances again that have ended',
    group: 'running',
    load: async () => (await import('./commands/start.js')).command,
  },
  {
    name: 'stop',
    summary: 'stop instances',
    group: 'running',
    load: async () => (await import('./commands/stop.js')).command,
  },
  {
    name: 'restart',
    summary: 'restart instances, on the current generation of their app',
    group: 'running',
    load: async () => (await import('./commands/restart.js')).command,
  },
  {
    name: 'kill',
    summary: 'send a signal to the main process of instances',
    group: 'running',
    load: async () => (await import('./commands/kill.js')).command,
  },
  {
    name: 'wait',
    summary: 'wait until instances end, or until something holds for them',
    group: 'running',
    load: async () => (await import('./commands/wait.js')).command,
  },
  {
    name: 'attach',
    summary: 'connect to the main process of an instance',
    group: 'running',
    load: async () => (await import('./commands/attach.js')).command,
  },
  {
    name: 'service',
    summary: 'look after the services of an instance',
    group: 'running',
    load: async () => (await import('./commands/service.js')).command,
  },
  {
    name: 'inspect',
    summary: 'show everything about an instance',
    group: 'running',
    load: async () => (await import('./commands/inspect.js')).command,
  },
  {
    name: 'rename',
    summary: 'give an instance another name',
    group: 'running',
    load: async () => (await import('./commands/rename.js')).command,
  },
  {
    name: 'reset',
    summary: 'forget what instances wrote to their trees',
    group: 'running',
    load: async () => (await import('./commands/reset.js')).command,
  },
  {
    name: 'cp',
    summary: 'copy files between an instance and this machine',
    group: 'running',
    load: async () => (await import('./commands/cp.js')).command,
  },
  {
    name: 'export-bin',
    summary: 'make a program of an app a command of this machine',
    group: 'running',
    load: async () => (await import('./commands/export-bin.js')).command,
  },
  {
    name: 'exec',
    summary: 'run a command in a running instance',
    group: 'running',
    load: async () => (await import('./commands/exec.js')).command,
  },
  {
    name: 'pause',
    summary: 'stop every process of instances where it is',
    group: 'running',
    load: async () => (await import('./commands/pause.js')).pause,
  },
  {
    name: 'unpause',
    summary: 'let paused instances go on',
    group: 'running',
    load: async () => (await import('./commands/pause.js')).unpause,
  },
  {
    name: 'stats',
    summary: 'show what instances use of the machine',
    group: 'running',
    load: async () => (await import('./commands/stats.js')).command,
  },
  {
    name: 'top',
    summary: 'show the processes of an instance',
    group: 'running',
    load: async () => (await import('./commands/top.js')).command,
  },
  {
    name: 'set',
    summary: 'change what an instance may use',
    group: 'running',
    load: async () => (await import('./commands/set.js')).command,
  },
  {
    name: 'build',
    summary: 'build a base or an app from its definition',
    group: 'producing',
    load: async () => (await import('../../images/commands.js')).command,
  },
  {
    name: 'commit',
    summary: 'make a layer of what an instance wrote',
    group: 'producing',
    load: async () => (await import('../../images/commit-command.js')).command,
  },
  {
    name: 'release',
    summary: 'publish built bases and apps to a feed',
    group: 'producing',
    load: async () => (await import('../../releases/commands.js')).release,
  },
  {
    name: 'key',
    summary: 'generate, show and rotate signing keys',
    group: 'producing',
    load: async () => (await import('../../releases/commands.js')).key,
  },
  {
    name: 'check',
    aliases: ['ck'],
    summary: 'can this machine do it: what is missing and why',
    group: 'general',
    load: async () => (await import('./commands/check.js')).command,
  },
  {
    name: 'config',
    summary: 'show each setting and where it came from',
    group: 'general',
    load: async () => (await import('./commands/config.js')).command,
  },
  {
    name: 'completion',
    summary: 'print a shell completion script',
    group: 'general',
    load: async () => (await import('./commands/completion.js')).command,
  },
];

/** Finds a command by name or alias. */
export function findCommand(name: string): RegistryEntry | undefined {
  return registry.find((entry) => entry.name === name || entry.aliases?.includes(name));
}
