import { usageError } from '../../errors.js';
import { notRunning, requireInstance } from '../../run/instances.js';
import { controlServices, type ServiceState, type ServiceVerb, serviceStates } from '../../run/service-control.js';
import { type Command, type CommandResult, type Context, defineCommand, defineGroup } from '../command.js';
import { formatTable } from '../render/format.js';

const instancePositional = {
  name: 'instance',
  describe: 'name of the instance',
  required: true,
  complete: 'instances',
} as const;

const ls = defineCommand({
  name: 'ls',
  summary: 'list the services of an instance',
  description:
    'Lists the services of a running instance: what each does (waiting for others or for its event, starting, running, ' +
    'ready, stopping, stopped, failed, or in backoff until it is started again), its process in the container, the ' +
    'status of its last run, how often it was started again, and its health.',
  positionals: [instancePositional],
  options: {},
  examples: [['service ls web', 'all services of web']],
  handler: async (context, args): Promise<CommandResult> => await list(context, args.instance, []),
});

const status = defineCommand({
  name: 'status',
  summary: 'show what services of an instance do',
  description:
    'Shows some services of a running instance, or all. The exit status is 0 if all that are shown are up or did what ' +
    'they were to do, and 1 if one of them failed.',
  positionals: [instancePositional, { name: 'service', describe: 'names of services', variadic: true }],
  options: {},
  examples: [['service status web db', 'one of them']],
  async handler(context, args): Promise<CommandResult> {
    const result = await list(context, args.instance, args.service);
    return { ...result, status: result.services.some(({ state }) => state === 'failed') ? 1 : 0 };
  },
});

async function list(
  { settings, signal }: Context,
  name: string,
  names: readonly string[],
): Promise<CommandResult & { services: ServiceState[] }> {
  const instance = requireInstance(settings, name, 'look into');
  if (!instance.alive) throw notRunning(name, 'look into');
  const services = await serviceStates(instance, names, signal);
  const rows = services.map((service) => [
    service.main ? `${service.name}*` : service.name,
    service.state,
    service.pid === undefined ? '' : String(service.pid),
    service.exit === undefined ? '' : String(service.exit),
    String(service.restarts),
    service.health === 'none' ? '' : service.health,
  ]);
  const right = 'right' as const;
  const columns = [
    { title: 'service' },
    { title: 'state' },
    { title: 'pid', align: right },
    { title: 'exit', align: right },
    { title: 'restarts', align: right },
    { title: 'health' },
  ];
  return { json: { instance: name, services }, text: formatTable(columns, rows), services };
}

const about: Record<ServiceVerb, { summary: string; description: string; example: string }> = {
  start: {
    summary: 'start services of an instance',
    description:
      'Starts services that are stopped, failed, or wait for their event, and what they require. Returns when they are ready.',
    example: 'one that was stopped',
  },
  stop: {
    summary: 'stop services of an instance',
    description:
      'Stops services, and before them those that require them. They stay stopped until they are started. Returns when ' +
      'they have ended. A container whose main service is stopped ends.',
    example: 'and those that require it',
  },
  restart: {
    summary: 'restart services of an instance',
    description:
      'Stops services, and before them those that require them, and starts all of these again. Returns when they are ready.',
    example: 'with what requires it',
  },
  reload: {
    summary: 'let services of an instance read their configuration again',
    description: 'Sends the reload signal of the service, or runs its reload command, as its definition says.',
    example: 'as its definition says',
  },
};

function verbCommand(verb: ServiceVerb): Command {
  const { summary, description, example } = about[verb];
  return defineCommand({
    name: verb,
    summary,
    description,
    positionals: [
      instancePositional,
      { name: 'service', describe: 'names of services', required: true, variadic: true },
    ],
    options: {
      timeout: { type: 'number', alias: 't', value: 'SECONDS', describe: 'give up waiting; default: wait for the end' },
    },
    examples: [[`service ${verb} web db`, example]],
    async handler({ settings, signal }, args): Promise<CommandResult> {
      const { instance: name, service: names, timeout } = args;
      if (timeout !== undefined && timeout <= 0) {
        throw usageError(`Expected --timeout to be a positive number, got ${timeout}`);
      }
      const instance = requireInstance(settings, name, `${verb} services of`);
      if (!instance.alive) throw notRunning(name, `${verb} services of`);
      const { dryRun } = settings;
      if (!dryRun) await controlServices(instance, verb, { names, timeout, signal });
      return { json: { dryRun, instance: name, services: names }, text: names.map((each) => `${each}\n`).join('') };
    },
  });
}

export const command = defineGroup('service', 'look after the services of an instance', [
  ls,
  status,
  verbCommand('start'),
  verbCommand('stop'),
  verbCommand('restart'),
  verbCommand('reload'),
]);
