import { usageError } from '../../errors.js';
import { parseFilters } from '../../run/instance-filter.js';
import { describeStatus, type InstanceReport, reportInstance } from '../../run/instance-report.js';
import { listInstances } from '../../run/instances.js';
import { defineCommand } from '../command.js';
import { formatTable } from '../render/format.js';

export const command = defineCommand({
  name: 'ps',
  summary: 'list instances',
  description:
    'Lists the instances that run; with --all also those that have ended and those of which there is only data. What is ' +
    'shown holds after a crash, too: an instance whose launcher was killed, or that ran when the machine went down, is ' +
    'Dead. Filters are KEY=VALUE: name (a regular expression), app, status (starting, running, paused, stopping, ' +
    'restarting, exited, failed, dead, stopped), health, exited (the exit status), id, label (NAME or NAME=VALUE).',
  positionals: [],
  options: {
    all: { type: 'boolean', alias: 'a', describe: 'also instances that do not run' },
    filter: { type: 'array', alias: 'f', value: 'KEY=VALUE', describe: 'only instances that this holds for' },
    quiet: { type: 'boolean', alias: 'q', describe: 'names only' },
    format: {
      type: 'string',
      value: 'TEMPLATE',
      describe: 'a line for each, with {{.Name}}, {{.App}}, {{.Status}}, {{.Pid}}… replaced; or json',
    },
  },
  examples: [
    ['ps', 'what runs'],
    ['ps -a --filter status=exited', 'what has ended'],
    ['stop $(trees ps -q --filter label=batch)', 'some of them'],
  ],
  async handler(context, args) {
    const matches = parseFilters(args.filter ?? []);
    const all = args.all === true || (args.filter ?? []).some((filter) => /^(status|exited)=/.test(filter));
    const reports = listInstances(context.settings, { all }).map(reportInstance).filter(matches);
    const now = Date.now();
    return { json: { instances: reports }, text: render(reports, args, now) };
  },
});

function render(
  reports: readonly InstanceReport[],
  { format, quiet }: { format?: string | undefined; quiet?: boolean | undefined },
  now: number,
): string {
  if (format === 'json') return `${JSON.stringify(reports, null, 2)}\n`;
  if (format !== undefined) return reports.map((report) => `${fill(format, report, now)}\n`).join('');
  if (quiet === true) return reports.map(({ name }) => `${name}\n`).join('');
  const rows = reports.map((report) => [
    report.name,
    report.app,
    report.generation === null ? '' : String(report.generation),
    report.pid === null ? '' : String(report.pid),
    String(report.restarts),
    describeStatus(report, now),
  ]);
  const right = 'right' as const;
  return formatTable(
    [
      { title: 'name' },
      { title: 'app' },
      { title: 'generation', align: right },
      { title: 'pid', align: right },
      { title: 'restarts', align: right },
      { title: 'status' },
    ],
    rows,
  );
}

/** Members by their names with a capital, which is what podman's templates look like. */
function fill(template: string, report: InstanceReport, now: number): string {
  const fields = new Map<string, unknown>([
    ...Object.entries(report),
    ['names', report.name],
    ['status', describeStatus(report, now)],
    ['state', report.status],
    ['exitcode', report.exit],
  ]);
  return template
    .replaceAll('\\t', '\t')
    .replaceAll('\\n', '\n')
    .replaceAll(/\{\{\s*\.(\w+)\s*\}\}/g, (_, word: string) => {
      const key = word.toLowerCase();
      if (!fields.has(key)) {
        throw usageError(
          `Expected --format to name members of an instance, got "${word}"`,
          [...fields.keys()].join(', '),
        );
      }
      const value = fields.get(key);
      return typeof value === 'string' ? value : value === null ? '' : JSON.stringify(value);
    });
}
