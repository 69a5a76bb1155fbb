// Checks objects of custom kinds: standard input is a JSON array of objects, standard output an array with the errors of each.
//
// The types of @kubernetes-models find unknown keys, because TypeScript checks them in literals; their validators find wrong
// values, because types do not restrict the content of strings.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';

const packages = process.env.CHARTS_NODE_MODULES;
const groups = { 'monitoring.coreos.com': 'prometheus-operator', 'keda.sh': 'keda', 'gateway.networking.k8s.io': 'gateway-api' };

const objects = await json(process.stdin);
const directory = mkdtempSync(join(tmpdir(), 'custom-resources-'));
try {
  // Modules are resolved relative to the importing file.
  symlinkSync(packages, join(directory, 'node_modules'));
  const problems = objects.map(() => []);
  const known = objects.flatMap((object, index) => {
    const [group, version] = object.apiVersion.split('/');
    if (group in groups) return [{ object, index, module: `@kubernetes-models/${groups[group]}/${group}/${version}` }];
    problems[index].push(`no schema for ${object.apiVersion}`);
    return [];
  });

  for (const { object, index, module } of known) {
    writeFileSync(
      join(directory, `${index}.ts`),
      `import type { I${object.kind} } from '${module}';\nexport const object: I${object.kind} = ${JSON.stringify(object, null, 2)};\n`,
    );
  }
  const options = { strict: true, noEmit: true, skipLibCheck: true, module: 'nodenext', target: 'esnext', types: [] };
  writeFileSync(join(directory, 'package.json'), '{"type": "module"}');
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.ts'] }));
  const tsc = spawnSync(process.execPath, [join(packages, 'typescript/bin/tsc'), '--pretty', 'false'], { cwd: directory, encoding: 'utf8' });
  for (const line of tsc.stdout.split('\n').filter(Boolean)) {
    const [, index, problem] = line.match(/^(\d+)\.ts\(.*?\): (.*)/) ?? [];
    // Continuation lines start with a space.
    if (problem) problems[index].push(problem);
    else if (!line.startsWith(' ')) throw new Error(tsc.stdout);
  }
  if (tsc.status !== 0 && problems.every((list) => list.length === 0)) throw new Error(tsc.stdout + tsc.stderr);

  for (const { object, index, module } of known) {
    const models = await import(join(packages, module, 'index.js'));
    try {
      new models[object.kind](object).validate();
    } catch (error) {
      problems[index].push(error.message);
    }
  }
  process.stdout.write(JSON.stringify(problems));
} finally {
  rmSync(directory, { recursive: true });
}
